"""Equally spaced times: which step a row is, and how later steps are called."""

from calendar import monthrange
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from ..data import DATE, parse_date
from ..errors import JobError

# The lengths of the steps between dates, from the longest: in months, or in days.
UNITS = {"year": (12, 0), "quarter": (3, 0), "month": (1, 0), "week": (0, 7), "day": (0, 1)}

# How far a number may be from its step, as a share of the step: times are often rounded.
TOLERANCE = 0.1

# The longest series, absent rows and forecast included.
MOST_STEPS = 100_000


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


class Dates:
    """Dates that are days, weeks, months, quarters or years apart.

    day: the day of the month, for months and longer; the last one in a shorter month.
    """

    has_dates = True

    def __init__(self, name, start, step, day, with_day):
        self.name, self.start, self.step = name, start, step
        self.day, self.with_day = day, with_day

    def indices(self, dates):
        """The steps of the dates; NaN for one that is none."""
        months, days = UNITS[self.step]
        if days:
            distances = np.array([(when - self.start).days for when in dates])
            return np.where(distances % days == 0, distances // days, np.nan)
        distances = np.array([_months(when) - _months(self.start) for when in dates])
        fits = [when.day == _day_in_month(when.year, when.month, self.day) for when in dates]
        return np.where(fits & (distances % months == 0), distances // months, np.nan)

    def text(self, index):
        return self.place(index).isoformat()[: 10 if self.with_day else 7]

    def place(self, index):
        months, days = UNITS[self.step]
        try:
            if days:
                return self.start + timedelta(days=days * index)
            year, month = divmod(_months(self.start) + months * index, 12)
            return date(year, month + 1, _day_in_month(year, month + 1, self.day))
        except (OverflowError, ValueError):
            raise JobError(f"{self.name}: the forecast leaves the calendar") from None


def find_times(table, name, step):
    """The times of the column `name`, and the step of each row, (n,) whole numbers from 0.

    step: as in the job file. JobError for rows that are not in order, or not on the steps.
    """
    if name is None:
        return Rows(), np.arange(len(table.lines))
    _refuse_disorder(table, name)
    times = _equal_steps(table, name, step)
    indices = _steps(table, name, times)
    _refuse_between(table, name, times, np.isnan(indices) | (np.diff(indices, prepend=-1.0) == 0))
    return times, indices.astype(int)


def find_grid(table, name, step):
    """As `find_times`, for a table whose rows are sorted, but may share their times."""
    _, first_rows = np.unique(table.columns[name], return_index=True)
    times = _equal_steps(take(table, first_rows), name, step)
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
    )


def _equal_steps(table, name, step):
    return _dates(table, name, step) if name in table.dates else _numbers(table, name, step)


def _steps(table, name, times):
    """The step of each row; NaN for one that is between two steps."""
    values = table.columns[name]
    if times.has_dates:
        values = [parse_date(text) for text in table.texts[name]]
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
        length = f"{times.step:g}" if not times.has_dates else f"1 {times.step}"
        raise JobError(
            f"{_where(table, name, np.argmax(is_wrong))} is not a whole number of steps of "
            f"{length} after {table.texts[name][0]}; correct it, or data.step"
        )


def _dates(table, name, step):
    dates = [parse_date(text) for text in table.texts[name]]
    if step is not None and step not in UNITS:
        raise JobError(
            f"data.step: {step:g}, but '{name}' has dates; expected one of {', '.join(UNITS)}"
        )
    day = dates[0].day
    if day == monthrange(dates[0].year, dates[0].month)[1]:
        # The end of the month, or a day that this month happens to end with.
        day = max(when.day for when in dates)
    with_day = DATE.fullmatch(table.texts[name][0])[3] is not None
    if step is not None:
        return Dates(name, dates[0], step, day, with_day)
    for step in UNITS:
        times = Dates(name, dates[0], step, day, with_day)
        if np.array_equal(times.indices(dates), np.arange(len(dates))):
            return times
    raise JobError(_not_equal(table, name, "such as step: month"))


def _numbers(table, name, step):
    values = table.columns[name]
    if step in UNITS:
        raise JobError(f"data.step: {step}, but '{name}' has numbers; expected a number")
    if step is not None:
        return Numbers(name, float(values[0]), step)
    with np.errstate(all="ignore"):
        distances = np.diff(values) if len(values) > 1 else np.ones(1)
        usual = np.median(distances)
    if not np.isfinite(distances.sum()) or np.abs(distances - usual).max() > TOLERANCE * usual:
        raise JobError(_not_equal(table, name, f"such as step: {usual:.6g}"))
    return Numbers(name, float(values[0]), float(distances.mean()))


def _refuse_disorder(table, name):
    values = table.columns[name]
    wrong = np.flatnonzero(values[1:] <= values[:-1])
    if len(wrong):
        before, row = wrong[0], wrong[0] + 1
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


def _months(when):
    return 12 * when.year + when.month - 1


def _day_in_month(year, month, day):
    return min(day, monthrange(year, month)[1])
