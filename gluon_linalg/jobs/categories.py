"""Columns of names as columns of 0 and 1, one for each level."""

from typing import Dict, List, Sequence

import numpy as np

from .data import Table
from .errors import JobError

# More are the names of rows rather than of groups.
MOST_LEVELS = 1000


def find_levels(table: Table, categorical: Sequence[str]) -> Dict[str, List[str]]:
    """The names in each of these columns, sorted; JobError where there are too many."""
    # An empty cell, where there may be such, is NaN.
    found = {name: set(table.columns[name].tolist()) for name in categorical}
    levels = {name: sorted(v for v in own if isinstance(v, str)) for name, own in found.items()}
    for name, own in levels.items():
        if len(own) > MOST_LEVELS:
            raise JobError(
                f"{table.path}: column '{name}': {len(own)} different names; at most "
                f"{MOST_LEVELS} are possible in data.categorical"
            )
    return levels


def encoded(table: Table, names: Sequence[str], levels: Dict[str, List[str]]) -> np.ndarray:
    """The columns side by side, (n, d), one of 0 and 1 for each level in place of its column.

    JobError names the row of a level that is not among those of the training.
    """
    columns = []
    for name in names:
        values = table.columns[name]
        if name in levels:
            _refuse_unknown(table, name, levels[name])
            values = (values[:, None] == np.array(levels[name], dtype=object)).astype("float64")
        columns.append(values.reshape(len(table.lines), -1))
    return np.hstack(columns)


def encoded_names(names: Sequence[str], levels: Dict[str, List[str]]) -> List[str]:
    """For each of the columns of `encoded` the name of the column of the table."""
    return [name for name in names for _ in levels.get(name, [None])]


def level_names(names: Sequence[str], levels: Dict[str, List[str]]) -> List[str]:
    """Names of the columns of `encoded` of which no two are the same."""
    return [
        name if level is None else f"{name}={level}"
        for name in names
        for level in levels.get(name, [None])
    ]


def _refuse_unknown(table, name, levels):
    for line, value in zip(table.lines, table.columns[name].tolist()):
        if isinstance(value, str) and value not in levels:
            raise JobError(
                f"{table.path}: row {line}, column '{name}': '{value[:40]}' is none of the levels "
                f"of the training: {', '.join(levels)[:200]}"
            )


def add_contrasts(table: Table, names: Sequence[str], levels: Dict[str, List[str]]) -> List[str]:
    """Adds columns of 0 and 1 for each level but the first; returns the names of all columns.

    The first is what the level of a series stands for. An empty cell is NaN in each.
    """
    found = []
    for name in names:
        if name not in levels:
            found.append(name)
            continue
        if len(levels[name]) < 2:
            raise JobError(
                f"{table.path}: column '{name}': all rows have the same name, which has no effect "
                "to estimate; remove it from data.categorical"
            )
        _refuse_unknown(table, name, levels[name])
        values = table.columns[name]
        is_known = np.array([isinstance(value, str) for value in values.tolist()])
        for level in levels[name][1:]:
            found.append(f"{name}={level}")
            table.columns[found[-1]] = np.where(is_known, values == level, np.nan)
    return found
