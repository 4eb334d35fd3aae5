"""The times of a table on equal steps: numbers, dates, or the rows themselves."""

from dataclasses import replace

import numpy as np

from ..errors import JobError
from ..steps import WORDS, Dates, find_dates, lines, parse_step, zone_advice
from ..table_format import AUTO

# The steps between dates that have a word.
UNITS = WORDS

# How far a number may be from its step, as a share of the step: times are often rounded.
TOLERANCE = 0.1

# The longest series, absent rows and forecast included.
MOST_STEPS = 100_000

__all__ = ["MOST_STEPS", "UNITS", "Dates", "Numbers", "Rows", "find_grid", "find_times", "take"]


class Rows:
    """No column of times: steps are counted from 1."""

    name, step, has_dates = "row", None, False

    def text(self, index):
        return str(index + 1)

    def place(self, index):
        """Where a plot has the step."""
        return index + 1


class Numbers:
    """start, start + step, start + 2 step, ..."""

    has_dates = False

    def __init__(self, name, start, step):
        self.name, self.start, self.step = name, start, step

    def indices(self, numbers):
        """The steps of the numbers; NaN for one that is none."""
        exact = (numbers - self.start) / self.step
        whole = np.round(exact)
        return np.where(np.abs(exact - whole) <= TOLERANCE, whole, np.nan)

    def text(self, index):
        return f"{self.place(index):.12g}"

    def place(self, index):
        return self.start + index * self.step


def find_times(table, name, step, table_format=AUTO):
    """The times of the column `name`, and the step of each row, (n,) whole numbers from 0.

    step: as in the job file. JobError for rows that are not in order, or not on the steps.
    """
    if name is None:
        return Rows(), np.arange(len(table.lines))
    _refuse_disorder(table, name, table_format)
    times = _equal_steps(table, name, step, table_format)
    indices = _steps(table, name, times)
    _refuse_between(table, name, times, np.isnan(indices) | (np.diff(indices, prepend=-1.0) == 0))
    return times, indices.astype(int)


def find_grid(table, name, step, table_format=AUTO):
    """As `find_times`, for a table whose rows are sorted, but may share their times."""
    _, first_rows = np.unique(table.columns[name], return_index=True)
    times = _equal_steps(take(table, first_rows), name, step, table_format)
    indices = _steps(table, name, times)
    _refuse_between(table, name, times, np.isnan(indices))
    return times, indices.astype(int)


def take(table, rows):
    """The table with these rows alone, in this order."""
    return replace(
        table,
        columns={name: values[rows] for name, values in table.columns.items()},
        texts={name: [texts[row] for row in rows] for name, texts in table.texts.items()},
        lines=[table.lines[row] for row in rows],
        moments={name: moments.take(rows) for name, moments in table.moments.items()},
    )


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
        raise JobError(
            f"{_where(table, name, np.argmax(is_wrong))} is not a whole number of steps of "
            f"{_length(times)} after {table.texts[name][0]}; correct it, or data.step"
            + (zone_advice(table.moments[name]) if times.has_dates else "")
        )


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
        raise JobError(_not_equal(table, name, "such as step: month") + advice)
    return dates


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
