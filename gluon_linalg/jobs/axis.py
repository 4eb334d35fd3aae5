"""The axis of times of a series, which has equal steps: the rows themselves, numbers or dates.

One for all tasks with series. An axis counts its steps from 0: `indices` are the steps of given
times, NaN for one between two; `text` is how the table would call a step, as its other times are
written; `place` is where a plot has it.
"""

from datetime import date, datetime
from typing import Any, List, Optional, Union

import numpy as np

from .clocks import Clock, clocks_for, find_zone
from .errors import JobError
from .moments import Moments, Style
from .steps import (
    BUSINESS_DAY,
    DAY,
    SECOND,
    WORDS,
    Step,
    by_business_day,
    day_of,
    find_rule,
    parse_step,
)

# How far a number may be from its step, as a share of the step: times are often rounded.
TOLERANCE = 0.1
# How multiples are named, from the longest.
SHORT = {"D": DAY, "h": 3600 * SECOND, "min": 60 * SECOND, "s": SECOND, "us": 1}


class Rows:
    """No column of times: steps are counted from 1."""

    name, step, has_dates = "row", None, False

    def text(self, index: int) -> str:
        """The number of the row."""
        return str(index + 1)

    def place(self, index: int) -> int:
        """Where a plot has the step."""
        return index + 1


class Numbers:
    """start, start + step, start + 2 step, ..."""

    has_dates = False

    def __init__(self, name: str, start: float, step: float) -> None:
        self.name, self.start, self.step = name, start, step

    def indices(self, numbers: np.ndarray) -> np.ndarray:
        """The step of each number, (n,); NaN for one that is between two."""
        exact = (numbers - self.start) / self.step
        whole = np.round(exact)
        return np.where(np.abs(exact - whole) <= TOLERANCE, whole, np.nan)

    def text(self, index: int) -> str:
        """How the column would call the step."""
        return f"{self.place(index):.12g}"

    def place(self, index: int) -> float:
        """Where a plot has the step."""
        return self.start + index * self.step


class Dates:
    """Dates that are equal steps apart, counted from the first of the `Moments`."""

    has_dates = True

    def __init__(self, name: str, moments: Moments, step: Step, clock: Clock) -> None:
        self.name, self.step, self._step, self._clock = name, step.name, step, clock
        self._style = moments.style
        line = clock.line(moments)
        self._start = line[0]
        self._clock_time = self._start - day_of(self._start)
        # None where steps are no months.
        self._rule: Any = find_rule(day_of(line), step.day) if step.months else None

    def indices(self, moments: Moments) -> np.ndarray:
        """The step of each moment, (n,); NaN for one that is between two."""
        step, line = self._step, self._clock.line(moments)
        if step.length:
            return _whole((line - self._start).astype(np.int64), step.length)
        days, fits = day_of(line), line - day_of(line) == self._clock_time
        if step.business_days:
            fits &= np.is_busday(days)
            counts = np.busday_count(day_of(self._start), days)
            return np.where(fits, _whole(counts, step.business_days), np.nan)
        months = days.astype("datetime64[M]")
        fits &= self._rule(months) == days
        counts = (months - self._start.astype("datetime64[M]")).astype(np.int64)
        return np.where(fits, _whole(counts, step.months), np.nan)

    def place(self, index: int) -> datetime:
        """Where a plot has the step."""
        return self._shown(index)[0]

    def text(self, index: int) -> str:
        """How the column would call the step."""
        return self._style.text(*self._shown(index))

    def line(self, index: int) -> np.datetime64:
        """Where the step is on the line on which steps are equal."""
        step = self._step
        if step.length:
            return self._start + np.timedelta64(step.length * index, "us")
        if step.business_days:
            day = np.busday_offset(day_of(self._start), step.business_days * index, roll="forward")
        else:
            day = self._rule(self._start.astype("datetime64[M]") + step.months * index)
        return day.astype("datetime64[us]") + self._clock_time

    def _shown(self, index):
        try:
            return self._clock.shown(self.line(index))
        except (OverflowError, ValueError):
            raise JobError(f"{self.name}: the forecast leaves the calendar") from None


# What all tasks ask of it: `text`, `place`, and but for rows `indices`.
Axis = Union[Rows, Numbers, Dates]


def find_dates(
    name: str, moments: Moments, step: Optional[str] = None, timezone: Optional[str] = None
) -> Optional[Dates]:
    """The `Dates` of a column of times, increasing.

    step: a word or a frequency; None to find the longest of which none is absent, and then None if
    there is no such. Given a step, some of the times may lie between two.
    """
    zone = None if timezone is None else find_zone(timezone)
    if step is not None:
        found = [_known_step(step)]
    else:
        found = [_known_step(word) for word in (*WORDS, BUSINESS_DAY)] + _even(moments, zone)
    first = None
    for candidate in found:
        for clock in clocks_for(moments, zone, candidate.is_within_days):
            dates = Dates(name, moments, candidate, clock)
            indices = dates.indices(moments)
            fits = not np.isnan(indices).any() and (np.diff(indices) > 0).all()
            if fits and (step is not None or indices[-1] == len(indices) - 1):
                return dates
            first = first or dates
    return None if step is None else first


def lines(moments: Moments, timezone: Optional[str] = None) -> List[np.ndarray]:
    """The places of the times by each clock that can explain them, (n,) each."""
    zone = None if timezone is None else find_zone(timezone)
    clocks = [*clocks_for(moments, zone, False), *clocks_for(moments, zone, True)]
    return [clock.line(moments) for clock in clocks]


def zone_advice(moments: Moments) -> str:
    """What to add to a message where days may begin with those of a time zone, else nothing."""
    clocks = np.unique(moments.walls - moments.walls.astype("datetime64[D]"))
    # An hour earlier in summer, also across midnight.
    if len(clocks) == 2 and (clocks[1] - clocks[0]) / np.timedelta64(1, "h") in (1, 23):
        return ", or name the time zone of the days in data.timezone"
    return ""


def between_steps(
    time: str, length: str, first: str, key: str, moments: Optional[Moments] = None
) -> str:
    """What to tell of a time that is no whole number of steps after the first.

    key: that of the job file which sets the step; moments: of dates.
    """
    return (
        f"{time} is not a whole number of steps of {length} after {first}; correct it, or {key}"
        + ("" if moments is None else zone_advice(moments))
    )


def start_at(word_or_frequency: str, day: date) -> Dates:
    """Steps from a day on, or from the next business day."""
    step = _known_step(word_or_frequency)
    first: Any = np.datetime64(day)
    if step.business_days:
        first = np.busday_offset(day, 0, roll="forward")
    if step.day is not None:
        first = by_business_day(step.day)(first.astype("datetime64[M]"))
    join = " " if step.is_within_days else ""
    style = Style("ymd", "-", True, join, True, bool(join), 6 * (step.length % SECOND > 0), "")
    moments = Moments(np.array([first], "datetime64[us]"), None, style)
    found = find_dates("", moments, word_or_frequency)
    assert found is not None
    return found


def _known_step(name: str) -> Step:
    """That of a name which has been checked."""
    step = parse_step(name)
    assert step is not None, name
    return step


def _even(moments, zone):
    """The constant step between the times, as a list, which is empty where there is none."""
    if len(moments.walls) < 2:
        return []
    months = np.unique(np.diff(moments.walls.astype("datetime64[M]")).astype(int))
    if len(months) == 1 and months[0] > 0:
        return [Step(f"{months[0]}M", months=int(months[0]))]
    for is_within_days in (False, True):
        for clock in clocks_for(moments, zone, is_within_days):
            lengths = np.unique(np.diff(clock.line(moments)).astype(np.int64))
            if len(lengths) == 1 and lengths[0] > 0 and is_within_days == (lengths[0] < DAY):
                length = int(lengths[0])
                unit = next(unit for unit, own in SHORT.items() if length % own == 0)
                count = length // SHORT[unit]
                return [_known_step(unit if count == 1 else f"{count}{unit}")]
    return []


def _whole(counts, size):
    return np.where(counts % size == 0, counts // size, np.nan)
