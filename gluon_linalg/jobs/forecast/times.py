"""The times of a series on their axis, and as the periods in which GluonTS counts them."""

import re
from functools import lru_cache
from typing import Optional, Sequence

import numpy as np
import pandas as pd

from ...forecast.frequency import period_of
from ..axis import between_steps, find_dates
from ..moments import TIME, WrongTime, find_order, is_time, read_compact, read_moments, to_datetime
from ..steps import parse_step
from ..table_format import AUTO, Format

# How many steps a series may have, so that two distant times do not fill the memory.
MOST_STEPS = 10_000_000
NO_TIME = "'{}' is not a time such as 2020-01-31, 31/01/2020, 2020Q1 or 2020-01-31 12:00"
# Frequencies of the beginning or end of a period, or of its first or last business day. Of their
# periods `get_period_alias` of pandas loses the multiples and the month with which a year begins.
OF_PERIODS = re.compile(r"([0-9]*)B?([MQYA])([ES]?)(?:-([A-Z]{3}))?")
CALENDAR = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


class Times:
    """The steps of one series. steps (n,): of its times, from 0; start: the period of the first.

    texts: in any order; day_first: as `find_order` tells. `WrongTime` for a text that is no time,
    or lies between two steps.
    """

    def __init__(
        self,
        texts: Sequence[str],
        freq: str,
        table_format: Format = AUTO,
        day_first: Optional[bool] = None,
    ) -> None:
        self.day_first, self._dates = day_first, None
        is_dated = all(map(is_time, texts))
        moments = read_moments(texts, day_first) if is_dated else read_compact(texts)
        if moments is None:
            self._read_names(texts, freq)
        else:
            self._read_dates(texts, moments, freq, table_format)

    def text(self, period: pd.Period) -> str:
        """How the series calls a period."""
        if self._dates is None:
            return time_text(period)
        return self._dates.text((period.ordinal - self.start.ordinal) // self.start.freq.n)

    def _read_dates(self, texts, moments, freq, table_format):
        places = np.argsort(moments.instants(), kind="stable")
        moments = moments.take(places)
        step = parse_step(freq) or parse_step(_offset(freq).freqstr)
        self._dates = find_dates("time", moments, step.name, table_format.timezone)
        indices = self._dates.indices(moments)
        self.steps = np.empty(len(texts))
        self.steps[places] = indices
        if np.isnan(indices).any():
            index = int(np.flatnonzero(np.isnan(self.steps))[0])
            raise WrongTime(
                index,
                between_steps(_quoted(texts[index]), freq, texts[places[0]], "data.freq", moments),
            )
        self.steps = self.steps.astype(int)
        first = TIME.fullmatch(texts[places[0]])
        if first and first["quarter"] and _offset(freq).name.startswith("Q"):
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
                raise WrongTime(index, str(error)) from None
        self.start = min(found)
        distances = np.array([one.ordinal - self.start.ordinal for one in found])
        wrong = np.flatnonzero(distances % self.start.freq.n)
        if len(wrong):
            index = int(wrong[0])
            first = texts[int(np.argmin(distances))]
            raise WrongTime(index, between_steps(_quoted(texts[index]), freq, first, "data.freq"))
        self.steps = distances // self.start.freq.n


def order_of(texts: Sequence[str], table_format: Format) -> Optional[bool]:
    """Whether the day comes first in the times of a file; ValueError where they do not tell."""
    return find_order(texts, table_format.day_first)


def period(text: str, freq: str) -> pd.Period:
    """The period of a frequency that a text names; ValueError if it is no time."""
    # What pandas calls a missing value is none here.
    if not any(letter.isdigit() for letter in text):
        raise ValueError(NO_TIME.format(text[:40]))
    try:
        return pd.Period(text, freq=_offset(freq))
    except (ValueError, OverflowError, TypeError):
        raise ValueError(NO_TIME.format(text[:40])) from None


def period_frequency(freq: str) -> str:
    """The frequency of the periods in which dates of this frequency lie, such as M for BME."""
    found = OF_PERIODS.fullmatch(freq)
    if found is None:
        return freq
    count, letter, side, anchor = found.groups()
    if side == "S" and anchor in CALENDAR:
        # A year that begins in April ends in March.
        anchor = CALENDAR[CALENDAR.index(anchor) - 1]
    return f"{count}{letter}" + (f"-{anchor}" if anchor else "")


def time_text(found: pd.Period) -> str:
    """How tables call a period: what `period` reads; of a week its first day."""
    return str(found).split("/")[0]


def _quoted(text):
    return f"'{text[:40]}'"


@lru_cache(maxsize=None)
def _offset(freq):
    # Periods do not know all names that pandas has for a frequency.
    return period_of(period_frequency(freq)).freq
