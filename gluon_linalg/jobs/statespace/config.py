"""The job file of the task `statespace`."""

from typing import Any, List, Literal, Optional, Tuple

from pydantic import Field, model_validator

from ...grammar.section import Column, Name
from ...grammar.structural import StructuralDescription
from ..config import PredictingJob
from ..table_format import SeriesData
from ..time_series.config import Forecast, Holdout, Step

# The number type of what a job computes, whatever that of the exported model is.
COMPUTED = "float64"


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
        description="The time from one observation to the next: a number, or for dates day, week, "
        "month, quarter, year or a frequency of pandas such as 15min, h, B or BME. Absent times "
        "become missing observations. null when no row is absent.",
    )
    series: Optional[Column] = Field(
        None,
        description="The column with the name of the series that a row belongs to; null where all "
        "rows are of one series.",
    )
    target: Column = Field(
        ..., description="The column to be modelled; an empty cell is a missing observation."
    )
    covariates: List[Column] = Field(
        [], description="The columns whose effect a `regression` estimates."
    )
    categorical: List[Column] = Field(
        [],
        description="The covariates that are columns of names: each name but the first has an "
        "effect, the difference to the first; those that are not among the covariates are added "
        "to them.",
    )
    target_scaling: Literal["raw", "center", "standardize"] = Field(
        "center",
        description="What is done to the target before training: nothing; its mean subtracted; "
        "also divided by its standard deviation. Results are in original units.",
    )
    holdout: Optional[Holdout] = Field(
        None, description="The steps kept from training; none for no such steps."
    )

    @property
    def all_covariates(self) -> List[str]:
        """The covariates and the columns of names that are not among them."""
        added = (name for name in self.categorical if name not in self.covariates)
        return [*self.covariates, *added]

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        labels = [name for name in (self.series, self.time) if name is not None]
        names = [self.target, *self.all_covariates, *labels]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"the column '{name}' has two parts to play; name each once")
        if self.step is not None and self.time is None:
            raise ValueError("step needs the column of times; add time")
        if self.series is not None and self.time is None:
            raise ValueError("series needs the column of times; add time")
        return self


class Model(StructuralDescription):
    """A sum of components, seen through noise."""

    method: Literal["sequential", "parallel"] = Field(
        "sequential",
        description="How the likelihood is computed in training: by a loop over the steps, or by "
        "scans of logarithmic depth, which lose some digits. Results and the exported model use "
        "the loop.",
    )
    dtype: Literal["float32", "float64"] = Field(
        "float64",
        description="The number type of the parameters and results of the exported model; what is "
        "computed is float64.",
    )


class StateSpaceJob(PredictingJob):
    """A structural time series model."""

    task: Literal["statespace"] = Field(
        ..., description="The kind of model: statespace, a structural time series model."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")
    forecast: Forecast = Field(
        default_factory=Forecast,  # type: ignore[arg-type]
        description="How far ahead.",
    )

    @property
    def held_out(self) -> int:
        """The number of steps in the hold-out."""
        return 0 if self.data.holdout is None else self.data.holdout.last

    @property
    def steps(self) -> int:
        """The number of steps to forecast."""
        return self.forecast.after(self.data.holdout)

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        data = self.data
        problem = self.model.problem(data.all_covariates, data.categorical)
        if problem is not None:
            keys, message = problem
            return ("model", *keys), message
        problem = self._label_problem()
        if problem is not None:
            return problem
        if self.steps < self.held_out:
            message = f"{self.steps} steps, but the hold-out has {self.held_out}; raise it"
            return ("forecast", "steps"), message
        return None

    def _label_problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        """A label that is the name of another column of smoothed.csv, as (keys, message)."""
        taken = {self.data.series, self.data.time or "row", "observed", "signal", "signal_std"}
        components = [component.chosen() for component in self.model.components]
        taken.update(f"{part.label}_std" for _, part in components if part.label)
        taken.update(n for key, part in components if not part.label for n in (key, f"{key}_std"))
        for index, (key, part) in enumerate(components):
            if part.label is not None and part.label in taken:
                message = f"'{part.label}' is another column of smoothed.csv; choose another label"
                return ("model", "components", index, key, "label"), message
            taken.add(part.label or key)
        return None
