"""The rows of a regression: for training and for the hold-out, and the units of the model."""

from dataclasses import dataclass
from typing import List

import numpy as np

from ..data import read_table
from ..errors import JobError
from ..sample import Sample, first_rows
from ..units import TargetUnits


@dataclass
class Dataset:
    """Rows in original units, (n, d) and (n,), in float64, with their lines in the file.

    units: `TargetUnits` with a method `inputs_to_model`; sample: of the inputs.
    """

    path: str
    inputs: List[str]
    target: str
    dates: List[str]
    x: np.ndarray
    y: np.ndarray
    lines: np.ndarray
    holdout_x: np.ndarray
    holdout_y: np.ndarray
    units: TargetUnits
    sample: Sample

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


def read_rows(job, choose_units):
    """Reads the table and sets the hold-out rows apart.

    choose_units: called with the job and x and y of the other rows, returns the units.
    """
    config = job.data
    table = read_table(config.path, [*config.inputs, config.target], config.inputs)
    x, y = table.array(config.inputs), table.columns[config.target]
    held = _holdout_mask(config, len(y), job.seed)
    kept = ~held
    if kept.sum() < 2:
        raise JobError(f"{config.path}: {kept.sum()} rows to train on; at least 2 are needed")
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
        choose_units(job, x[kept], y[kept]),
        first_rows(table, config.inputs),
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
