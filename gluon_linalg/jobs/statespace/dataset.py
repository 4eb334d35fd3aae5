"""The data of a state space job: the series, its end that is held out, and the units."""

from dataclasses import dataclass

import numpy as np

from ..errors import JobError
from ..units import TargetUnits, target_units
from .components import used_columns
from .series import Series, read_series


@dataclass
class Dataset:
    """y: (T,) in original units, NaN where missing; holdout_y: (N,), the steps that follow.

    covariates: (T + steps, k), the columns in the order in which the regressions take them.
    """

    path: str
    target: str
    series: Series
    y: np.ndarray
    holdout_y: np.ndarray
    covariates: np.ndarray
    steps: int
    units: TargetUnits

    @property
    def is_observed(self):
        return ~np.isnan(self.y)

    @property
    def count(self):
        """The number of observations to train on."""
        return int(self.is_observed.sum())

    def content(self):
        """All numbers and times as bytes, for a fingerprint."""
        ends = " ".join(self.series.labels(0, 1) + self.series.labels(len(self.y) - 1, len(self.y)))
        parts = [self.y, self.holdout_y, self.covariates]
        return b"".join([ends.encode(), *(np.ascontiguousarray(part).tobytes() for part in parts)])

    def model_target(self):
        """The target in units of the model, 0 where it is missing."""
        return np.where(self.is_observed, self.units.target_to_model(self.y), 0.0)


def read_dataset(job):
    """Reads the series, sets its end apart and chooses the units from the rest."""
    config = job.data
    columns = sum(used_columns(job.model.components, config.covariates), [])
    series = read_series(config.path, config.time, config.step, config.target, columns)
    count = len(series.y) - job.held_out
    y, holdout_y = series.y[: max(count, 0)], series.y[max(count, 0) :]
    observed = y[~np.isnan(y)]
    if len(observed) < 2:
        raise JobError(
            f"{config.path}: {len(observed)} observations to train on; at least 2 are needed"
        )
    return Dataset(
        config.path,
        config.target,
        series,
        y,
        holdout_y,
        series.known_covariates(count + job.steps, job.steps),
        job.steps,
        target_units(config.path, config.target_scaling, observed),
    )
