"""Series of a CSV file in long form: a row for each series and time."""

import numpy as np

from ..data import NUMBER, converted, place_of, read_rows
from ..errors import JobError
from .times import MOST_STEPS, Grid

# Larger numbers have squares that a float32 does not.
LARGEST = 1e18


def read_table(path, item, time, target, freq):
    """Entries as GluonTS has them, in the order in which the names first occur.

    path: of a CSV file, or `TableRows`. The rows of a series may come in any order; absent times
    are missing observations. JobError names row and column.
    """
    header, rows = read_rows(path, False)
    if not rows:
        raise JobError(f"{path}: there are no rows below the header; add some")
    names = [name for name in (item, time, target) if name is not None]
    places = {name: place_of(path, header, name) for name in names}
    series = {}
    for line, cells in rows:
        name = "0" if item is None else cells[places[item]]
        if not name:
            raise JobError(
                f"{path}: row {line}, column '{item}': the name of the series is missing"
            )
        text = cells[places[time]]
        if name not in series:
            series[name] = converted(path, line, time, text, lambda text: Grid(text, freq)), {}
        grid, values = series[name]
        step = converted(path, line, time, text, grid.step)
        if step in values:
            raise JobError(
                f"{path}: row {line}, column '{time}': {_named(item, name)} has {text} twice; "
                "keep one row" + ("" if item else ", or name the column of series in data.item")
            )
        values[step] = converted(path, line, target, cells[places[target]], observation)
    return [_entry(path, item, name, *own) for name, own in series.items()]


def observation(text):
    """The number of a cell, NaN for an empty one; ValueError for anything else."""
    if not text or text.lower() in ("nan", "null"):
        return np.nan
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f"'{text[:40]}' is not a number; leave the cell of a missing value empty")
    return not_too_large(float(text))


def not_too_large(number):
    """The number itself; ValueError for one that a network cannot take."""
    if not abs(number) <= LARGEST:
        raise ValueError(f"{number:g} is too large; divide all numbers by one of their size")
    return number


def _entry(path, item, name, grid, values):
    first, last = min(values), max(values)
    if last - first >= MOST_STEPS:
        raise JobError(
            f"{path}: {_named(item, name)}: {last - first + 1} steps from its first to its last "
            f"time; at most {MOST_STEPS} are possible"
        )
    target = np.full(last - first + 1, np.nan)
    target[np.fromiter(values, int) - first] = list(values.values())
    return {"item_id": name, "start": grid.first + first, "target": target}


def _named(item, name):
    return "the series" if item is None else f"series '{name}'"
