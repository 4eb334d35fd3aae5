"""The units in which a model sees the target."""

from dataclasses import asdict, dataclass
from typing import Any, Dict, Tuple

import numpy as np

from ..fitting.units import mean_and_deviation, size
from .errors import JobError


@dataclass
class TargetUnits:
    """The model sees (y - target_offset) / target_scale: numbers, or lists of several targets."""

    target_offset: Any
    target_scale: Any

    def target_to_model(self, y: np.ndarray) -> np.ndarray:
        return (y - np.asarray(self.target_offset)) / np.asarray(self.target_scale)

    def mean_from_model(self, mean: np.ndarray) -> np.ndarray:
        return mean * np.asarray(self.target_scale) + np.asarray(self.target_offset)

    def variance_from_model(self, variance: np.ndarray) -> np.ndarray:
        return variance * np.square(self.target_scale)

    def as_dict(self) -> Dict[str, Any]:
        return asdict(self)


def target_units(path: str, scaling: str, y: np.ndarray) -> TargetUnits:
    """The units for the rule `data.target_scaling` and the training rows y (n,) or (n, k).

    Of several targets each has its own, of the values that are not NaN.
    """
    if np.ndim(y) == 2:
        each = [target_units(path, scaling, column[~np.isnan(column)]) for column in y.T]
        return TargetUnits([u.target_offset for u in each], [u.target_scale for u in each])
    mean, deviation = mean_and_deviation(y)
    offset = np.zeros(np.shape(mean)) if scaling == "raw" else mean
    scale = size(deviation, y) if scaling == "standardize" else np.ones(np.shape(mean))
    offset, scale = finite(path, offset, scale)
    return TargetUnits(np.asarray(offset).tolist(), np.asarray(scale).tolist())


def finite(path: str, *values: Any) -> Tuple[Any, ...]:
    """The values as they are; JobError unless all are finite."""
    if not all(np.isfinite(value).all() for value in values):
        raise JobError(f"{path}: the numbers are too large to average; rescale them")
    return values
