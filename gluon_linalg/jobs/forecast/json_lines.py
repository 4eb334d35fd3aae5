"""Series in GluonTS's JSON lines: one object for each."""

import json
from typing import Any, Callable, List, Sequence

import numpy as np

from ..data import JsonSeries
from ..errors import JobError, reason
from ..table_format import AUTO, Format
from .table import Entry, not_too_large
from .times import Times, order_of

FEATURES = {"feat_static_cat": 1, "feat_static_real": 1, "feat_dynamic_real": 2}


def read_json_lines(path: str, freq: str, table_format: Format = AUTO) -> List[Entry]:
    """`Entry`s; JobError names the line."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(file, 1) if line.strip()]
    except UnicodeDecodeError:
        raise JobError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except FileNotFoundError:
        raise JobError(f"{path}: there is no such data file; correct the path") from None
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None
    places = [f"line {number}" for number, _ in lines]
    objects = _each(path, places, _object, [line for _, line in lines])
    return _entries(path, places, objects, freq, table_format)


def read_objects(series: JsonSeries, freq: str, table_format: Format = AUTO) -> List[Entry]:
    """The `Entry`s of `JsonSeries`; JobError names the place of the object, counted from 1."""
    places = [f"series {number}" for number in range(1, len(series.objects) + 1)]
    objects = _each(series.name, places, _checked, series.objects)
    return _entries(series.name, places, objects, freq, table_format)


def _entries(path, places, objects, freq, table_format):
    try:
        starts = [found.get("start") for found in objects]
        starts = [start.strip() for start in starts if isinstance(start, str)]
        order = order_of(starts, table_format)
    except ValueError as error:
        raise JobError(f"{path}: start: {error}") from None
    return _each(path, places, lambda found: _entry(found, freq, table_format, order), objects)


def _each(
    path: str, places: Sequence[str], convert: Callable[[Any], Any], values: Sequence[Any]
) -> List[Any]:
    """What `convert` makes of each value; its ValueError as a JobError that says where."""
    found = []
    for place, value in zip(places, values):
        try:
            found.append(convert(value))
        except ValueError as error:
            raise JobError(f"{path}: {place}: {error}") from None
    return found


def _object(line):
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _checked(found)


def _checked(found):
    if not isinstance(found, dict):
        raise ValueError('expected an object such as {"start": "2020-01", "target": [1, 2]}')
    return found


def _entry(found, freq, table_format, order):
    for key in ("start", "target"):
        if found.get(key) is None:
            raise ValueError(f"there is no '{key}'; each line needs start and target")
    start, item = found["start"], found.get("item_id")
    if not isinstance(start, str):
        raise ValueError(f"start: expected a time in quotes, such as {json.dumps('2020-01-31')}")
    if item is not None and not isinstance(item, (str, int, float)):
        raise ValueError("item_id: expected text or a number")
    times = _named("start", Times, [start.strip()], freq, table_format, order)
    entry = Entry(
        times,
        item_id=None if item is None else str(item),
        start=times.start,
        target=_named("target", _numbers, found["target"], 1),
    )
    for name, axes in FEATURES.items():
        if found.get(name) is not None:
            entry[name] = _named(name, _numbers, found[name], axes)
            if not np.isfinite(entry[name]).all():
                raise ValueError(f"{name}: has a missing value; only target may have these")
    return entry


def _named(name, convert, *arguments):
    try:
        return convert(*arguments)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _numbers(values: Any, axes: int) -> np.ndarray:
    """A list, or a list of lists of one length, as an array; null and NaN are NaN."""
    if not isinstance(values, list):
        raise ValueError("expected a list of numbers" if axes == 1 else "expected a list of lists")
    if axes == 1:
        return np.array([_number(value) for value in values], dtype="float64")
    rows = [_numbers(row, axes - 1) for row in values]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its lists have different lengths")
    return np.array(rows, dtype="float64")


def _number(value: Any) -> float:
    if value is None or (isinstance(value, str) and value.lower() == "nan"):
        return np.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{json.dumps(value)[:40]} is not a number; write null for a missing one")
    try:
        value = float(value)
    except OverflowError:
        raise ValueError("a whole number is too large; divide all numbers by one") from None
    return value if np.isnan(value) else not_too_large(value)
