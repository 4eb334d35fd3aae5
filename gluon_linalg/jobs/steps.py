"""Equal steps between dates: which step a date is, and how later steps are called.

One module for all tasks with series. A frequency has the name that pandas gives it.
"""

import re
from typing import NamedTuple, Optional

import numpy as np

from .clocks import clocks_for, find_zone
from .errors import JobError
from .moments import Moments, Style

FREQUENCY = re.compile(r"([0-9]{0,6}) ?([A-Za-z]+)(?:-[A-Za-z]{3})?", re.ASCII)
SECOND = 10**6
DAY = 86400 * SECOND
# The words of a job file for steps between dates, from the longest.
WORDS = ("year", "quarter", "month", "week", "day")
MONTHS = {"year": 12, "quarter": 3, "month": 1}
LENGTHS = {"week": 7 * DAY, "day": DAY, "hour": 3600 * SECOND, "minute": 60 * SECOND}
LENGTHS.update(second=SECOND, millisecond=1000, microsecond=1)
# The names of pandas: in its old versions, its new ones, and for beginnings.
NAMES = {
    "year": "Y YE A YS AS BY BYE BA BYS BAS",
    "quarter": "Q QE QS BQ BQE BQS",
    "month": "M ME MS BM BME BMS",
    "week": "W",
    "day": "D",
    "hour": "h H",
    "minute": "min T MIN",
    "second": "s S",
    "millisecond": "ms L",
    "microsecond": "us U",
}
WORD_OF = {name: word for word, names in NAMES.items() for name in (word, *names.split())}
BUSINESS_DAY = "B"
# How multiples are named, from the longest.
SHORT = {"D": DAY, "h": 3600 * SECOND, "min": 60 * SECOND, "s": SECOND, "us": 1}


class Step(NamedTuple):
    """A step: so many months, microseconds or business days, one of them above 0.

    day: for months, begin or end where it is the first or last business day of each.
    """

    name: str
    months: int = 0
    length: int = 0
    business_days: int = 0
    day: Optional[str] = None

    @property
    def is_within_days(self) -> bool:
        """Whether several steps may begin on the same day."""
        return 0 < self.length < DAY

    def __str__(self):
        return f"1 {self.name}" if self.name in WORDS else self.name


def parse_step(name: str) -> Optional[Step]:
    """The step of a word, or of a frequency of pandas such as 15min; None for anything else."""
    found = FREQUENCY.fullmatch(name)
    if found is None or int(found[1] or 1) == 0:
        return None
    count, base = int(found[1] or 1), found[2]
    if base == BUSINESS_DAY:
        return Step(name, business_days=count)
    word = WORD_OF.get(base)
    if word in MONTHS:
        day = ("begin" if base.endswith("S") else "end") if base.startswith("B") else None
        return Step(name, months=count * MONTHS[word], day=day)
    return None if word is None else Step(name, length=count * LENGTHS[word])


class Dates:
    """Dates that are equal steps apart, counted from the first of the `Moments`."""

    has_dates = True

    def __init__(self, name: str, moments: Moments, step: Step, clock):
        self.name, self.step, self._step, self._clock = name, step.name, step, clock
        self._style = moments.style
        line = clock.line(moments)
        self._start = line[0]
        self._clock_time = self._start - _day(self._start)
        self._rule = _find_rule(_day(line), step.day) if step.months else None

    def indices(self, moments: Moments) -> np.ndarray:
        """The step of each moment, (n,); NaN for one that is between two."""
        step, line = self._step, self._clock.line(moments)
        if step.length:
            return _whole((line - self._start).astype(np.int64), step.length)
        days, fits = _day(line), line - _day(line) == self._clock_time
        if step.business_days:
            fits &= np.is_busday(days)
            counts = np.busday_count(_day(self._start), days)
            return np.where(fits, _whole(counts, step.business_days), np.nan)
        months = days.astype("datetime64[M]")
        fits &= self._rule(months) == days
        counts = (months - self._start.astype("datetime64[M]")).astype(np.int64)
        return np.where(fits, _whole(counts, step.months), np.nan)

    def place(self, index: int):
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
            day = np.busday_offset(_day(self._start), step.business_days * index, roll="forward")
        else:
            day = self._rule(self._start.astype("datetime64[M]") + step.months * index)
        return day.astype("datetime64[us]") + self._clock_time

    def _shown(self, index):
        try:
            return self._clock.shown(self.line(index))
        except (OverflowError, ValueError):
            raise JobError(f"{self.name}: the forecast leaves the calendar") from None


def find_dates(name: str, moments: Moments, step=None, timezone=None) -> Optional[Dates]:
    """The `Dates` of a column of times, increasing.

    step: a word or a frequency; None to find the longest of which none is absent, and then None if
    there is no such. Given a step, some of the times may lie between two.
    """
    zone = None if timezone is None else find_zone(timezone)
    if step is not None:
        found = [parse_step(step)]
    else:
        found = [parse_step(word) for word in (*WORDS, BUSINESS_DAY)] + _even(moments, zone)
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


def lines(moments: Moments, timezone=None):
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


def start_at(word_or_frequency: str, day) -> Dates:
    """Steps from a day on, or from the next business day."""
    step = parse_step(word_or_frequency)
    first = np.busday_offset(day, 0, roll="forward") if step.business_days else np.datetime64(day)
    if step.day is not None:
        first = _by_business_day(step.day)(first.astype("datetime64[M]"))
    join = " " if step.is_within_days else ""
    style = Style("ymd", "-", True, join, True, bool(join), 6 * (step.length % SECOND > 0), "")
    moments = Moments(np.array([first], "datetime64[us]"), None, style)
    return find_dates("", moments, word_or_frequency)


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
                return [parse_step(unit if count == 1 else f"{count}{unit}")]
    return []


def _find_rule(days, business):
    """Which day of a month the dates are: months -> days.

    The first rule that all of them follow: the last day; the same day, or the last one of a shorter
    month; the same number of days before the end; the last or the first business day.
    """
    if business is not None:
        return _by_business_day(business)
    months = days.astype("datetime64[M]")
    number = (days - months.astype(days.dtype)).astype(int) + 1
    before = (_last(months) - days).astype(int)
    candidates = [
        _by_number(31),
        _by_number(int(number.max())),
        _before_end(int(before[0])),
        _by_business_day("end"),
        _by_business_day("begin"),
    ]
    for rule in candidates:
        if (rule(months) == days).all():
            return rule
    return _by_number(int(number[0]))


def _by_number(number):
    return lambda months: np.minimum(_day(months) + (number - 1), _last(months))


def _before_end(count):
    return lambda months: _last(months) - count


def _by_business_day(which):
    if which == "end":
        return lambda months: np.busday_offset(_last(months), 0, roll="backward")
    return lambda months: np.busday_offset(_day(months), 0, roll="forward")


def _last(months):
    return _day(months + 1) - 1


def _day(moment):
    return moment.astype("datetime64[D]")


def _whole(counts, size):
    return np.where(counts % size == 0, counts // size, np.nan)
