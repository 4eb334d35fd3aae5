"""The units in which a model sees the target, and the sizes of columns."""

from dataclasses import asdict, dataclass

import numpy as np

from .errors import JobError

# What deviates by less than this share of its largest magnitude deviates by rounding alone.
ROUNDING = 1e-14


@dataclass
class TargetUnits:
    """The model sees (y - target_offset) / target_scale."""

    target_offset: float
    target_scale: float

    def target_to_model(self, y):
        return (y - self.target_offset) / self.target_scale

    def mean_from_model(self, mean):
        return mean * self.target_scale + self.target_offset

    def variance_from_model(self, variance):
        return variance * self.target_scale**2

    def as_dict(self):
        return asdict(self)


def target_units(path, scaling, y):
    """The units for the rule `data.target_scaling` and the training rows y (n,)."""
    mean, deviation = mean_and_deviation(y)
    offset = 0.0 if scaling == "raw" else float(mean)
    scale = float(size(deviation, y)) if scaling == "standardize" else 1.0
    return TargetUnits(*finite(path, offset, scale))


def mean_and_deviation(values, ddof=0):
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


def is_constant(values, deviation):
    """Whether columns that deviate by so much do so by rounding alone."""
    return deviation <= ROUNDING * np.abs(values).max(axis=0)


def size(deviation, values):
    """What to divide columns by: their deviation; where that is 0, their magnitude, or 1."""
    magnitude = np.abs(values).max(axis=0)
    return np.where(deviation > 0, deviation, np.where(magnitude > 0, magnitude, 1.0))


def root_mean_square(values):
    """Of values (n,); 1 where they are all 0, or beyond what has a square."""
    largest = float(np.abs(values).max())
    if not 1e-150 < largest < 1e150:
        return 1.0
    return largest * float(np.sqrt(np.mean((values / largest) ** 2)))


def finite(path, *values):
    """The values as they are; JobError unless all are finite."""
    if not all(np.isfinite(value).all() for value in values):
        raise JobError(f"{path}: the numbers are too large to average; rescale them")
    return values
