"""The job file of the task `statespace`."""

from typing import Any, List, Literal, Optional, Tuple

from pydantic import Field, model_validator

from ...grammar.section import Column
from ...grammar.structural import StructuralDescription
from ..time_series.config import ComputedModel, SeriesJob, StepsData

# The number type of what a job computes, whatever that of the exported model is.
COMPUTED = "float64"


class Data(StepsData):
    """The table and the part its columns play."""

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

    @property
    def all_covariates(self) -> List[str]:
        """The covariates and the columns of names that are not among them."""
        added = (name for name in self.categorical if name not in self.covariates)
        return [*self.covariates, *added]

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        self.check_columns(self.target, *self.all_covariates, self.series)
        if self.series is not None and self.time is None:
            raise ValueError("series needs the column of times; add time")
        return self


class Model(StructuralDescription, ComputedModel):
    """A sum of components, seen through noise."""


class StateSpaceJob(SeriesJob):
    """A structural time series model."""

    task: Literal["statespace"] = Field(
        ..., description="The kind of model: statespace, a structural time series model."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")

    @property
    def target_scaling(self) -> str:
        """What is done to the target: nothing to counts and events."""
        return self.data.target_scaling if self.model.has_noise else "raw"

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        data = self.data
        problem = self.model.problem(data.all_covariates, data.categorical)
        if problem is not None:
            keys, message = problem
            return ("model", *keys), message
        problem = self._label_problem()
        if problem is not None:
            return problem
        ends_early = self.steps_problem()
        return None if ends_early is None else (("forecast", "steps"), ends_early)

    def _label_problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        """A label that is the name of another column of smoothed.csv, as (keys, message)."""
        taken = {
            self.data.series,
            self.data.time or "row",
            "observed",
            "signal",
            "signal_std",
            "expected",
        }
        components = [component.chosen() for component in self.model.components]
        taken.update(f"{part.label}_std" for _, part in components if part.label)
        taken.update(n for key, part in components if not part.label for n in (key, f"{key}_std"))
        for index, (key, part) in enumerate(components):
            if part.label is not None and part.label in taken:
                message = f"'{part.label}' is another column of smoothed.csv; choose another label"
                return ("model", "components", index, key, "label"), message
            taken.add(part.label or key)
        return None
