"""Derivatives of kernels that are made of kernels."""

from typing import Any, List, Optional

from ...typing import Array, Namespace
from ..kernels import Kernel
from ..kernels.combination import inner
from .base import (
    WIDE,
    Bends,
    Differentiated,
    Points,
    Slopes,
    differentiated,
    own_values,
    pairs_of,
    plus,
    times,
)


def total(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of a sum."""
    found = None
    for part in _parts(F, kernel, points, hyperparameters, twice):
        found = part if found is None else _added(found, part)
    return found  # type: ignore[return-value]


def product(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of a product."""
    found = None
    for part in _parts(F, kernel, points, hyperparameters, twice):
        found = part if found is None else _multiplied(found, part, twice)
    return found  # type: ignore[return-value]


def scaled(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of a multiple."""
    own = inner(hyperparameters, "kernel")
    found = differentiated(F, kernel.kernel, points.x, points.z, points.columns, own, twice)
    variance = own_values(F, kernel, points, hyperparameters)["variance"]

    def multiple(a: Optional[Array]) -> Any:
        return None if a is None else F.broadcast_mul(a, variance)

    return Differentiated(
        multiple(found.value),
        [multiple(slope) for slope in found.slopes],
        {pair: multiple(bend) for pair, bend in found.bends.items()},
    )


def change_point(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of p(a) before(a, b) p(b) + s(a) after(a, b) s(b), p = 1 - s, with s' = p s / width."""
    own, column = own_values(F, kernel, points, hyperparameters), kernel._column
    location, width = own["location"], own["width"]
    sides = [
        F.broadcast_div(F.broadcast_sub(side(F, column), location), width)
        for side in (points.left, points.right)
    ]
    found = []
    for name, sign in (("before", -1.0), ("after", 1.0)):
        left, right = (F.sigmoid(sign * place) for place in sides)
        slope = F.broadcast_div(sign * right * F.sigmoid(-sign * sides[1]), width)
        slopes: Slopes = [None] * points.columns
        slopes[column] = F.broadcast_mul(slope, left)
        bends: Bends = {(column, column): F.square(slope)} if twice else {}
        share = Differentiated(F.broadcast_mul(right, left), slopes, bends)
        values = inner(hyperparameters, name)
        part = differentiated(
            F, getattr(kernel, name), points.x, points.z, points.columns, values, twice
        )
        found.append(_multiplied(part, share, twice))
    return _added(*found)


def batched(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of a kernel with hyperparameters for each element."""
    values = kernel.values(F, points.z, WIDE)
    return differentiated(F, kernel.kernel, points.x, points.z, points.columns, values, twice)


def _parts(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> List[Differentiated]:
    parts: List[Kernel] = kernel.kernels
    return [
        differentiated(
            F, part, points.x, points.z, points.columns, inner(hyperparameters, index), twice
        )
        for index, part in enumerate(parts)
    ]


def _added(a: Differentiated, b: Differentiated) -> Differentiated:
    slopes = [plus(p, q) for p, q in zip(a.slopes, b.slopes)]
    pairs = sorted({*a.bends, *b.bends})
    bends = {pair: plus(a.bends.get(pair), b.bends.get(pair)) for pair in pairs}
    return Differentiated(a.value + b.value, slopes, bends)


def _multiplied(a: Differentiated, b: Differentiated, twice: bool) -> Differentiated:
    """The rule of products; where a = b, ∂k/∂a_i = ∂k/∂b_i."""
    columns = range(len(a.slopes))
    slopes = [plus(times(a.slopes[j], b.value), times(a.value, b.slopes[j])) for j in columns]
    bends = {}
    for pair in pairs_of(len(a.slopes)) if twice else []:
        i, j = pair
        bend = plus(times(a.bends.get(pair), b.value), times(a.value, b.bends.get(pair)))
        bend = plus(bend, times(a.slopes[i], b.slopes[j]))
        bend = plus(bend, times(a.slopes[j], b.slopes[i]))
        if bend is not None:
            bends[pair] = bend
    return Differentiated(a.value * b.value, slopes, bends)
