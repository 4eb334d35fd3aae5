"""Structural models of several series as data, whose disturbances are correlated."""

from typing import Dict, List, Optional, Sequence

import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from ...blocks.multivariate import MultivariateModel, MultivariateStructuralModel
from ...grammar.component import Component
from ...grammar.section import Section
from .given import SHARE, Count, Given, too_many


class Related(Section):
    """The components of a structural model for each series, whose disturbances are correlated."""

    components: Annotated[List[Component], Field(min_length=1)] = Field(
        ...,
        description="The components of each series, as of task: statespace, but for arima and "
        "regression.",
    )
    rank: Dict[str, Count] = Field(
        {},
        description="The ranks of covariances of disturbances, by the name of the variance, such "
        "as {level_variance: 1} for one common trend; all are full unless given.",
    )
    noise: bool = Field(True, description="Whether observations have noise, correlated too.")

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        parts = [component.chosen() for component in self.components]
        for key, _ in parts:
            if key in ("arima", "regression"):
                return f"{key} is for one series alone; leave it out"
        levels = [key for key, part in parts if part.is_level]
        if len(levels) > 1:
            return f"{' and '.join(levels)} cannot be told apart; keep one of them"
        if not self.noise and all(part.is_deterministic for _, part in parts):
            return "nothing is random; set noise: true, or raise a variance above 0"
        variances = [name for _, part in parts for name in type(part).model_fields]
        for name, rank in self.rank.items():
            if name not in variances or not name.endswith("variance"):
                return f"rank has '{name}', which is no variance of the components"
            if rank > len(names):
                return f"the rank of {name} is {rank}; at most {len(names)}, the number of series"
        return too_many(len(names) * sum(part.state_size for _, part in parts))

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values."""
        chosen = [component.chosen() for component in self.components]
        blocks = [part.within(len(given.y)).build(key) for key, part in chosen]
        model = MultivariateStructuralModel(
            len(given.names),
            blocks,
            self.rank,
            1.0 if self.noise else None,
            **given.options,
        )
        size = np.diag(np.sqrt(SHARE * given.changes))
        for (_, part), covariances in zip(chosen, model.covariances):
            for name, parameter in covariances.items():
                if name in part.fixed:
                    parameter.grad_req = "null"
                if not part.is_given(name):
                    parameter.set_value(size @ parameter.value() @ size)
        if model.noise_covariance is not None:
            model.noise_covariance.set_value(size @ size)
        return model
