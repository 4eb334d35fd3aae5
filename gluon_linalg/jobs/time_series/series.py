"""A series of a CSV file: on regular steps, up to its last observation."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from ...errors import listing
from ..axis import Axis
from ..categories import add_contrasts, find_levels
from ..data import Table, TableRows, read_table
from ..errors import JobError
from ..table_format import AUTO, Format
from .times import Given, find_times


@dataclass
class TableSeries:
    """Observations on regular steps, NaN where one is missing, and what is known of later ones.

    y: (n,), the last one observed, or (n, p) of p targets; covariates: (m, k) by column, m >= n;
    both in float64. The first step is step `start` of `times`; texts: how the file calls the steps,
    counted from that one; path: what messages call the series; cells: of the columns of the file,
    one for each of `rows`, which are steps; levels: the names in columns of such, of which each but
    the first has a column; table_format: with what the file told of itself.
    """

    path: str
    times: Axis
    texts: Dict[int, str]
    y: np.ndarray
    covariates: np.ndarray
    columns: List[str]
    cells: Dict[str, List[str]]
    rows: np.ndarray
    start: int = 0
    levels: Dict[str, List[str]] = field(default_factory=dict)
    table_format: Format = AUTO

    def labels(self, begin: int, end: int) -> List[str]:
        """How the steps from `begin` to before `end` are called: as in the file, if they are."""
        return [
            self.texts.get(index) or self.times.text(self.start + index)
            for index in range(begin, end)
        ]

    def places(self, begin: int, end: int) -> List[Any]:
        """Where a plot has these steps."""
        return [self.times.place(self.start + index) for index in range(begin, end)]

    def known_covariates(self, count: int, steps: int) -> np.ndarray:
        """The covariates of `count` steps, (count, k); JobError where one is missing.

        steps: how many of these are forecast.
        """
        known, origin = len(self.covariates), count - steps
        if self.columns and known < count:
            last = self.labels(origin - 1, origin)[0]
            raise JobError(
                f"{self.path}: a forecast of {steps} steps after {last} needs their covariates, "
                f"but the file has those of {known - origin}; add rows with an empty target, or "
                "lower forecast.steps"
            )
        missing = np.argwhere(np.isnan(self.covariates[:count]))
        if len(missing):
            index, column = missing[0]
            raise JobError(
                f"{self.path}: column '{self.columns[column]}': there is no value at "
                f"{self.labels(index, index + 1)[0]}; covariates are needed at every step"
            )
        return self.covariates[:count] if self.columns else np.zeros((count, 0))


def read_series(
    path: Union[str, TableRows],
    time: Optional[str],
    step: Given,
    target: Union[str, Sequence[str]],
    covariates: Sequence[str],
    table_format: Format = AUTO,
    categorical: Sequence[str] = (),
    levels: Optional[Dict[str, List[str]]] = None,
    every_row: bool = False,
) -> TableSeries:
    """The `TableSeries` of a file; see `Data` for the arguments.

    target: one column, or a list of several; levels: those of the training, of the columns of
    names; every_row: see `read_table`.
    """
    labels = [] if time is None else [time]
    known = [*_listed(target), *covariates]
    table = read_table(
        path,
        [*labels, *known],
        labels,
        with_gaps=known,
        keep_blank=time is None,
        table_format=table_format,
        categorical=categorical,
        every_row=every_row,
    )
    levels = find_levels(table, categorical) if levels is None else levels
    columns = add_contrasts(table, covariates, levels)
    times, indices = find_times(table, time, step, table_format)
    series = make_series(path, table, times, indices, time, target, columns)
    series.levels = levels
    series.table_format = table_format._replace(day_first=table.day_first)
    return series


def make_series(
    path: Union[str, TableRows],
    table: Table,
    times: Axis,
    indices: np.ndarray,
    time: Optional[str],
    target: Union[str, Sequence[str]],
    covariates: Sequence[str],
) -> TableSeries:
    """The `TableSeries` of a table whose rows are at the steps `indices` of `times`, increasing."""
    start, indices = indices[0], indices - indices[0]
    is_observed = ~np.isnan(table.array(_listed(target)))
    if not is_observed.any():
        names = listing([f"'{name}'" for name in _listed(target)])
        columns = "column" if isinstance(target, str) else "columns"
        raise JobError(f"{path}: {columns} {names}: no value is observed; fill some cells in")
    last = np.flatnonzero(is_observed.any(axis=1))[-1]
    y = _on_steps(table, _listed(target), indices)[: indices[last] + 1]
    return TableSeries(
        str(path),
        times,
        {} if time is None else dict(zip(indices.tolist(), table.texts[time])),
        y[:, 0] if isinstance(target, str) else y,
        _on_steps(table, covariates, indices),
        list(covariates),
        table.texts,
        indices,
        int(start),
    )


def _listed(target: Union[str, Sequence[str]]) -> List[str]:
    return [target] if isinstance(target, str) else list(target)


def _on_steps(table: Table, names: Sequence[str], indices: np.ndarray) -> np.ndarray:
    """The columns by step, (m, k), NaN where the file has no row."""
    values = np.full((indices[-1] + 1, len(names)), np.nan)
    if names:
        values[indices] = table.array(names)
    return values
