"""The models of several series as data, each with where its parameters begin."""

from typing import ClassVar, Dict, Optional

import mxnet as mx
from pydantic import Field

from ...blocks.multivariate import MultivariateModel, MultivariateStructuralModel
from ...grammar.section import OneOf
from .linear import Linear
from .related import Related
from .stationary import Factors, Varma


class Process(OneOf):
    """What several series are: exactly one of these keys."""

    noun: ClassVar[str] = "process"
    advice: ClassVar[str] = "write one of varma, factors, related, linear"

    varma: Optional[Varma] = Field(
        None, description="A vector autoregression, with moving averages."
    )
    factors: Optional[Factors] = Field(
        None, description="Series that share a few factors, also of several frequencies."
    )
    related: Optional[Related] = Field(
        None, description="Structural models whose disturbances are correlated; common trends."
    )
    linear: Optional[Linear] = Field(
        None, description="A linear-Gaussian state space model, also by `em`."
    )


def trained_parameters(process: Process, model: MultivariateModel) -> Dict[str, mx.gluon.Parameter]:
    """What is learned, by its path in the job file."""
    key, own = process.chosen()
    found = {f"{key}.{name}": parameter for name, parameter in model._reg_params.items()}
    if isinstance(own, Related) and isinstance(model, MultivariateStructuralModel):
        for index, (component, block) in enumerate(zip(own.components, model.parts)):
            name, part = component.chosen()
            for what, parameter in part.trained(block).items():
                if parameter.name in block.params._params:
                    if what in part.fixed:
                        parameter.grad_req = "null"
                    found[f"{key}.components.{index}.{name}.{what}"] = parameter
    return found
