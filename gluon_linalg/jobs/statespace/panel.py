"""Many series in one table: a row for each series and time."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from ...fitting.units import mean_and_deviation
from ..categories import add_contrasts, find_levels
from ..data import TableRows, read_table
from ..errors import JobError
from ..table_format import AUTO, Format
from ..time_series.series import TableSeries, make_series
from ..time_series.times import Given, find_grid, take
from ..units import TargetUnits, target_units

# How many series are smoothed or forecast at once: what they need is in memory.
MOST_TOGETHER = 64


@dataclass
class Panel:
    """The series of a table by name, in the order of their names; column: where these stand.

    levels, table_format: see `TableSeries`.
    """

    path: str
    column: str
    series: Dict[str, TableSeries]
    levels: Dict[str, List[str]]
    table_format: Format


def read_panel(
    path: Union[str, TableRows],
    column: str,
    time: str,
    step: Given,
    target: str,
    covariates: Sequence[str],
    table_format: Format = AUTO,
    categorical: Sequence[str] = (),
    levels: Optional[Dict[str, List[str]]] = None,
    every_row: bool = False,
) -> Panel:
    """The `Panel` of a table; see `Data` and `read_series` for the arguments.

    The rows may come in any order. All series lie on the same steps.
    """
    columns = [column, time, target, *covariates]
    table = read_table(
        path,
        columns,
        [time],
        [target, *covariates],
        label=column,
        table_format=table_format,
        categorical=categorical,
        every_row=every_row,
    )
    levels = find_levels(table, categorical) if levels is None else levels
    covariates = add_contrasts(table, covariates, levels)
    table = take(table, np.argsort(table.columns[time], kind="stable"))
    times, indices = find_grid(table, time, step, table_format)
    names = table.columns[column]
    found, places, counts = np.unique(names, return_inverse=True, return_counts=True)
    by_series = np.split(np.argsort(places, kind="stable"), np.cumsum(counts)[:-1])
    series = {}
    for name, rows in zip(found.tolist(), by_series):
        own, where = take(table, rows), named(path, name)
        _refuse_twice(own, time, indices[rows], where)
        series[name] = make_series(where, own, times, indices[rows], time, target, covariates)
    table_format = table_format._replace(day_first=table.day_first)
    return Panel(str(path), column, series, levels, table_format)


def named(path: Union[str, TableRows], name: str) -> str:
    """What messages call a series."""
    return f"{path}: series '{name}'"


def panel_units(path: str, scaling: str, observed: np.ndarray) -> TargetUnits:
    """The units in which a model sees one of many series; observed: its values to train on."""
    if scaling == "standardize" and mean_and_deviation(observed)[1] == 0:
        raise JobError(
            f"{path}: all values are the same, which leaves nothing to divide by; remove the "
            "series, or choose data.target_scaling: center"
        )
    return target_units(path, scaling, observed)


def batches(lengths: Union[Sequence[int], np.ndarray]) -> List[List[int]]:
    """Lists of places in `lengths` where the same number stands, none longer than is sensible."""
    lengths = np.asarray(lengths)
    places = [np.flatnonzero(lengths == length).tolist() for length in np.unique(lengths)]
    return [part for group in places for part in _parts(group)]


def similar(lengths: Sequence[int]) -> List[List[int]]:
    """Lists of all places in `lengths` by size, none longer than is sensible."""
    return _parts(np.argsort(lengths, kind="stable").tolist())


def _parts(places: List[int]) -> List[List[int]]:
    return [places[i : i + MOST_TOGETHER] for i in range(0, len(places), MOST_TOGETHER)]


def _refuse_twice(table, time, indices, where):
    again = np.flatnonzero(np.diff(indices) == 0)
    if len(again):
        first, second = table.lines[again[0]], table.lines[again[0] + 1]
        raise JobError(
            f"{where}: rows {first} and {second} are of the same time, "
            f"{table.texts[time][again[0]]}; keep one of them"
        )
