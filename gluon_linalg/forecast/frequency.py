"""What a pandas frequency says of a series: seasons, a length of context, time features."""

from typing import List

import pandas as pd
from gluonts.time_feature import TimeFeature, time_features_from_frequency_str
from pandas.tseries.frequencies import to_offset

# Seasons in steps of each base frequency, the shortest first.
SEASONS = {
    "Q": (4,),
    "M": (12,),
    "W": (365.25 / 7,),
    "D": (7, 365.25),
    "B": (5, 261),
    "H": (24, 168),
    "MIN": (60, 1440),
    "S": (60, 3600),
}
# The cycle by which GluonTS's deep state model measures its context: at most this many steps.
CYCLES = {"Q": 4, "M": 12, "W": 52, "D": 31, "B": 22, "H": 168, "MIN": 1440, "S": 3600}
SHORTEST_CYCLE, LONGEST_CYCLE = 4, 168
# The season of a day, which is the first that series of minutes have.
OF_A_DAY = {"MIN": 1440}
_NAMES = {"A": "Y", "T": "MIN", "QE": "Q", "ME": "M", "YE": "Y"}


def period_of(freq: str) -> pd.Period:
    """A pandas.Period of a frequency; ValueError for a frequency that periods cannot have."""
    try:
        return pd.Period("2000-01-03", freq=freq)
    except ValueError:
        return pd.Period("2000-01-03", freq=to_offset(freq))


def seasonal_periods(freq: str, context_length: int) -> List[float]:
    """The seasons, in steps, of which a context shows two, or the shortest, if there is any."""
    base, multiple = _base(freq)
    periods = [season / multiple for season in SEASONS.get(base, ()) if season >= 2 * multiple]
    return [p for i, p in enumerate(periods) if i == 0 or 2 * p <= context_length]


def main_seasons(freq: str) -> List[float]:
    """The season, in steps, that a series of unknown length most likely has, in a list, or []."""
    base, multiple = _base(freq)
    if OF_A_DAY.get(base, 0) >= 2 * multiple:
        return [OF_A_DAY[base] / multiple]
    return seasonal_periods(freq, 0)


def cycle_length(freq: str) -> int:
    """The steps of the cycle that contexts are measured by."""
    base, multiple = _base(freq)
    cycle = CYCLES.get(base, SHORTEST_CYCLE) // multiple
    return min(max(cycle, SHORTEST_CYCLE), LONGEST_CYCLE)


def time_features(freq: str) -> List[TimeFeature]:
    """GluonTS's time features of a frequency, [] where it has none."""
    try:
        return time_features_from_frequency_str(freq)
    except RuntimeError:
        return []


def _base(freq):
    offset = period_of(freq).freq
    name = offset.name.split("-")[0].upper()
    return _NAMES.get(name, name), offset.n
