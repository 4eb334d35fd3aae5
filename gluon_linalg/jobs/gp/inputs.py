"""The input columns of a Gaussian process, as far as initial values follow from them."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from ...fitting.units import mean_and_deviation, size
from ..errors import JobError

# Waves that a column is searched for: at least this many periods in its range, and the step from
# one to the next as a share of a period.
LEAST_PERIODS, STEP = 2.0, 0.25
# The work of a search: rows times waves.
MOST_WORK = 2e7
MOST_LABELS = 1000
# Of the polynomial that is taken off before.
TREND = 3


@dataclass
class Inputs:
    """x: (n, d) as the model sees it; y: (n,) the target; names: of the columns.

    A column of names stands once for each of its levels. active_dims: where these columns stand
    among all inputs, None for all of them; widths: how many each name stands for; offset: what was
    taken off the columns of the file, (d,).
    """

    names: List[str]
    x: np.ndarray
    y: np.ndarray
    active_dims: Optional[List[int]] = None
    widths: List[int] = None  # type: ignore[assignment]
    offset: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.offset is None:
            self.offset = np.zeros(self.x.shape[1])
        if self.widths is None:
            self.widths = [self.names.count(name) for name in dict.fromkeys(self.names)]

    def of(self, names: Optional[Sequence[str]]) -> "Inputs":
        """Those of the columns `names`, in their order; None for all."""
        if names is None:
            return self
        chosen = self.places(names)
        widths = [self.names.count(name) for name in names]
        names = [self.names[place] for place in chosen]
        return Inputs(names, self.x[:, chosen], self.y, chosen, widths, self.offset[chosen])

    def places(self, names: Sequence[str]) -> List[int]:
        """Where the columns `names` stand, in their order."""
        return [place for name in names for place, own in enumerate(self.names) if own == name]

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation of each column, (d,); the magnitude of what is constant."""
        return size(mean_and_deviation(self.x)[1], self.x)

    @property
    def mean_squares(self) -> np.ndarray:
        """The mean square of each column about x = 0, (d,); 1 for a column of zeros."""
        largest = np.abs(self.x).max(axis=0)
        largest = np.where(largest > 0, largest, 1.0)
        squares = np.mean((self.x / largest) ** 2, axis=0) * largest**2
        return np.where(squares > 0, squares, 1.0)

    @property
    def centre(self) -> np.ndarray:
        """The mean of each column, (d,)."""
        return mean_and_deviation(self.x)[0]

    def labels(self) -> int:
        """How many levels a column of names has, or numbers from 0 on one of numbers."""
        if self.x.shape[1] > 1:
            return self.x.shape[1]
        found = self.x[:, 0] + self.offset[0]
        if not ((found == np.round(found)) & (found >= 0) & (found < MOST_LABELS)).all():
            raise JobError(
                f"column '{self.names[0]}': labels are whole numbers from 0 on, below "
                f"{MOST_LABELS}; name a column of texts in data.categorical"
            )
        return int(found.max()) + 1

    def periods(self) -> np.ndarray:
        """Of each column the period of the wave that fits the target best, (d,)."""
        found = [_period(column, self.y) for column in self.x.T]
        return np.where(np.isnan(found), 2.0 * self.spread, found)


def _period(x: np.ndarray, y: np.ndarray) -> float:
    """By a least squares periodogram (Lomb 1976) of what a cubic leaves; NaN without a choice."""
    width = x.max() - x.min()
    if len(np.unique(x)) < 4 * TREND or mean_and_deviation(x)[1] == 0:
        return np.nan
    # Much is imported with it, for a search that few jobs need.
    from scipy.signal import lombscargle

    place = (x - x.min()) / width
    residual = y - np.polyval(np.polyfit(place, y, TREND), place)
    most = min(len(x) / 2.0, LEAST_PERIODS + STEP * MOST_WORK / len(x))
    frequencies = np.arange(LEAST_PERIODS, most, STEP)
    if not len(frequencies) or mean_and_deviation(residual)[1] == 0:
        return np.nan
    power = lombscargle(place, residual, 2.0 * np.pi * frequencies)
    return width / frequencies[np.argmax(power)]
