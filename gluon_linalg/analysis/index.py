"""Where observations stand: the index of a pandas Series, which goes on for a forecast."""

from typing import Any, List, Optional

import numpy as np


def index_of(values: Any) -> Any:
    """The index of pandas' rows; None of anything else (a list has a method of this name)."""
    found = getattr(values, "index", None)
    return None if callable(found) else found


def name_of(values: Any) -> str:
    """The name of a Series, else 'y'."""
    name = getattr(values, "name", None)
    return "y" if name is None else str(name)


class SeriesIndex:
    """The index of a Series or DataFrame, or 0, 1, ..., T - 1 of anything else.

    values: as people have them; count: T. name: of a Series, else 'y'.
    """

    def __init__(self, values: Any, count: int) -> None:
        import pandas

        index = index_of(values)
        is_index = isinstance(index, pandas.Index) and len(index) == count
        self.seen: Any = index if is_index else pandas.RangeIndex(count)
        self.name = name_of(values)

    def ahead(self, steps: int) -> Any:
        """The index of the steps after the last."""
        import pandas

        seen = self.seen
        if isinstance(seen, pandas.PeriodIndex):
            return pandas.period_range(seen[-1] + 1, periods=steps, freq=seen.freq, name=seen.name)
        if isinstance(seen, pandas.DatetimeIndex):
            return pandas.date_range(
                seen[-1], periods=steps + 1, freq=_frequency(seen), tz=seen.tz, name=seen.name
            )[1:]
        step = _equal_step(seen)
        if step is None:
            return pandas.RangeIndex(len(seen), len(seen) + steps)
        values = seen[-1] + step * np.arange(1, steps + 1)
        return pandas.Index(values, name=seen.name)

    def places(self, steps: int = 0) -> List[Any]:
        """Where a picture has the steps and those after them."""
        joined = self.seen if not steps else self.seen.append(self.ahead(steps))
        if hasattr(joined, "to_timestamp"):
            joined = joined.to_timestamp()
        if hasattr(joined, "to_pydatetime"):
            return list(joined.to_pydatetime())
        try:
            return list(joined.to_numpy(dtype="float64"))
        except (TypeError, ValueError):
            return list(range(len(joined)))


def _frequency(index: Any) -> Any:
    import pandas

    found = index.freq or (pandas.infer_freq(index) if len(index) > 2 else None)
    if found is None:
        raise ValueError(
            "the times of the series are not equally far apart, so nobody knows the next ones: "
            f"give it a frequency, series.asfreq('{_word(index)}'), or a PeriodIndex; missing "
            "values may be NaN."
        )
    return found


def _equal_step(index: Any) -> Optional[Any]:
    """The distance of numbers that are equally far apart."""
    if index.dtype.kind not in "iuf" or len(index) < 2:
        return None
    distances = np.diff(index.to_numpy())
    first = distances[0]
    return first if np.allclose(distances, first, rtol=1e-9) and first != 0 else None


def _word(index: Any) -> str:
    """The name of a frequency in which all distances may be whole numbers of steps."""
    least = np.diff(np.sort(np.asarray(index))).min() / np.timedelta64(1, "D")
    return "MS" if least >= 27 else "D" if least >= 0.9 else "h"
