"""The job file of the task `multivariate`."""

from typing import Any, Dict, List, Literal, Optional, Tuple

from pydantic import Field, model_validator
from typing_extensions import Annotated

from ...grammar.section import Column, Name, Section
from ..config import EM, EmTraining, TrainedJob
from ..table_format import SeriesData
from ..time_series.config import Forecast, Holdout, Step
from .processes import Factors, Process

# The column of results with the names of the series.
SERIES = "series"


class Data(SeriesData):
    """The table and the part its columns play."""

    path: Name = Field(
        ..., description="The CSV file, with a header; relative to the folder of the job file."
    )
    time: Optional[Column] = Field(
        None,
        description="The column of times, increasing: numbers, or dates such as 1958-03, "
        "1958-03-01, 31/12/1958, 1958Q1 or 1958-03-01 12:00; null to count the rows.",
    )
    step: Optional[Step] = Field(
        None,
        description="The time from one row to the next: a number, or for dates day, week, month, "
        "quarter, year or a frequency of pandas such as 15min, h, B or BME. null when no row is "
        "absent.",
    )
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
    holdout: Optional[Holdout] = Field(
        None, description="The steps kept from training; none for no such steps."
    )

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        names = [*self.targets, *self.covariates, *([] if self.time is None else [self.time])]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"the column '{name}' has two parts to play; name each once")
        if self.step is not None and self.time is None:
            raise ValueError("step needs the column of times; add time")
        for name in self.every:
            if name not in self.targets:
                raise ValueError(f"every has '{name}', which is not one of data.targets")
        return self


class Model(Section):
    """Several series that move together."""

    process: Process = Field(..., description="What the series are.")
    method: Literal["sequential", "parallel"] = Field(
        "sequential",
        description="How the likelihood is computed in training: by a loop over the steps, or by "
        "scans of logarithmic depth, which lose some digits. Results and the exported model use "
        "the loop.",
    )
    dtype: Literal["float32", "float64"] = Field(
        "float64",
        description="The number type of the results of the exported model; what is computed is "
        "float64.",
    )


class MultivariateJob(TrainedJob):
    """A state space model of several series."""

    task: Literal["multivariate"] = Field(
        ..., description="The kind of model: multivariate, a state space model of several series."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")
    forecast: Forecast = Field(
        default_factory=Forecast,  # type: ignore[arg-type]
        description="How far ahead.",
    )
    training: EmTraining = Field(
        default_factory=EmTraining,  # type: ignore[arg-type]
        description="How the parameters are found.",
    )

    @property
    def held_out(self) -> int:
        """The number of steps in the hold-out."""
        return 0 if self.data.holdout is None else self.data.holdout.last

    @property
    def steps(self) -> int:
        """The number of steps to forecast."""
        return self.forecast.after(self.data.holdout)

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
        if self.steps < self.held_out:
            message = f"{self.steps} steps, but the hold-out has {self.held_out}; raise it"
            return ("forecast", "steps"), message
        if self.training.optimizer == EM and (key != "linear" or self.data.covariates):
            message = "em is for process: linear without covariates; choose lbfgs"
            return ("training", "optimizer"), message
        taken = {SERIES, "observed", "signal", "signal_std"}
        if self.data.time in taken:
            message = f"'{self.data.time}' is another column of results; rename it"
            return ("data", "time"), message
        return None
