"""The data of a state space job: the series, their ends that are held out, and the units."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ...fitting.units import without_outliers
from ..errors import JobError
from ..sample import Sample
from ..table_format import Format
from ..time_series.series import TableSeries, read_series
from ..units import TargetUnits, target_units
from .config import StateSpaceJob
from .observations import refuse_impossible
from .panel import Panel, panel_units, read_panel


@dataclass
class Dataset:
    """The members are the series of the column `series`, or one without a name.

    regressors: the names of the columns of each regression, several for a column of names, whose
    levels are in `levels`; covariates: the columns of the file.
    """

    path: str
    target: str
    series: Optional[str]
    members: List["Member"]
    steps: int
    regressors: List[List[str]]
    covariates: List[str]
    levels: Dict[str, List[str]]
    table_format: Format

    @property
    def count(self) -> int:
        """The number of observations to train on."""
        return sum(member.count for member in self.members)

    @property
    def length(self) -> int:
        """The number of steps of the longest training."""
        return max(len(member.y) for member in self.members)

    def content(self) -> bytes:
        """All numbers, times and names as bytes, for a fingerprint."""
        return b"".join(member.content() for member in self.members)

    @property
    def sample(self) -> Sample:
        """The shortest series."""
        return min(self.members, key=lambda member: len(member.y)).sample(self.target, self.steps)


@dataclass
class Member:
    """One series. y: (T,) in original units, NaN where missing; holdout_y: (N,), what follows.

    name: None for an only one; covariates: (T + steps, k), the columns in the order in which the
    regressions take them.
    """

    name: Optional[str]
    series: TableSeries
    y: np.ndarray
    holdout_y: np.ndarray
    covariates: np.ndarray
    units: TargetUnits

    @property
    def is_observed(self) -> np.ndarray:
        return ~np.isnan(self.y)

    @property
    def count(self) -> int:
        """The number of observations to train on."""
        return int(self.is_observed.sum())

    def content(self) -> bytes:
        """All numbers, times and the name as bytes."""
        ends = self.series.labels(0, 1) + self.series.labels(len(self.y) - 1, len(self.y))
        ends = ends if self.name is None else [repr(self.name), *ends]
        parts = [self.y, self.holdout_y, self.covariates]
        arrays = (np.ascontiguousarray(part).tobytes() for part in parts)
        return b"".join([" ".join(ends).encode(), *arrays])

    def sample(self, target: str, steps: int) -> Sample:
        """The rows to train on, and those of covariates that a forecast of so many steps needs."""
        count, end, steps = len(self.y), len(self.y), max(steps, 1)
        if self.series.columns:
            count = min(count, len(self.series.covariates) - steps)
            end = count + steps
        cells = self.series.cells
        place = list(cells).index(target)
        rows = []
        for step, row in zip(self.series.rows.tolist(), map(list, zip(*cells.values()))):
            if step < end:
                if step >= count or np.isnan(self.y[step]):
                    row[place] = ""
                rows.append(row)
        return Sample(list(cells), rows)

    def model_target(self) -> np.ndarray:
        """The target in units of the model, 0 where it is missing."""
        return np.where(self.is_observed, self.units.target_to_model(self.y), 0.0)

    def training_target(self) -> np.ndarray:
        """The target in units of the model, NaN where it is missing."""
        return np.where(self.is_observed, self.model_target(), np.nan)

    def training_covariates(self) -> np.ndarray:
        """Those of the steps of y, (T, k)."""
        return self.covariates[: len(self.y)]


def read_dataset(job: StateSpaceJob) -> Dataset:
    """Reads the series, sets their ends apart and chooses the units from the rest."""
    config = job.data
    regressors = job.model.used_columns(config.all_covariates)
    columns = sum(regressors, [])
    rest: Tuple[Any, ...] = (config.time, config.step, config.target, columns, config.format())
    rest += (config.categorical,)
    read: Union[TableSeries, Panel]
    series: Dict[Any, TableSeries]
    if config.series is None:
        read = read_series(config.path, *rest)
        series = {None: read}
    else:
        read = read_panel(config.path, config.series, *rest)
        series = read.series
    members = [_member(job, name, found) for name, found in series.items()]
    return Dataset(
        config.path,
        config.target,
        config.series,
        members,
        job.steps,
        [_regressor_names(names, read.levels) for names in regressors],
        columns,
        read.levels,
        read.table_format,
    )


def _regressor_names(names: Sequence[str], levels: Dict[str, List[str]]) -> List[str]:
    return [
        name if level is None else f"{name}={level}"
        for name in names
        for level in (levels[name][1:] if name in levels else [None])
    ]


def _member(job: StateSpaceJob, name: Optional[str], series: TableSeries) -> Member:
    count = max(len(series.y) - job.held_out, 0)
    y, holdout_y = series.y[:count], series.y[count:]
    observed = y[~np.isnan(y)]
    if len(observed) < 2:
        before = f", before the hold-out of {job.held_out} steps" if job.held_out else ""
        raise JobError(
            f"{series.path}: {len(observed)} observations to train on{before}; at least 2 are "
            "needed"
        )
    if job.model.noise != "gaussian":
        typical = without_outliers(y)
        observed = typical[~np.isnan(typical)]
    if not job.model.has_noise:
        refuse_impossible(series.path, job.model.likelihood, y, series.labels(0, len(y)))
    find_units = target_units if name is None else panel_units
    return Member(
        name,
        series,
        y,
        holdout_y,
        series.known_covariates(count + job.steps, job.steps),
        find_units(series.path, job.target_scaling, observed),
    )
