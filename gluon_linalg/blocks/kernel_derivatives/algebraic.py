"""Derivatives of kernels that are polynomials, of constants and of labels."""

from typing import Any

from ... import functional as fn
from ...typing import Array, Namespace
from ..kernels import Kernel
from .base import (
    WIDE,
    Bends,
    Differentiated,
    Points,
    Slopes,
    of_column,
    own_values,
    plus,
    rough,
)


def linear(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = own_values(F, kernel, points, hyperparameters)["variance"]
    value: Any = None
    slopes: Slopes = []
    bends: Bends = {}
    for j in range(points.columns):
        variance = of_column(F, kernel, "variance", own, j)
        left = F.broadcast_mul(points.left(F, j), variance)
        right = points.right(F, j)
        value = plus(value, F.broadcast_mul(right, left))
        slopes.append(F.broadcast_mul(points.ones(F), left))
        if twice:
            bends[j, j] = F.broadcast_mul(fn.ones_like(F, right), variance)
    return Differentiated(value, slopes, bends)


def polynomial(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = own_values(F, kernel, points, hyperparameters)
    degree, variance = kernel._degree, own["variance"]
    base, scaled = F.broadcast_mul(points.ones(F), own["offset"]), []
    for j in range(points.columns):
        scale = of_column(F, kernel, "lengthscale", own["lengthscale"], j)
        scaled.append((F.broadcast_div(points.left(F, j), F.square(scale)), F.square(scale)))
        base = base + F.broadcast_mul(points.right(F, j), scaled[j][0])
    first = F.broadcast_mul(degree * base ** (degree - 1), variance)
    slopes: Slopes = [F.broadcast_mul(first, left) for left, _ in scaled]
    bends: Bends = {}
    for j in range(points.columns if twice else 0):
        for i in range(j + 1):
            bend = F.zeros_like(first)
            if degree > 1:
                second = F.broadcast_mul(degree * (degree - 1) * base ** (degree - 2), variance)
                bend = second * scaled[i][0] * scaled[j][0]
            bends[i, j] = bend + F.broadcast_div(first, scaled[j][1]) if i == j else bend
    return Differentiated(F.broadcast_mul(base**degree, variance), slopes, bends)


def constant(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    variance = own_values(F, kernel, points, hyperparameters)["variance"]
    return Differentiated(F.broadcast_mul(points.ones(F), variance), [None] * points.columns, {})


def white(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    if twice:
        raise rough(kernel)
    variance = own_values(F, kernel, points, hyperparameters)["variance"]
    share = 1.0 if points.x is None else 0.0
    value = F.broadcast_mul(share * points.ones(F), variance)
    return Differentiated(value, [None] * points.columns, {})


def categorical(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of B[a, b], whose labels have no derivative, which counts as 0, or of aᵀB b if `one_hot`."""
    own = kernel.own(F, points.z, WIDE, hyperparameters)
    slopes: Slopes = [None] * points.columns
    bends: Bends = {}
    if points.x is None:
        value = kernel.variances(F, points.z, WIDE, **own)
    else:
        value = kernel.covariance(F, points.x, points.z, WIDE, **own)
    if not kernel.one_hot:
        return Differentiated(value, slopes, bends)
    for i in range(points.columns):
        left = F.broadcast_mul(points.ones(F), points.left(F, i))
        for j in range(points.columns):
            entry = _label_covariance(F, kernel, own, i, j)
            entry = entry if points.x is None else F.expand_dims(entry, axis=2)
            slopes[j] = plus(slopes[j], F.broadcast_mul(left, entry))
            if twice and i <= j:
                bends[i, j] = F.broadcast_mul(points.ones(F), entry)
    return Differentiated(value, slopes, bends)


def _label_covariance(F: Namespace, kernel: Any, own: Any, i: int, j: int) -> Array:
    """B[i, j], (B or 1, 1)."""
    variance = F.slice_axis(own["variance"], axis=1, begin=i, end=i + 1)
    entry = variance if i == j else F.zeros_like(variance)
    if "factor" not in own:
        return entry
    rows = F.reshape(own["factor"], shape=(0, kernel.levels, -1))
    left, right = (F.slice_axis(rows, axis=1, begin=k, end=k + 1) for k in (i, j))
    return F.broadcast_add(entry, F.sum(left * right, axis=2))
