"""The data of a job of several series: a table with a column for each, its end held out, units."""

from dataclasses import dataclass
from typing import List

import numpy as np

from ..errors import JobError
from ..sample import Sample
from ..time_series.series import TableSeries, read_series
from ..units import TargetUnits, finite, target_units
from .config import MultivariateJob


@dataclass
class Dataset:
    """y: (T, p) in original units, NaN where missing; holdout_y: (N, p), what follows.

    covariates: (T + steps, k) in original units; their `offsets` and `scales`, (k,), bring them to
    the size of 1; units: those of each target.
    """

    path: str
    names: List[str]
    table: TableSeries
    y: np.ndarray
    holdout_y: np.ndarray
    covariates: np.ndarray
    offsets: np.ndarray
    scales: np.ndarray
    units: List[TargetUnits]
    steps: int

    @property
    def count(self) -> int:
        """The number of observations to train on."""
        return int(np.isfinite(self.y).sum())

    def content(self) -> bytes:
        """All numbers and the times of the ends as bytes."""
        ends = self.table.labels(0, 1) + self.table.labels(len(self.y) - 1, len(self.y))
        parts = [self.y, self.holdout_y, self.covariates]
        arrays = (np.ascontiguousarray(part).tobytes() for part in parts)
        return b"".join([" ".join(ends).encode(), *arrays])

    @property
    def sample(self) -> Sample:
        """The rows to train on, and those of covariates that a forecast needs."""
        count, end, steps = len(self.y), len(self.y), max(self.steps, 1)
        if self.table.columns:
            count = min(count, len(self.table.covariates) - steps)
            end = count + steps
        cells = self.table.cells
        places = [list(cells).index(name) for name in self.names]
        rows = []
        for step, row in zip(self.table.rows.tolist(), map(list, zip(*cells.values()))):
            if step < end:
                for number, place in enumerate(places):
                    if step >= count or np.isnan(self.y[step, number]):
                        row[place] = ""
                rows.append(row)
        return Sample(list(cells), rows)

    def model_targets(self, y: np.ndarray) -> np.ndarray:
        """Targets (T, p) in units of the model."""
        return np.column_stack([own.target_to_model(c) for own, c in zip(self.units, y.T)])

    def model_covariates(self) -> np.ndarray:
        """The covariates at the size of 1, (T + steps, k)."""
        return (self.covariates - self.offsets) / self.scales


def read_dataset(job: MultivariateJob) -> Dataset:
    """Reads the series, sets their ends apart and chooses the units from the rest."""
    data = job.data
    table = read_series(
        data.path, data.time, data.step, data.targets, data.covariates, data.format()
    )
    seen = ~np.isnan(table.y)
    count = max(len(table.y) - job.held_out, 0)
    y, holdout_y = table.y[:count], table.y[count:]
    units: List[TargetUnits] = []
    for name, own, whole, every in zip(data.targets, y.T, seen.T, job.every):
        where = f"{data.path}: column '{name}'"
        observed = np.flatnonzero(~np.isnan(own))
        if len(observed) < 2:
            before = f", before the hold-out of {job.held_out} steps" if job.held_out else ""
            raise JobError(
                f"{where}: {len(observed)} observations to train on{before}; at least 2 are needed"
            )
        _refuse_between(where, table, np.flatnonzero(whole), every)
        units.append(target_units(where, data.target_scaling, own[observed]))
    covariates = table.known_covariates(count + job.steps, job.steps)
    training = covariates[:count]
    offsets = training.mean(axis=0) if data.covariates else np.zeros(0)
    scales = training.std(axis=0) if data.covariates else np.zeros(0)
    finite(data.path, offsets, scales)
    for name, scale in zip(data.covariates, scales):
        if not scale > 0:
            raise JobError(
                f"{data.path}: column '{name}' is constant in the rows to train on, which leaves "
                "its effects open; leave it out"
            )
    return Dataset(
        data.path,
        list(data.targets),
        table,
        y,
        holdout_y,
        covariates,
        offsets,
        scales,
        units,
        job.steps,
    )


def _refuse_between(where, table, observed, every):
    """Refuses observations that are not a whole number of periods apart."""
    apart = (observed - observed[0]) % every
    if apart.any():
        first, second = observed[0], observed[np.flatnonzero(apart)[0]]
        first, second = (table.labels(step, step + 1)[0] for step in (first, second))
        raise JobError(
            f"{where}: the observations at {first} and {second} do not lie on steps {every} apart, "
            "as data.every says; leave other cells empty, or change data.every"
        )
