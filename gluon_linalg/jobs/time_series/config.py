"""What job files of series share: steps, the end that is held out, and the forecast."""

from typing import Any, Literal, Optional, Union

from pydantic import BeforeValidator, Field
from typing_extensions import Annotated

from ...grammar.json_schema import ShownAs
from ...grammar.section import Column, Name, Number, Section
from ..config import PredictingJob
from ..steps import FREQUENCY, parse_step
from ..table_format import SeriesData
from .times import MOST_STEPS, UNITS

DEFAULT_STEPS = 12


class Holdout(Section):
    """The end of a series, which is kept from training to judge the forecast by."""

    last: int = Field(
        ..., ge=1, le=MOST_STEPS, description="This many steps at the end of the series."
    )


def _read_step(value: Any) -> Union[None, float, str]:
    """A step as a job file has it; ValueError for what is none."""
    if value is None or (isinstance(value, str) and parse_step(value) is not None):
        return value
    try:
        length = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        length = 0.0
    if not 0 < length < float("inf"):
        raise ValueError(
            f"expected a number above 0, or one of {', '.join(UNITS)}, or a frequency of "
            "pandas such as 15min"
        )
    return length


# The time between two observations.
Step = Annotated[
    Union[Number, Name],
    BeforeValidator(_read_step),
    ShownAs(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"enum": list(UNITS)},
                {"type": "string", "pattern": f"^{FREQUENCY.pattern}$", "title": "frequency"},
            ]
        }
    ),
]


class Forecast(Section):
    """How far ahead."""

    steps: Optional[Annotated[int, Field(ge=0, le=MOST_STEPS)]] = Field(
        None,
        description="The number of steps to forecast after those of the training, 0 for no "
        "forecast, which needs no covariates of the future; null for as many as the hold-out has, "
        f"or {DEFAULT_STEPS} without one.",
    )

    def after(self, holdout: Optional[Holdout]) -> int:
        """The number of steps to forecast."""
        if self.steps is not None:
            return self.steps
        return DEFAULT_STEPS if holdout is None else holdout.last


class StepsData(SeriesData):
    """The table of series on regular steps, and the part its columns play."""

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
    holdout: Optional[Holdout] = Field(
        None, description="The steps kept from training; none for no such steps."
    )

    def check_columns(self, *names: Optional[str]) -> None:
        """Refuses a column with two parts to play, and a step without times."""
        given = [name for name in (*names, self.time) if name is not None]
        for index, name in enumerate(given):
            if name in given[:index]:
                raise ValueError(f"the column '{name}' has two parts to play; name each once")
        if self.step is not None and self.time is None:
            raise ValueError("step needs the column of times; add time")


class SeriesJob(PredictingJob):
    """A state space model of series on regular steps."""

    data: StepsData = Field(..., description="The table and its columns.")
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

    def steps_problem(self) -> Optional[str]:
        """What is wrong with a forecast that ends within the hold-out."""
        if self.steps < self.held_out:
            return f"{self.steps} steps, but the hold-out has {self.held_out}; raise it"
        return None


class ComputedModel(Section):
    """How a state space model is computed, and what its exported form gives."""

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
