"""The job file of the task `multivariate`."""

from typing import Any, Dict, List, Literal, Optional, Tuple

from pydantic import Field, model_validator
from typing_extensions import Annotated

from ...grammar.section import Column
from ..config import EM, EmTraining
from ..time_series.config import ComputedModel, SeriesJob, StepsData
from .processes import Process
from .stationary import Factors

# The column of results with the names of the series.
SERIES = "series"


class Data(StepsData):
    """The table and the part its columns play."""

    targets: Annotated[List[Column], Field(min_length=2)] = Field(
        ...,
        description="The columns to be modelled, each a series; an empty cell is a missing "
        "observation.",
    )
    every: Dict[str, Annotated[int, Field(ge=1, le=1000)]] = Field(
        {},
        description="How many steps lie between two observations of a column, such as {gdp: 3} "
        "for a quarterly one among monthly ones; its other cells are empty. For `factors`.",
    )
    covariates: List[Column] = Field(
        [], description="The columns that have an effect on each of the targets."
    )
    target_scaling: Literal["raw", "center", "standardize"] = Field(
        "standardize",
        description="What is done to each target before training: nothing; its mean subtracted; "
        "also divided by its standard deviation. Results are in original units.",
    )

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        self.check_columns(*self.targets, *self.covariates)
        for name in self.every:
            if name not in self.targets:
                raise ValueError(f"every has '{name}', which is not one of data.targets")
        return self


class Model(ComputedModel):
    """Several series that move together."""

    process: Process = Field(..., description="What the series are.")


class MultivariateJob(SeriesJob):
    """A state space model of several series."""

    task: Literal["multivariate"] = Field(
        ..., description="The kind of model: multivariate, a state space model of several series."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")
    training: EmTraining = Field(
        default_factory=EmTraining,  # type: ignore[arg-type]
        description="How the parameters are found.",
    )

    @property
    def every(self) -> List[int]:
        """How many steps lie between two observations of each target."""
        return [self.data.every.get(name, 1) for name in self.data.targets]

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        key, process = self.model.process.chosen()
        problem = process.problem(self.data.targets)
        if problem is not None:
            return ("model", "process", key), problem
        if max(self.every) > 1 and not isinstance(process, Factors):
            return ("data", "every"), f"{key} has one frequency; only factors has several"
        ends_early = self.steps_problem()
        if ends_early is not None:
            return ("forecast", "steps"), ends_early
        if self.training.optimizer == EM and (key != "linear" or self.data.covariates):
            message = "em is for process: linear without covariates; choose lbfgs"
            return ("training", "optimizer"), message
        taken = {SERIES, "observed", "signal", "signal_std"}
        if self.data.time in taken:
            message = f"'{self.data.time}' is another column of results; rename it"
            return ("data", "time"), message
        return None
