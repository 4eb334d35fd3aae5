"""The times of a table as periods of a frequency."""

from functools import lru_cache

import pandas as pd

from ...forecast.frequency import period_of

# How many steps a series may have, so that two distant times do not fill the memory.
MOST_STEPS = 10_000_000
NO_TIME = "'{}' is not a time such as 2020-01-31 or 2020-01-31 12:00"


def period(text, freq):
    """The period of a frequency that a text names; ValueError if it is no time."""
    # What pandas calls a missing value is none here.
    if not any(letter.isdigit() for letter in text):
        raise ValueError(NO_TIME.format(text[:40]))
    try:
        return pd.Period(text, freq=_offset(freq))
    except (ValueError, OverflowError, TypeError):
        raise ValueError(NO_TIME.format(text[:40])) from None


class Grid:
    """The steps of one series, counted from its first time."""

    def __init__(self, text, freq):
        self._text, self.freq = text, freq
        self.first, self._place = _located(text, freq)

    def step(self, text):
        """Which step a time is, possibly below 0; ValueError if it lies between two."""
        found, place = _located(text, self.freq)
        # Months and longer may be counted from a day at their end, too.
        same = any(own == its for own, its in zip(self._place, place))
        steps, rest = divmod(found.ordinal - self.first.ordinal, self.first.freq.n)
        if rest or not same:
            raise ValueError(
                f"'{text[:40]}' is not a whole number of steps of {self.freq} after {self._text}; "
                "correct it, or data.freq"
            )
        return steps


def time_text(found):
    """How tables call a period: what `period` reads; of a week its first day."""
    return str(found).split("/")[0]


@lru_cache(maxsize=None)
def _offset(freq):
    # Periods do not know all names that pandas has for a frequency.
    return period_of(freq).freq


# Series of one table mostly have the same times.
@lru_cache(maxsize=100_000)
def _located(text, freq):
    """The period of a time, and seconds from its beginning to the time, and from there to its end.

    The seconds are 0 where pandas has no timestamps.
    """
    found = period(text, freq)
    try:
        time = pd.Timestamp(text).tz_localize(None)
        begin, end = found.start_time, found.end_time
        return found, ((time - begin).total_seconds(), (end - time).total_seconds())
    except (ValueError, OverflowError):
        return found, (0.0, 0.0)
