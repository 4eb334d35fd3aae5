"""The data of a linear regression job: its rows and the units of the model."""

from dataclasses import dataclass
from typing import List

import numpy as np

from ...fitting.units import mean_and_deviation, size
from ..errors import JobError
from ..regression.dataset import Dataset, RegressionUnits, read_rows
from ..units import finite, target_units
from .config import MOST_FEATURES, LinearRegressionJob

# An MXNet array has at most 2³¹ - 1 elements.
MOST_ELEMENTS = 2**31 - 1


@dataclass
class Units(RegressionUnits):
    """The model also sees (x - input_offset) / input_scale."""

    input_offset: List[float]
    input_scale: List[float]

    def inputs_to_model(self, x: np.ndarray) -> np.ndarray:
        return (x - np.asarray(self.input_offset)) / np.asarray(self.input_scale)


def read_dataset(job: LinearRegressionJob) -> Dataset:
    """Reads the table, sets the hold-out rows apart and chooses the units from the others."""
    return read_rows(job, _units)


def _units(job: LinearRegressionJob, x: np.ndarray, y: np.ndarray) -> Units:
    config = job.data
    features = job.model.features.chosen()[1].count(x.shape[1])
    given = len(job.model.prior_variance or [1])
    if features > MOST_FEATURES or given not in (1, features):
        raise JobError(
            f"{config.path}: with the levels of data.categorical there are {features} features; at "
            f"most {MOST_FEATURES} are possible, and model.prior_variance has {given} values, for "
            "which 1 or as many are expected"
        )
    if features * (len(y) + features) > MOST_ELEMENTS:
        most = MOST_ELEMENTS // features - features
        raise JobError(
            f"{config.path}: {len(y)} rows to train on; {features} features allow at most {most}"
        )
    mean, deviation = mean_and_deviation(x)
    offset, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    with np.errstate(all="ignore"):
        if config.input_scaling == "unit":
            width = np.where(deviation > 0, np.ptp(x, axis=0), 0.0)
            offset, scale = x.min(axis=0), size(width, x)
        elif config.input_scaling != "raw":
            offset = mean
        if config.input_scaling == "standardize":
            scale = size(deviation, x)
    finite(config.path, offset, scale)
    of_target = target_units(config.path, config.target_scaling, y)
    return Units(**of_target.as_dict(), input_offset=offset.tolist(), input_scale=scale.tolist())
