"""What job files of all tasks have in common: the training, and the job around it."""

from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple

import mxnet as mx
from pydantic import Field, field_validator, model_validator
from typing_extensions import Annotated

from ..grammar.json_schema import ShownAs
from ..grammar.section import Name, Names, Number, Section
from .devices import check_device_names
from .errors import suggestion

LBFGS = "lbfgs"
# Expectation maximization.
EM = "em"
# The kvstore of several processes that train together.
DISTRIBUTED = "dist_sync"
DEFAULT_LEARNING_RATE = 0.01


def optimizer_names() -> List[str]:
    """lbfgs and the optimizers of MXNet, but for those that are for tests and embeddings alone."""
    return [LBFGS, *sorted(set(mx.optimizer.Optimizer.opt_registry) - {"test", "groupadagrad"})]


Optimizer = Annotated[Name, ShownAs({"enum": optimizer_names(), "title": "name"})]


class Training(Section):
    """How the parameters are found."""

    optimizer: Optimizer = Field(
        LBFGS, description="lbfgs, or the name of a Gluon optimizer: adam, sgd, rmsprop, ..."
    )
    iterations: int = Field(
        500, ge=0, le=10**9, description="The number of steps; for lbfgs the most it may take."
    )
    learning_rate: Optional[Annotated[Number, Field(gt=0)]] = Field(
        None,
        description="The step size of a Gluon optimizer; null for "
        f"{DEFAULT_LEARNING_RATE}. Not for lbfgs.",
    )
    options: Dict[str, Number] = Field(
        {}, description="Further arguments of the Gluon optimizer: momentum, beta1, wd, ..."
    )
    tolerance: Annotated[Number, Field(ge=0)] = Field(
        1e-10, description="lbfgs stops when a step lowers the loss by less than this share of it."
    )
    gradient_tolerance: Annotated[Number, Field(ge=0)] = Field(
        1e-5, description="lbfgs stops when no element of the gradient is larger."
    )
    batch_size: Optional[Annotated[int, Field(ge=1, le=10**6)]] = Field(
        None,
        description="The number of series, or with model.method: svgp of rows, that an iteration "
        "sees; null for all. Not for lbfgs.",
    )
    kvstore: Literal["device", "dist_sync"] = Field(
        "device",
        description="How gradients are added up: among the devices of one process, or by "
        "dist_sync also among several processes.",
    )
    checkpoint_every: int = Field(
        50, ge=1, description="The number of iterations from one checkpoint to the next."
    )

    @field_validator("optimizer")
    @classmethod
    def optimizer_exists(cls, name: str) -> str:
        names = optimizer_names()
        if name.lower() == EM:
            raise ValueError(
                "expectation maximization is for task: multivariate with process: linear; "
                "here lbfgs finds the same maximum in fewer steps"
            )
        if name.lower() not in names:
            raise ValueError(f"unknown optimizer; {suggestion(name.lower(), names)}")
        return name.lower()

    @model_validator(mode="after")
    def keys_fit_the_optimizer(self) -> "Training":
        if self.optimizer == LBFGS and (self.learning_rate is not None or self.options):
            raise ValueError("lbfgs takes neither learning_rate nor options; remove them")
        if self.optimizer == LBFGS and self.batch_size is not None:
            raise ValueError(
                "lbfgs takes no batch_size, it needs the loss of everything; remove it"
            )
        return self


class EmTraining(Training):
    """How the parameters are found, also by expectation maximization."""

    optimizer: Annotated[  # type: ignore[assignment]
        Name, ShownAs({"enum": [EM, *optimizer_names()], "title": "name"})
    ] = Field(
        LBFGS,
        description="lbfgs, or em (expectation maximization) where the model has it, or the name "
        "of a Gluon optimizer: adam, sgd, rmsprop, ...",
    )

    @field_validator("optimizer")
    @classmethod
    def optimizer_exists(cls, name: str) -> str:
        return EM if name.lower() == EM else Training.optimizer_exists(name)

    @model_validator(mode="after")
    def em_takes_neither(self) -> "EmTraining":
        if self.optimizer == EM and (
            self.learning_rate is not None or self.options or self.batch_size is not None
        ):
            raise ValueError("em takes neither learning_rate nor options nor batch_size")
        return self


class Job(Section):
    """A job; each task has a subclass with its own data and model."""

    task: str = Field(..., description="The kind of model.")
    data: Section = Field(..., description="The table and its columns.")
    model: Section = Field(..., description="The model.")
    context: Literal["cpu", "gpu", "auto"] = Field(
        "auto", description="Where to compute; auto is the GPU if MXNet sees one."
    )
    output: Name = Field(
        ..., description="The folder for the results; relative to the current folder."
    )

    def problem(self) -> Optional[Tuple[Sequence[Any], str]]:
        """What does not fit together across sections, as (keys, message), or None."""
        return None

    def has_steps(self) -> bool:
        """Whether parameters are found step by step, or all is computed at once."""
        return False


class TrainedJob(Job):
    """A job with parameters that are found step by step."""

    model: Section = Field(..., description="The model and its initial parameters.")
    training: Training = Field(
        default_factory=Training,  # type: ignore[arg-type]
        description="How the parameters are found.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="The seed of the random hold-out and of MXNet.",
    )
    devices: Optional[Names] = Field(
        None,
        description="Several devices that share the series of each batch, such as [gpu(0), gpu(1)];"
        " null for the one of `context`.",
    )

    def has_steps(self) -> bool:
        return True

    @field_validator("devices")
    @classmethod
    def devices_exist(cls, names: Optional[List[str]]) -> Optional[List[str]]:
        return None if names is None else check_device_names(names)


Level = Annotated[Number, Field(gt=0, lt=100)]


class PredictingJob(TrainedJob):
    """A trained job whose predictions are normal distributions."""

    levels: Annotated[List[Level], Field(min_length=1, max_length=20)] = Field(
        [95],
        description="Of the bands of predictions, in percent: each level has two columns, such as "
        "lower_95 and upper_95.",
    )

    @field_validator("levels")
    @classmethod
    def levels_differ(cls, levels: List[float]) -> List[float]:
        if len(set(levels)) < len(levels):
            raise ValueError("a level comes twice; name each once")
        return levels
