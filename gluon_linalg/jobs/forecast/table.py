"""Series of a CSV file in long form: a row for each series and time."""

from typing import Any, Dict, List, Optional, Union

import numpy as np

from ..data import TableRows, converted, place_of, read_rows
from ..errors import JobError
from ..moments import WrongTime
from ..table_format import AUTO, Format
from ..values import MISSING, NUMBER, TRUTHS, decimal_point, find_decimal
from .times import MOST_STEPS, Times, order_of

# Larger numbers have squares that a float32 does not.
LARGEST = 1e18


class Entry(dict):
    """An entry as GluonTS has them; times: how its series calls its steps."""

    def __init__(self, times: Times, **values: Any) -> None:
        super().__init__(**values)
        self.times = times


def read_table(
    path: Union[str, TableRows],
    item: Optional[str],
    time: str,
    target: str,
    freq: str,
    table_format: Format = AUTO,
    every_row: bool = False,
) -> List[Entry]:
    """`Entry`s in the order in which the names first occur.

    path: of a CSV file, or `TableRows`. The rows of a series may come in any order; absent times
    are missing observations. every_row: as in `data.read_table`. JobError names row and column.
    """
    names = [name for name in (item, time, target) if name is not None]
    header, rows, separator = read_rows(path, False, names, table_format, every_row)
    if not rows:
        raise JobError(f"{path}: there are no rows below the header; add some")
    places = {name: place_of(path, header, name, separator) for name in names}
    lines = [line for line, _ in rows]
    texts = {name: [cells[place] for _, cells in rows] for name, place in places.items()}
    values = _observations(path, target, lines, texts[target], separator, table_format)
    for line, text in zip(lines, texts[time]):
        if not text:
            raise JobError(
                f"{path}: row {line}, column '{time}': the cell is empty; fill it in or remove the "
                "row"
            )
    try:
        order = order_of(texts[time], table_format)
    except ValueError as error:
        raise JobError(f"{path}: column '{time}': {error}") from None
    series: Dict[str, List[int]] = {}
    for row, line in enumerate(lines):
        name = "0" if item is None else texts[item][row]
        if not name:
            raise JobError(
                f"{path}: row {line}, column '{item}': the name of the series is missing"
            )
        series.setdefault(name, []).append(row)
    entries = []
    for name, indices in series.items():
        own = [texts[time][row] for row in indices]
        try:
            times = Times(own, freq, table_format, order)
        except WrongTime as error:
            line = lines[indices[error.index]]
            raise JobError(f"{path}: row {line}, column '{time}': {error}") from None
        _refuse_twice(path, item, time, name, own, times.steps, [lines[row] for row in indices])
        entries.append(_entry(path, item, name, times, values[indices]))
    return entries


def _observations(path, target, lines, texts, separator, table_format):
    if find_decimal(separator, [texts], table_format.decimal) == ",":
        texts = [converted(path, line, target, t, decimal_point) for line, t in zip(lines, texts)]
    values = [converted(path, line, target, text, observation) for line, text in zip(lines, texts)]
    return np.array(values)


def _refuse_twice(path, item, time, name, texts, steps, lines):
    seen = set()
    for text, step, line in zip(texts, steps.tolist(), lines):
        if step in seen:
            raise JobError(
                f"{path}: row {line}, column '{time}': {_named(item, name)} has {text} twice; "
                "keep one row" + ("" if item else ", or name the column of series in data.item")
            )
        seen.add(step)


def observation(text: str) -> float:
    """The number of a cell, NaN for an empty one; ValueError for anything else."""
    if text in MISSING or text.lower() in ("nan", "null"):
        return np.nan
    if text in TRUTHS:
        return TRUTHS[text]
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f"'{text[:40]}' is not a number; leave the cell of a missing value empty")
    return not_too_large(float(text))


def not_too_large(number: float) -> float:
    """The number itself; ValueError for one that a network cannot take."""
    if not abs(number) <= LARGEST:
        raise ValueError(f"{number:g} is too large; divide all numbers by one of their size")
    return number


def _entry(path, item, name, times, values):
    count = int(times.steps.max()) + 1
    if count > MOST_STEPS:
        raise JobError(
            f"{path}: {_named(item, name)}: {count} steps from its first to its last "
            f"time; at most {MOST_STEPS} are possible"
        )
    target = np.full(count, np.nan)
    target[times.steps] = values
    return Entry(times, item_id=name, start=times.start, target=target)


def _named(item, name):
    return "the series" if item is None else f"series '{name}'"
