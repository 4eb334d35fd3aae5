"""The axis of the times of a table, and the step of each of its rows."""

from dataclasses import replace
from typing import Optional, Tuple, Union

import numpy as np

from ..axis import (
    TOLERANCE,
    Axis,
    Numbers,
    Rows,
    between_steps,
    find_dates,
    lines,
    zone_advice,
)
from ..data import Table
from ..errors import JobError
from ..moments import read_compact
from ..steps import WORDS, parse_step
from ..table_format import AUTO, Format

# The steps between dates that have a word.
UNITS = WORDS

# The longest series, absent rows and forecast included.
MOST_STEPS = 100_000
# The step as the job file has it.
Given = Union[float, str, None]


def find_times(
    table: Table, name: Optional[str], step: Given, table_format: Format = AUTO
) -> Tuple[Axis, np.ndarray]:
    """The times of the column `name`, and the step of each row, (n,) whole numbers from 0.

    step: as in the job file. JobError for rows that are not in order, or not on the steps.
    """
    if name is None:
        return Rows(), np.arange(len(table.lines))
    table = _with_compact_dates(table, name, step)
    _refuse_disorder(table, name, table_format)
    times = _equal_steps(table, name, step, table_format)
    indices = _steps(table, name, times)
    _refuse_between(table, name, times, np.isnan(indices) | (np.diff(indices, prepend=-1.0) == 0))
    return times, indices.astype(int)


def find_grid(
    table: Table, name: str, step: Given, table_format: Format = AUTO
) -> Tuple[Axis, np.ndarray]:
    """As `find_times`, for a table whose rows are sorted, but may share their times."""
    table = _with_compact_dates(table, name, step)
    _, first_rows = np.unique(table.columns[name], return_index=True)
    times = _equal_steps(take(table, first_rows), name, step, table_format)
    indices = _steps(table, name, times)
    _refuse_between(table, name, times, np.isnan(indices))
    return times, indices.astype(int)


def take(table: Table, rows: np.ndarray) -> Table:
    """The table with these rows alone, in this order."""
    return replace(
        table,
        columns={name: values[rows] for name, values in table.columns.items()},
        texts={name: [texts[row] for row in rows] for name, texts in table.texts.items()},
        lines=[table.lines[row] for row in rows],
        moments={name: moments.take(rows) for name, moments in table.moments.items()},
    )


def _with_compact_dates(table, name, step):
    """The table, to whose reader dates such as 20200131 are numbers; a number as step agrees.

    195803 is taken for a month where the step is one of dates.
    """
    moments = None if name in table.dates else read_compact(table.texts[name])
    if moments is None or isinstance(step, (int, float)):
        return table
    if step is None and "d" not in moments.style.order:
        return table
    moments = {**table.moments, name: moments}
    return replace(table, dates=[*table.dates, name], moments=moments)


def _equal_steps(table, name, step, table_format):
    if name in table.dates:
        return _dates(table, name, step, table_format)
    return _numbers(table, name, step)


def _steps(table, name, times):
    """The step of each row; NaN for one that is between two steps."""
    values = table.moments[name] if times.has_dates else table.columns[name]
    with np.errstate(all="ignore"):
        indices = times.indices(values)
    if indices[-1] >= MOST_STEPS:
        first, last = table.texts[name][0], table.texts[name][-1]
        raise JobError(
            f"{table.path}: column '{name}': from {first} to {last} there are "
            f"{indices[-1] + 1:.6g} steps; at most {MOST_STEPS} are possible"
        )
    return indices


def _refuse_between(table, name, times, is_wrong):
    if is_wrong.any():
        wrong, first = _where(table, name, np.argmax(is_wrong)), table.texts[name][0]
        moments = table.moments[name] if times.has_dates else None
        raise JobError(between_steps(wrong, _length(times), first, "data.step", moments))


def _length(times):
    return str(parse_step(times.step)) if times.has_dates else f"{times.step:g}"


def _dates(table, name, step, table_format):
    if step is not None and not isinstance(step, str):
        raise JobError(
            f"data.step: {step:g}, but '{name}' has dates; expected one of {', '.join(UNITS)}"
        )
    dates = find_dates(name, table.moments[name], step, table_format.timezone)
    if dates is None:
        advice = zone_advice(table.moments[name])
        example = f"such as step: {_nearest_word(table.moments[name].walls)}"
        raise JobError(_not_equal(table, name, example) + advice)
    return dates


def _nearest_word(walls):
    """The longest step of which all distances between sorted dates may be made."""
    distances = np.diff(walls).astype("timedelta64[s]").astype(float) / 86400.0
    if (distances % 7.0 == 0.0).all():
        return "week"
    # The shortest that each can be, in days.
    shortest = {"year": 365.0, "quarter": 89.0, "month": 27.0}
    return next((word for word, days in shortest.items() if distances.min() >= days), "day")


def _numbers(table, name, step):
    values = table.columns[name]
    if isinstance(step, str):
        raise JobError(f"data.step: {step}, but '{name}' has numbers; expected a number")
    if step is not None:
        return Numbers(name, float(values[0]), step)
    with np.errstate(all="ignore"):
        distances = np.diff(values) if len(values) > 1 else np.ones(1)
        usual = np.median(distances)
    if not np.isfinite(distances.sum()) or np.abs(distances - usual).max() > TOLERANCE * usual:
        raise JobError(_not_equal(table, name, f"such as step: {usual:.6g}"))
    return Numbers(name, float(values[0]), float(distances.mean()))


def _refuse_disorder(table, name, table_format):
    values = [table.columns[name]]
    if name in table.dates:
        # An hour that comes twice in autumn is in order by the clocks of its zone.
        values = lines(table.moments[name], table_format.timezone)
    wrong = [np.flatnonzero(own[1:] <= own[:-1]) for own in values]
    if all(len(rows) for rows in wrong):
        before, row = wrong[0][0], wrong[0][0] + 1
        raise JobError(
            f"{_where(table, name, row)} does not come after {table.texts[name][before]} in row "
            f"{table.lines[before]}; sort the rows by time, each time once"
        )


def _not_equal(table, name, example):
    return (
        f"{table.path}: column '{name}': the rows are not equally far apart; set data.step, "
        f"{example}, and absent times become missing observations"
    )


def _where(table, name, row):
    return f"{table.path}: row {table.lines[row]}, column '{name}': {table.texts[name][row]}"
