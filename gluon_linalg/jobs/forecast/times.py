"""The times of a series as periods of a frequency, and how the series calls later ones."""

import re
from functools import lru_cache

import numpy as np
import pandas as pd

from ...forecast.frequency import period_of
from ..moments import TIME, find_order, is_time, read_moments, to_datetime
from ..steps import find_dates, parse_step, zone_advice
from ..table_format import AUTO

# How many steps a series may have, so that two distant times do not fill the memory.
MOST_STEPS = 10_000_000
NO_TIME = "'{}' is not a time such as 2020-01-31, 31/01/2020, 2020Q1 or 2020-01-31 12:00"
# Frequencies of the beginning or end of a period, or of its first or last business day.
OF_PERIODS = re.compile(r"([0-9]*)B?([MQYA])([ES]?)(?:-([A-Z]{3}))?")
CALENDAR = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


class WrongTimes(ValueError):
    """What is wrong with one of several texts, number `index`."""

    def __init__(self, index, message):
        super().__init__(message)
        self.index = index


class Times:
    """The steps of one series. steps (n,): of its times, from 0; start: the period of the first.

    texts: in any order; day_first: as `find_order` tells. `WrongTimes` for a text that is no time,
    or lies between two steps.
    """

    def __init__(self, texts, freq, table_format=AUTO, day_first=None):
        self.day_first, self._dates = day_first, None
        if all(map(is_time, texts)):
            self._read_dates(texts, freq, table_format)
        else:
            self._read_names(texts, freq)

    def text(self, period):
        """How the series calls a period."""
        if self._dates is None:
            return time_text(period)
        return self._dates.text((period.ordinal - self.start.ordinal) // self.start.freq.n)

    def _read_dates(self, texts, freq, table_format):
        moments = read_moments(texts, self.day_first)
        places = np.argsort(moments.instants(), kind="stable")
        moments = moments.take(places)
        step = parse_step(freq) or parse_step(_offset(freq).freqstr)
        self._dates = find_dates("time", moments, step.name, table_format.timezone)
        indices = self._dates.indices(moments)
        self.steps = np.empty(len(texts))
        self.steps[places] = indices
        if np.isnan(indices).any():
            index = int(np.flatnonzero(np.isnan(self.steps))[0])
            raise WrongTimes(index, _between(texts[index], freq, texts[places[0]], moments))
        self.steps = self.steps.astype(int)
        first = TIME.fullmatch(texts[places[0]])
        if first["quarter"] and _offset(freq).name.startswith("Q"):
            # Of a year that may end with another month than December.
            self.start = period(f"{first['of']}Q{first['quarter']}", freq)
        else:
            self.start = pd.Period(to_datetime(self._dates.line(0)), freq=_offset(freq))

    def _read_names(self, texts, freq):
        """Years, and what else pandas knows."""
        found = []
        for index, text in enumerate(texts):
            try:
                found.append(period(text, freq))
            except ValueError as error:
                raise WrongTimes(index, str(error)) from None
        self.start = min(found)
        distances = np.array([one.ordinal - self.start.ordinal for one in found])
        wrong = np.flatnonzero(distances % self.start.freq.n)
        if len(wrong):
            index = int(wrong[0])
            first = texts[int(np.argmin(distances))]
            raise WrongTimes(index, _between(texts[index], freq, first))
        self.steps = distances // self.start.freq.n


def order_of(texts, table_format):
    """Whether the day comes first in the times of a file; ValueError where they do not tell."""
    return find_order(texts, table_format.day_first)


def period(text, freq):
    """The period of a frequency that a text names; ValueError if it is no time."""
    # What pandas calls a missing value is none here.
    if not any(letter.isdigit() for letter in text):
        raise ValueError(NO_TIME.format(text[:40]))
    try:
        return pd.Period(text, freq=_offset(freq))
    except (ValueError, OverflowError, TypeError):
        raise ValueError(NO_TIME.format(text[:40])) from None


def period_frequency(freq):
    """The frequency of the periods in which dates of this frequency lie, such as M for BME."""
    found = OF_PERIODS.fullmatch(freq)
    if found is None:
        return freq
    count, letter, side, anchor = found.groups()
    if side == "S" and anchor in CALENDAR:
        # A year that begins in April ends in March.
        anchor = CALENDAR[CALENDAR.index(anchor) - 1]
    return f"{count}{letter}" + (f"-{anchor}" if anchor else "")


def time_text(found):
    """How tables call a period: what `period` reads; of a week its first day."""
    return str(found).split("/")[0]


def _between(text, freq, first, moments=None):
    message = f"'{text[:40]}' is not a whole number of steps of {freq} after {first}; "
    message += "correct it, or data.freq"
    return message if moments is None else message + zone_advice(moments)


@lru_cache(maxsize=None)
def _offset(freq):
    # Periods do not know all names that pandas has for a frequency.
    return period_of(period_frequency(freq)).freq
