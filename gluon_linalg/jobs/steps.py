"""Steps between dates: their names, and which day of its month each is.

A frequency has the name that pandas gives it. The offsets of pandas and its `infer_freq` would
count in Timestamps, which end in 1677 and 2262, its Periods have neither days of the month nor time
zones, neither finds a step where times are absent, and all jobs but forecasts do without pandas.
"""

import re
from typing import Callable, NamedTuple, Optional

import numpy as np

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
# The day of each month (n,) that is a step.
Rule = Callable[[np.ndarray], np.ndarray]


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

    def __str__(self) -> str:
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


def find_rule(days: np.ndarray, business: Optional[str]) -> Rule:
    """Which day of a month the dates are: months -> days.

    The first rule that all of them follow: the last day; the same day, or the last one of a shorter
    month; the same number of days before the end; the last or the first business day.
    """
    if business is not None:
        return by_business_day(business)
    months = days.astype("datetime64[M]")
    number = (days - months.astype(days.dtype)).astype(int) + 1
    before = (_last(months) - days).astype(int)
    candidates = [
        _by_number(31),
        _by_number(int(number.max())),
        _before_end(int(before[0])),
        by_business_day("end"),
        by_business_day("begin"),
    ]
    for rule in candidates:
        if (rule(months) == days).all():
            return rule
    return _by_number(int(number[0]))


def _by_number(number):
    return lambda months: np.minimum(day_of(months) + (number - 1), _last(months))


def _before_end(count):
    return lambda months: _last(months) - count


def by_business_day(which: str) -> Rule:
    """The first (begin) or the last (end) business day of months."""
    if which == "end":
        return lambda months: np.busday_offset(_last(months), 0, roll="backward")
    return lambda months: np.busday_offset(day_of(months), 0, roll="forward")


def _last(months):
    return day_of(months + 1) - 1


def day_of(moment: np.ndarray) -> np.ndarray:
    """The day of a time."""
    return moment.astype("datetime64[D]")
