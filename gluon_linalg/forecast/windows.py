"""Batches of windows, each a pure function of a seed and a number."""

from typing import Dict, Iterable, Iterator, Mapping, Sequence, Tuple

import numpy as np
from gluonts.exceptions import GluonTSDataError

from .entry import Entry
from .features import SeriesTransform, WindowSeries

# The arrays a window may be asked for, in any order. Length N = L, or L + h with the future.
FIELDS = ("static_categories", "static_reals", "features", "phases", "target", "observed")


class TrainingWindows:
    """Windows of `length` steps from the series of a dataset, drawn at random.

    Each series is transformed once. ``batch(iteration)`` depends on the seed and the iteration
    alone: a series with equal probabilities, then one of its windows. A series without any
    observation has none.

    dataset: entries of GluonTS; transform: a `SeriesTransform`; fields: the arrays of a batch, of

    static_categories (B, c), static_reals (B, s), features (B, N, k), phases (B, N, q),
    target (B, N), observed (B, N)

    with target centred, scaled and 0 where observed is 0. length: N, in steps.
    Raises GluonTSDataError, which names the item, or says that there is nothing to train on.
    """

    def __init__(
        self,
        dataset: Iterable[Entry],
        transform: SeriesTransform,
        fields: Sequence[str],
        length: int,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        self.transform = transform
        self.fields = tuple(fields)
        self.batch_size = batch_size
        self.seed = seed
        self.length = length
        series = (transform(entry, index, length) for index, entry in enumerate(dataset))
        self._series = [one for one in series if one.observed.any()]
        if not self._series:
            raise GluonTSDataError("There is no series with an observation to train on.")
        self._ends = [_ends(one, self.length) for one in self._series]

    def __len__(self) -> int:
        """The number of series."""
        return len(self._series)

    def batch(self, iteration: int) -> Tuple[np.ndarray, ...]:
        """The arrays of the batch number `iteration`, float64, in the order of `fields`."""
        random = random_state(self.seed, iteration)
        windows = []
        for index in random.randint(len(self._series), size=self.batch_size):
            ends = self._ends[index]
            windows.append(self._window(index, ends[random.randint(len(ends))]))
        return stacked(windows, self.fields)

    def last_batches(self) -> Iterator[Tuple[np.ndarray, ...]]:
        """Batches of the last window of each series, in the order of the dataset, each once."""
        for begin in range(0, len(self._series), self.batch_size):
            indices = range(begin, min(begin + self.batch_size, len(self._series)))
            windows = [self._window(index, self._ends[index][-1]) for index in indices]
            yield stacked(windows, self.fields)

    def _window(self, index, end):
        series, scaling = self._series[index], self.transform.scaling
        return window(series, end - self.length, end, 0, scaling)[0]


def window(
    series: WindowSeries, begin: int, end: int, future: int, scaling: bool
) -> Tuple[Dict[str, np.ndarray], float, float]:
    """The fields of steps begin to end of a `WindowSeries` as a dict, its location and its scale.

    Features and phases reach `future` steps further.
    """
    target, observed = series.target[begin:end], series.observed[begin:end]
    location, scale = location_and_scale(target[observed]) if scaling else (0.0, 1.0)
    arrays = {
        "static_categories": series.static_categories,
        "static_reals": series.static_reals,
        "features": series.features[begin : end + future],
        "phases": series.phases[begin : end + future],
        "target": np.where(observed, (target - location) / scale, 0.0),
        "observed": observed.astype("float64"),
    }
    return arrays, location, scale


def location_and_scale(values: np.ndarray) -> Tuple[float, float]:
    """Mean and mean absolute deviation of values (n,).

    Where they deviate by nothing but rounding, the scale is 1/n of their mean absolute value (of 1
    where that is 0, too): the longer a series has been constant, the likelier it stays so. Without
    values it is 1.
    """
    if not len(values):
        return 0.0, 1.0
    location, size = values.mean(), np.abs(values).mean()
    deviation = np.abs(values - location).mean()
    return location, deviation if deviation > 1e-12 * size else (size or 1.0) / len(values)


def stacked(
    windows: Sequence[Mapping[str, np.ndarray]], fields: Sequence[str]
) -> Tuple[np.ndarray, ...]:
    """A tuple of arrays (B, ...) from the windows of a batch."""
    return tuple(np.stack([one[name] for one in windows]) for name in fields)


def random_state(*numbers: int) -> np.random.RandomState:
    """A generator of random numbers that depends on whole numbers alone, on every machine."""
    return np.random.RandomState(np.random.SeedSequence(numbers).generate_state(4))


def _ends(series, length):
    """Where windows with an observation may end."""
    seen = np.concatenate([[0], np.cumsum(series.observed)])
    ends = np.arange(length, len(series.target) + 1)
    return ends[seen[ends] > seen[ends - length]]
