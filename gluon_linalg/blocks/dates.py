"""Dates as numbers, in a unit that is stated."""

from typing import Any

import numpy as np

from ..errors import NonFiniteError

# The lengths of units in seconds; a year is that of the Gregorian calendar, on average.
UNITS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 7 * 86400.0,
    "year": 365.2425 * 86400.0,
}


def are_dates(value: Any) -> bool:
    """Whether these are dates: numpy.datetime64, or an index of pandas of times or periods."""
    return _kind(value) == "M" or hasattr(value, "to_timestamp")


def elapsed(name: str, value: Any, unit: Any) -> np.ndarray:
    """Dates as float64 numbers of units after the first of them; periods begin at their start.

    unit: a key of `UNITS`, or a timedelta of numpy, pandas or datetime. Raises TypeError without a
    unit, ValueError for what is none, NonFiniteError for NaT.
    """
    if unit is None:
        raise TypeError(
            f"{name} are dates: say in which unit their distances are by time_unit, one of "
            f"{', '.join(UNITS)}, or a timedelta."
        )
    if _kind(value) != "M":
        value = value.to_timestamp()
    # Those of pandas are in UTC.
    dates = np.asarray(getattr(value, "values", value))
    if np.isnat(dates).any():
        raise NonFiniteError(f"{name} have NaT.")
    if dates.dtype.kind != "M":
        raise TypeError(f"{name} are {dates.dtype}, expected dates.")
    ticks = (dates - dates.reshape(-1)[0]).astype("timedelta64[ns]").astype("int64")
    return ticks / (1e9 * _seconds(name, unit))


def _kind(value):
    return getattr(getattr(value, "dtype", None), "kind", None)


def _seconds(name, unit):
    if isinstance(unit, str):
        if unit not in UNITS:
            raise ValueError(
                f"{name}: time_unit is {unit!r}, expected one of {', '.join(UNITS)}, or a "
                "timedelta."
            )
        return UNITS[unit]
    try:
        if isinstance(unit, (int, float)):
            raise TypeError("a number of what?")
        seconds = float(np.timedelta64(unit) / np.timedelta64(1, "s"))
    except (TypeError, ValueError):
        seconds = np.nan
    if not 0 < seconds < np.inf:
        raise ValueError(f"{name}: time_unit is {unit!r}, expected a timedelta above 0.")
    return seconds
