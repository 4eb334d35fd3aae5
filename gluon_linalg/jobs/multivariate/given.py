"""What the models of several series are built for, and what their parameters begin with."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from ...fitting.structural_starts import mean_squared_change
from ...grammar.component_part import MOST_STATES

# The initial value of variances of components, as a share of the mean squared change of a series,
# and of errors and innovations, as a share of its variance.
SHARE, ERROR_SHARE = 0.1, 0.5

Count = Annotated[int, Field(ge=1, le=MOST_STATES)]


class Given(NamedTuple):
    """What a model is built for: names (p,) and y (T, p) in units of the model, NaN where missing.

    every: of each series; covariates: how many there are; method, length: as in the models.
    """

    names: Sequence[str]
    y: np.ndarray
    every: List[int]
    covariates: int
    method: str = "sequential"
    length: Optional[int] = None

    @property
    def variances(self) -> np.ndarray:
        """Of each series, (p,); 1 where it does not move."""
        found = np.nanvar(self.y, axis=0)
        return np.where(found > 0, found, 1.0)

    @property
    def means(self) -> np.ndarray:
        """Of each series, (p,)."""
        return np.nanmean(self.y, axis=0)

    @property
    def changes(self) -> np.ndarray:
        """The mean squared change of each series, (p,)."""
        return np.array([mean_squared_change([own]) for own in self.y.T])

    @property
    def options(self) -> Dict[str, Any]:
        return {"method": self.method, "length": self.length, "covariates": self.covariates}


def too_many(states: int) -> Optional[str]:
    """What is wrong with so many states, or None."""
    if states > MOST_STATES:
        return f"{states} states; at most {MOST_STATES} are possible"
    return None
