"""What the derivatives of all kernels share."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ... import functional as fn
from ...typing import Array, Namespace
from ..kernels import Kernel

WIDE = "float64"
# One for each column of x; None for a derivative that is 0.
Slopes = List[Optional[Array]]
Bends = Dict[Tuple[int, int], Array]


class Differentiated(NamedTuple):
    """A kernel k(a, b) and its derivatives, for pairs of points (B, n, m) or single ones (B, m)."""

    value: Array
    slopes: Slopes  # ∂k/∂b_j
    # ∂²k/∂a_i∂b_j where a = b, for i <= j; nothing for what is 0, and for pairs.
    bends: Bends

    def cast(self, F: Namespace, dtype: str) -> "Differentiated":
        """The same in another dtype."""
        slopes = [None if a is None else F.cast(a, dtype=dtype) for a in self.slopes]
        bends = {pair: F.cast(bend, dtype=dtype) for pair, bend in self.bends.items()}
        return Differentiated(F.cast(self.value, dtype=dtype), slopes, bends)


class Points(NamedTuple):
    """Pairs of rows of x (B, n, d) and z (B, m, d), or with x None each row of z with itself."""

    x: Optional[Array]
    z: Array
    columns: int

    def left(self, F: Namespace, column: int) -> Array:
        """a_j, (B, n, 1), or (B, m)."""
        if self.x is None:
            return self.right(F, column)
        return F.slice_axis(self.x, axis=2, begin=column, end=column + 1)

    def right(self, F: Namespace, column: int) -> Array:
        """b_j, (B, 1, m), or (B, m)."""
        return self.of_right(F, self.z, column)

    def of_right(self, F: Namespace, values: Array, column: int) -> Array:
        """One column of values (B, m, k) of the rows of z, (B, 1, m), or (B, m)."""
        own = F.slice_axis(values, axis=2, begin=column, end=column + 1)
        return F.reshape(own, shape=(0, -1)) if self.x is None else fn.transpose(F, own)

    def difference(self, F: Namespace, column: int) -> Array:
        """b_j - a_j."""
        return F.broadcast_sub(self.right(F, column), self.left(F, column))

    def ones(self, F: Namespace) -> Array:
        """1 for each pair."""
        return fn.ones_like(F, self.difference(F, 0))


# (F, kernel, points, hyperparameters, twice) -> Differentiated, by the class of the kernel.
DERIVATIVES: Dict[type, Callable[..., Differentiated]] = {}


def differentiated(
    F: Namespace,
    kernel: Kernel,
    x: Optional[Array],
    z: Array,
    columns: int,
    hyperparameters: Optional[Dict[str, Array]] = None,
    twice: bool = False,
) -> Differentiated:
    """k(x, z) and its derivatives by z, all in float64.

    x: (B, n, d), or None for each row of z with itself; z: (B, m, d); columns: d. twice: whether
    the second derivatives are wanted, with x None. Raises TypeError for a kernel without closed
    derivatives, and ValueError for a process without derivatives.
    """
    active = _active(kernel, columns)
    x = None if x is None else kernel.select(F, F.cast(x, dtype=WIDE))
    z = kernel.select(F, F.cast(z, dtype=WIDE))
    function = DERIVATIVES.get(type(kernel))
    if function is None:
        known = ", ".join(sorted(cls.__name__ for cls in DERIVATIVES))
        raise TypeError(
            f"{kernel.name}: there are no closed derivatives of {type(kernel).__name__}; there are "
            f"of {known}. Differentiate `mean` and `variance` by mx.autograd instead."
        )
    found = function(F, kernel, Points(x, z, len(active)), hyperparameters, twice)
    if active == list(range(columns)):
        return found
    slopes: Slopes = [None] * columns
    bends: Bends = {}
    for inner_column, column in enumerate(active):
        slopes[column] = plus(slopes[column], found.slopes[inner_column])
    for (i, j), bend in found.bends.items():
        pair = (min(active[i], active[j]), max(active[i], active[j]))
        # A column that is taken twice.
        bend = 2.0 * bend if i != j and active[i] == active[j] else bend
        bends[pair] = plus(bends.get(pair), bend)
    return Differentiated(found.value, slopes, bends)


def _active(kernel: Kernel, columns: int) -> List[int]:
    runs = kernel._columns._runs
    if runs is None:
        return list(range(columns))
    return [j for begin, end in runs for j in range(begin, columns if end is None else end)]


def own_values(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Optional[Dict[str, Array]]
) -> Dict[str, Array]:
    """The hyperparameters, (B or 1, k, 1) for pairs and (B or 1, k) for single points."""
    found = kernel.own(F, points.z, WIDE, hyperparameters)
    if points.x is None:
        return found
    return {name: F.expand_dims(value, axis=2) for name, value in found.items()}


def of_column(F: Namespace, kernel: Kernel, name: str, values: Array, column: int) -> Array:
    """That of one column among `own_values`, which may have one for all."""
    if getattr(kernel, name).shape == (1,):
        return values
    return F.slice_axis(values, axis=1, begin=column, end=column + 1)


def plus(a: Optional[Array], b: Optional[Array]) -> Any:
    """a + b, where None is 0."""
    return b if a is None else a if b is None else a + b


def times(a: Optional[Array], b: Optional[Array]) -> Any:
    """a · b, where None is 0."""
    return None if a is None or b is None else a * b


def pairs_of(columns: int) -> List[Tuple[int, int]]:
    """(i, j) of all i <= j."""
    return [(i, j) for j in range(columns) for i in range(j + 1)]


def rough(kernel: Kernel) -> ValueError:
    """What to raise where a derivative of the process is asked for that it has not."""
    return ValueError(
        f"{kernel.name}: the paths of a process with the kernel {type(kernel).__name__} have no "
        "derivative; its mean and variance have (`gradient`)."
    )
