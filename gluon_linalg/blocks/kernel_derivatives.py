"""Derivatives of kernels by their inputs, in closed form.

`DERIVATIVES` has a function for each class of kernels. It is looked up by the class itself, not by
one that it inherits from: a subclass may mean another function.
"""

import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .. import functional as fn
from ..typing import Array, Namespace
from .kernels import (
    RBF,
    Constant,
    Cosine,
    Kernel,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
    Product,
    RationalQuadratic,
    Scaled,
    Sum,
    White,
)
from .kernels.combination import inner

WIDE = "float64"
# One for each column of x; None for a derivative that is 0.
Slopes = List[Optional[Array]]


class Differentiated(NamedTuple):
    """A kernel k(a, b) and its derivatives, for pairs of points (B, n, m) or single ones (B, m)."""

    value: Array
    slopes: Slopes  # ∂k/∂b_j
    # ∂²k/∂a_i∂b_j where a = b, for i <= j; nothing for what is 0, and for pairs.
    bends: Dict[Tuple[int, int], Array]


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
        own = F.slice_axis(self.z, axis=2, begin=column, end=column + 1)
        return F.reshape(own, shape=(0, -1)) if self.x is None else fn.transpose(F, own)

    def difference(self, F: Namespace, column: int) -> Array:
        """b_j - a_j."""
        return F.broadcast_sub(self.right(F, column), self.left(F, column))


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
    bends: Dict[Tuple[int, int], Array] = {}
    for inner_column, column in enumerate(active):
        slopes[column] = _plus(slopes[column], found.slopes[inner_column])
    for (i, j), bend in found.bends.items():
        pair = (min(active[i], active[j]), max(active[i], active[j]))
        # A column that is taken twice.
        bend = 2.0 * bend if i != j and active[i] == active[j] else bend
        bends[pair] = _plus(bends.get(pair), bend)
    return Differentiated(found.value, slopes, bends)


def _active(kernel: Kernel, columns: int) -> List[int]:
    runs = kernel._columns._runs
    if runs is None:
        return list(range(columns))
    return [j for begin, end in runs for j in range(begin, columns if end is None else end)]


def _plus(a: Optional[Array], b: Optional[Array]) -> Any:
    return b if a is None else a if b is None else a + b


def _own(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Optional[Dict[str, Array]]
) -> Dict[str, Array]:
    """The hyperparameters, (B or 1, k, 1) for pairs and (B or 1, k) for single points."""
    found = kernel.own(F, points.z, WIDE, hyperparameters)
    if points.x is None:
        return found
    return {name: F.expand_dims(value, axis=2) for name, value in found.items()}


def _of_column(F: Namespace, kernel: Kernel, name: str, values: Array, column: int) -> Array:
    if getattr(kernel, name).shape == (1,):
        return values
    return F.slice_axis(values, axis=1, begin=column, end=column + 1)


def _ones(F: Namespace, points: Points) -> Array:
    return fn.ones_like(F, points.difference(F, 0))


def _stationary(profile: Callable[..., Tuple[Array, Array]], smooth: bool = True) -> Callable:
    """Of v · p(s), s = Σ_d ((a_d - b_d)/ℓ_d)²; profile: s, others -> p, p'.

    ∂k/∂b_j = 2 v p'(s) (b_j - a_j)/ℓ_j², and ∂²k/∂a_j∂b_j = -2 v p'(0)/ℓ_j² where a = b.
    """

    def function(
        F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
    ) -> Differentiated:
        own = _own(F, kernel, points, hyperparameters)
        variance, lengthscale = own.pop("variance"), own.pop("lengthscale")
        single = points.x is None
        if single and twice and not smooth:
            raise _rough(kernel)
        squared: Any = None
        weighted = []
        for j in range(points.columns):
            scale = _of_column(F, kernel, "lengthscale", lengthscale, j)
            step = F.broadcast_div(points.difference(F, j), scale)
            squared = _plus(squared, F.square(step))
            weighted.append((step, scale))
        value, slope = profile(F, squared, **own)
        slope = 2.0 * F.broadcast_mul(slope, variance)
        slopes: Slopes = [None] * points.columns
        bends = {}
        for j, (step, scale) in enumerate(weighted):
            if not single:
                slopes[j] = F.broadcast_div(slope * step, scale)
            elif twice:
                bends[j, j] = -F.broadcast_div(slope, F.square(scale))
        return Differentiated(F.broadcast_mul(value, variance), slopes, bends)

    return function


def _rbf(F: Namespace, s: Array) -> Tuple[Array, Array]:
    value = F.exp(-0.5 * s)
    return value, -0.5 * value


def _matern12(F: Namespace, s: Array) -> Tuple[Array, Array]:
    # Not differentiable where points coincide, which contributes 0.
    apart = fn.stop(F, s) != 0.0
    r = F.sqrt(F.where(apart, s, fn.ones_like(F, s)))
    value = F.exp(-r * apart)
    return value, -0.5 * value / r * apart


def _matern32(F: Namespace, s: Array) -> Tuple[Array, Array]:
    r = math.sqrt(3.0) * _root(F, s)
    decay = F.exp(-r)
    return (1.0 + r) * decay, -1.5 * decay


def _matern52(F: Namespace, s: Array) -> Tuple[Array, Array]:
    r = math.sqrt(5.0) * _root(F, s)
    decay = F.exp(-r)
    return (1.0 + r + F.square(r) / 3.0) * decay, -5.0 / 6.0 * (1.0 + r) * decay


def _rational_quadratic(F: Namespace, s: Array, alpha: Array) -> Tuple[Array, Array]:
    logarithm = F.log1p(F.broadcast_mul(0.5 * s, 1.0 / alpha))
    return (
        F.exp(-F.broadcast_mul(logarithm, alpha)),
        -0.5 * F.exp(-F.broadcast_mul(logarithm, alpha + 1.0)),
    )


def _root(F: Namespace, s: Array) -> Array:
    apart = fn.stop(F, s) != 0.0
    return F.sqrt(F.where(apart, s, fn.ones_like(F, s))) * apart


def _periodic(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """∂k/∂b_j = -k · 2π/(p_j ℓ_j²) sin(2π (b_j - a_j)/p_j)."""
    own = _own(F, kernel, points, hyperparameters)
    exponent: Any = None
    slopes: Slopes = []
    bends = {}
    for j in range(points.columns):
        scale = F.square(_of_column(F, kernel, "lengthscale", own["lengthscale"], j))
        wave = 2.0 * math.pi / _of_column(F, kernel, "period", own["period"], j)
        angle = F.broadcast_mul(points.difference(F, j), wave)
        exponent = _plus(exponent, F.broadcast_div(-2.0 * F.square(F.sin(0.5 * angle)), scale))
        slopes.append(F.broadcast_mul(-F.sin(angle), F.broadcast_div(wave, scale)))
        bends[j, j] = F.broadcast_div(F.square(wave), scale)
    value = F.broadcast_mul(F.exp(exponent), own["variance"])
    if points.x is not None:
        return Differentiated(value, [value * slope for slope in slopes], {})
    bends = {pair: F.broadcast_mul(value, bend) for pair, bend in bends.items()} if twice else {}
    return Differentiated(value, [None] * points.columns, bends)


def _cosine(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = _own(F, kernel, points, hyperparameters)
    waves, angle = [], None
    for j in range(points.columns):
        waves.append(2.0 * math.pi / _of_column(F, kernel, "period", own["period"], j))
        angle = _plus(angle, F.broadcast_mul(points.difference(F, j), waves[j]))
    value = F.broadcast_mul(F.cos(angle), own["variance"])
    if points.x is not None:
        slope = F.broadcast_mul(-F.sin(angle), own["variance"])
        return Differentiated(value, [F.broadcast_mul(slope, wave) for wave in waves], {})
    pairs = [(i, j) for j in range(points.columns) for i in range(j + 1)] if twice else []
    bends = {(i, j): F.broadcast_mul(value, waves[i] * waves[j]) for i, j in pairs}
    return Differentiated(value, [None] * points.columns, bends)


def _linear(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = _own(F, kernel, points, hyperparameters)["variance"]
    value: Any = None
    slopes: Slopes = []
    bends = {}
    for j in range(points.columns):
        variance = _of_column(F, kernel, "variance", own, j)
        left = F.broadcast_mul(points.left(F, j), variance)
        right = points.right(F, j)
        value = _plus(value, F.broadcast_mul(right, left))
        slopes.append(F.broadcast_mul(_ones(F, points), left))
        if twice:
            bends[j, j] = F.broadcast_mul(fn.ones_like(F, right), variance)
    return Differentiated(value, slopes, bends)


def _polynomial(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = _own(F, kernel, points, hyperparameters)
    degree, variance = kernel._degree, own["variance"]
    base, scaled = F.broadcast_mul(_ones(F, points), own["offset"]), []
    for j in range(points.columns):
        scale = _of_column(F, kernel, "lengthscale", own["lengthscale"], j)
        scaled.append((F.broadcast_div(points.left(F, j), F.square(scale)), F.square(scale)))
        base = base + F.broadcast_mul(points.right(F, j), scaled[j][0])
    first = F.broadcast_mul(degree * base ** (degree - 1), variance)
    slopes: Slopes = [F.broadcast_mul(first, left) for left, _ in scaled]
    bends = {}
    for j in range(points.columns if twice else 0):
        for i in range(j + 1):
            bend = F.zeros_like(first)
            if degree > 1:
                second = F.broadcast_mul(degree * (degree - 1) * base ** (degree - 2), variance)
                bend = second * scaled[i][0] * scaled[j][0]
            bends[i, j] = bend + F.broadcast_div(first, scaled[j][1]) if i == j else bend
    return Differentiated(F.broadcast_mul(base**degree, variance), slopes, bends)


def _constant(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    variance = _own(F, kernel, points, hyperparameters)["variance"]
    return Differentiated(F.broadcast_mul(_ones(F, points), variance), [None] * points.columns, {})


def _white(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    if twice:
        raise _rough(kernel)
    variance = _own(F, kernel, points, hyperparameters)["variance"]
    share = 1.0 if points.x is None else 0.0
    value = F.broadcast_mul(share * _ones(F, points), variance)
    return Differentiated(value, [None] * points.columns, {})


def _sum(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    total = None
    for part in _parts(F, kernel, points, hyperparameters, twice):
        total = part if total is None else _added(total, part)
    return total  # type: ignore[return-value]


def _product(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    total = None
    for part in _parts(F, kernel, points, hyperparameters, twice):
        total = part if total is None else _multiplied(total, part, twice)
    return total  # type: ignore[return-value]


def _scaled(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = inner(hyperparameters, "kernel")
    found = differentiated(F, kernel.kernel, points.x, points.z, points.columns, own, twice)
    variance = _own(F, kernel, points, hyperparameters)["variance"]

    def times(a: Optional[Array]) -> Any:
        return None if a is None else F.broadcast_mul(a, variance)

    return Differentiated(
        times(found.value),
        [times(slope) for slope in found.slopes],
        {pair: times(bend) for pair, bend in found.bends.items()},
    )


def _parts(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> List[Differentiated]:
    return [
        differentiated(
            F, part, points.x, points.z, points.columns, inner(hyperparameters, index), twice
        )
        for index, part in enumerate(kernel.kernels)
    ]


def _added(a: Differentiated, b: Differentiated) -> Differentiated:
    slopes = [_plus(p, q) for p, q in zip(a.slopes, b.slopes)]
    pairs = sorted({*a.bends, *b.bends})
    bends = {pair: _plus(a.bends.get(pair), b.bends.get(pair)) for pair in pairs}
    return Differentiated(a.value + b.value, slopes, bends)


def _multiplied(a: Differentiated, b: Differentiated, twice: bool) -> Differentiated:
    """The rule of products; where a = b, ∂k/∂a_i = ∂k/∂b_i."""

    def times(p: Optional[Array], q: Optional[Array]) -> Any:
        return None if p is None or q is None else p * q

    columns = range(len(a.slopes))
    slopes = [_plus(times(a.slopes[j], b.value), times(a.value, b.slopes[j])) for j in columns]
    bends = {}
    for pair in [(i, j) for j in columns for i in range(j + 1)] if twice else []:
        i, j = pair
        bend = _plus(times(a.bends.get(pair), b.value), times(a.value, b.bends.get(pair)))
        bend = _plus(bend, times(a.slopes[i], b.slopes[j]))
        bend = _plus(bend, times(a.slopes[j], b.slopes[i]))
        if bend is not None:
            bends[pair] = bend
    return Differentiated(a.value * b.value, slopes, bends)


def _rough(kernel: Kernel) -> ValueError:
    return ValueError(
        f"{kernel.name}: the paths of a process with the kernel {type(kernel).__name__} have no "
        "derivative; its mean and variance have (`gradient`)."
    )


DERIVATIVES: Dict[type, Callable[..., Differentiated]] = {
    RBF: _stationary(_rbf),
    Matern12: _stationary(_matern12, smooth=False),
    Matern32: _stationary(_matern32),
    Matern52: _stationary(_matern52),
    RationalQuadratic: _stationary(_rational_quadratic),
    Periodic: _periodic,
    Cosine: _cosine,
    Linear: _linear,
    Polynomial: _polynomial,
    Constant: _constant,
    White: _white,
    Sum: _sum,
    Product: _product,
    Scaled: _scaled,
}
