"""The columns of x that a kernel sees."""

from numbers import Integral
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ...errors import ShapeError, no_such_column
from ...typing import Array, Namespace


class ActiveColumns:
    """Runs of columns of x (B, n, d).

    name: of the kernel, for errors; active_dims: None for all columns, or numbers of columns and
    slices of them, counted from 0; `slice(3, None)` is all from the fourth on.
    """

    def __init__(self, name: str, active_dims: Any) -> None:
        self._name = name
        self._runs = None if active_dims is None else _runs(name, active_dims)

    @property
    def sees_all(self) -> bool:
        return self._runs is None

    def count(self, columns: Optional[int]) -> Optional[int]:
        """How many of `columns` columns are active; None where that depends on their number."""
        if self._runs is None:
            return columns
        count = 0
        for begin, end in self._runs:
            end = columns if end is None else end
            if end is None:
                return None
            count += end - begin
        return count

    def check(self, columns: int) -> None:
        """Raises ShapeError where there are fewer than the active ones."""
        for begin, end in self._runs or ():
            last = begin if end is None else end - 1
            if last >= columns:
                raise no_such_column(self._name, max(begin, columns), columns)

    def select(self, F: Namespace, x: Array) -> Array:
        """The active columns of x."""
        if self._runs is None:
            return x
        name = f"columns__{self._name}__active_dims"
        parts = [F.slice_axis(x, axis=2, begin=b, end=e, name=name) for b, e in self._runs]
        return parts[0] if len(parts) == 1 else F.concat(*parts, dim=2)


def _runs(name: str, active_dims: Optional[Sequence[int]]) -> List[Tuple[int, Optional[int]]]:
    """Where runs of columns begin and end; None for the end of x."""
    runs = [_run(item) for item in np.atleast_1d(np.asarray(active_dims, dtype=object))]
    if not runs or None in runs:
        raise ShapeError(
            f"{name}: active_dims is {active_dims!r}, expected a list of numbers of columns of "
            "'x', counted from 0."
        )
    least = min(begin for begin, _ in runs)
    if least < 0:
        raise ShapeError(
            f"{name}: active_dims has column {least}; columns of 'x' are counted from 0, "
            "the last of d is d - 1."
        )
    return runs


def _run(item: Any) -> Any:
    if isinstance(item, Integral) and not isinstance(item, bool):
        return int(item), int(item) + 1
    if isinstance(item, slice) and item.step in (None, 1):
        begin, end = item.start or 0, item.stop
        if end is None or 0 <= begin < end:
            return begin, end
    return None
