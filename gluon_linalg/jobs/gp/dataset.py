"""The data of a job: training and hold-out rows, and the units of the model."""

from dataclasses import dataclass
from typing import List

import numpy as np

from ..data import read_table
from ..errors import JobError
from ..units import TargetUnits, finite, target_units
from .config import MOST_ROWS


@dataclass
class Units(TargetUnits):
    """The model also sees x - input_offset."""

    input_offset: List[float]

    def inputs_to_model(self, x):
        return x - np.asarray(self.input_offset)


@dataclass
class Dataset:
    """Rows in original units, (n, d) and (n,), in float64, with their lines in the file."""

    path: str
    inputs: List[str]
    target: str
    dates: List[str]
    x: np.ndarray
    y: np.ndarray
    lines: np.ndarray
    holdout_x: np.ndarray
    holdout_y: np.ndarray
    units: Units

    @property
    def count(self):
        """The number of observations to train on."""
        return len(self.y)

    def content(self):
        """All numbers as bytes, for a fingerprint."""
        parts = [self.x, self.y, self.holdout_x, self.holdout_y]
        return b"".join(np.ascontiguousarray(array).tobytes() for array in parts)

    def model_inputs(self):
        return self.units.inputs_to_model(self.x)

    def model_target(self):
        return self.units.target_to_model(self.y)


def read_dataset(job):
    """Reads the table, sets the hold-out rows apart and chooses the units from the others."""
    config = job.data
    table = read_table(config.path, [*config.inputs, config.target], config.inputs)
    x, y = table.array(config.inputs), table.columns[config.target]
    held = _holdout_mask(config, len(y), job.seed)
    kept = ~held
    if kept.sum() < 2:
        raise JobError(f"{config.path}: {kept.sum()} rows to train on; at least 2 are needed")
    if kept.sum() > MOST_ROWS:
        raise JobError(
            f"{config.path}: {kept.sum()} rows to train on; an exact Gaussian process takes at "
            f"most {MOST_ROWS}"
        )
    return Dataset(
        config.path,
        list(config.inputs),
        config.target,
        table.dates,
        x[kept],
        y[kept],
        np.asarray(table.lines)[kept],
        x[held],
        y[held],
        _units(job, x[kept], y[kept]),
    )


def _holdout_mask(config, count, seed):
    held = np.zeros(count, dtype=bool)
    rule = config.holdout
    if rule is not None and rule.last is not None:
        held[-rule.last :] = True
    elif rule is not None:
        size = max(1, round(rule.fraction * count))
        held[np.random.default_rng(seed).permutation(count)[:size]] = True
    return held


def _units(job, x, y):
    config = job.data
    center = config.center_inputs == "always" or (
        config.center_inputs == "auto" and job.model.dtype == "float32" and job.model.is_stationary
    )
    with np.errstate(all="ignore"):
        input_offset = x.mean(axis=0) if center else np.zeros(x.shape[1])
    finite(config.path, input_offset)
    of_target = target_units(config.path, config.target_scaling, y)
    return Units(**of_target.as_dict(), input_offset=input_offset.tolist())
