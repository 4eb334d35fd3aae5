"""The sizes of columns of numbers, in which models see them."""

from typing import Tuple

import numpy as np

# How far an outlier is from the median of its neighbours, so many on each side and itself, in
# robust standard deviations of such distances.
FAR, REACH = 10.0, 3
# What deviates by less than this share of its largest magnitude deviates by rounding alone.
ROUNDING = 1e-14


def mean_and_deviation(values: np.ndarray, ddof: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of values (n,) or (n, d).

    The deviation of a column that is constant, but for rounding, is exactly 0: it is computed from
    differences to the first row, which a constant far from 0 does not blur.
    """
    with np.errstate(all="ignore"):
        first = values[0]
        centre = (values - first).mean(axis=0)
        deviation = (values - first).std(axis=0, ddof=ddof)
        deviation = np.where(is_constant(values, deviation), 0.0, deviation)
        return first + centre, deviation


def is_constant(values: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Whether columns that deviate by so much do so by rounding alone."""
    return deviation <= ROUNDING * np.abs(values).max(axis=0)


def size(deviation: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What to divide columns by: their deviation; where that is 0, their magnitude, or 1."""
    magnitude = np.abs(values).max(axis=0)
    return np.where(deviation > 0, deviation, np.where(magnitude > 0, magnitude, 1.0))


def root_mean_square(values: np.ndarray) -> float:
    """Of values (n,); 1 where they are all 0, or beyond what has a square."""
    largest = float(np.abs(values).max())
    if not 1e-150 < largest < 1e150:
        return 1.0
    return largest * float(np.sqrt(np.mean((values / largest) ** 2)))


def without_outliers(y: np.ndarray) -> np.ndarray:
    """A series (T,), NaN where missing, with NaN also for what is far from all around it.

    Sizes and starts of models with noise of heavy tails are those of the rest.
    """
    seen = np.flatnonzero(np.isfinite(y))
    if len(seen) <= 2 * REACH:
        return y
    values = np.pad(y[seen], REACH, mode="reflect")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(values, 2 * REACH + 1), axis=1)
    distance = np.abs(y[seen] - middle)
    moved = distance[distance > 0]
    # 0.6745 standard deviations are the median distance of normal numbers.
    limit = FAR * np.median(moved) / 0.6745 if len(moved) else np.inf
    found = np.array(y, dtype="float64")
    found[seen[distance > limit]] = np.nan
    return found
