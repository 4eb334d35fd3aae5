"""The units in which a model sees the target."""

from dataclasses import asdict, dataclass
from typing import Any, Dict, Tuple

import numpy as np

from ..fitting.units import mean_and_deviation, size
from .errors import JobError


@dataclass
class TargetUnits:
    """The model sees (y - target_offset) / target_scale."""

    target_offset: float
    target_scale: float

    def target_to_model(self, y: np.ndarray) -> np.ndarray:
        return (y - self.target_offset) / self.target_scale

    def mean_from_model(self, mean: np.ndarray) -> np.ndarray:
        return mean * self.target_scale + self.target_offset

    def variance_from_model(self, variance: np.ndarray) -> np.ndarray:
        return variance * self.target_scale**2

    def as_dict(self) -> Dict[str, Any]:
        return asdict(self)


def target_units(path: str, scaling: str, y: np.ndarray) -> TargetUnits:
    """The units for the rule `data.target_scaling` and the training rows y (n,)."""
    mean, deviation = mean_and_deviation(y)
    offset = 0.0 if scaling == "raw" else float(mean)
    scale = float(size(deviation, y)) if scaling == "standardize" else 1.0
    return TargetUnits(*finite(path, offset, scale))


def finite(path: str, *values: Any) -> Tuple[Any, ...]:
    """The values as they are; JobError unless all are finite."""
    if not all(np.isfinite(value).all() for value in values):
        raise JobError(f"{path}: the numbers are too large to average; rescale them")
    return values
