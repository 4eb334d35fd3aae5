"""What job files of series share: steps, the end that is held out, and the forecast."""

from typing import Any, Optional, Union

from pydantic import BeforeValidator, Field
from typing_extensions import Annotated

from ...grammar.json_schema import ShownAs
from ...grammar.section import Name, Number, Section
from ..steps import FREQUENCY, parse_step
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
