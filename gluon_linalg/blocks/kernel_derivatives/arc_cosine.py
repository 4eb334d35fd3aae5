"""Derivatives of the kernels of wide neural networks with one layer."""

import math
from typing import Any

from ... import functional as fn
from ...typing import Namespace
from ..kernels.arc_cosine import AT_ZERO
from .base import (
    Bends,
    Differentiated,
    Points,
    Slopes,
    of_column,
    own_values,
    pairs_of,
    plus,
    rough,
)


def arc_cosine(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of v/π (|A||B|)^order J(θ), A = (√w a, √c), B = (√w b, √c), with the weights w and offset c.

    With S = |A||B| sin θ and u = AᵀB the derivatives by B are, for order 0, 1, 2, v/π times

        (A - u B/|B|²)/S,
        (π - θ) A + S/|B|² B,
        4 (S + (π - θ) u) A + 2 (u S/|B|² + (π - θ) |A|²) B.

    Where A = B, those by A and B are 0, v I and v (8 A Aᵀ + 4 |A|² I); the first process is of
    steps, which have no derivative.
    """
    own = own_values(F, kernel, points, hyperparameters)
    weights = [
        of_column(F, kernel, "weight_variance", own["weight_variance"], j)
        for j in range(points.columns)
    ]
    if points.x is None:
        return _single(F, kernel, points, own, weights, twice)
    return _pairs(F, kernel, points, own, weights)


def _single(
    F: Namespace, kernel: Any, points: Points, own: Any, weights: Any, twice: bool
) -> Differentiated:
    order, variance = kernel.order, own["variance"]
    if twice and order == 0:
        raise rough(kernel)
    columns = range(points.columns)
    weighted = [F.broadcast_mul(points.right(F, j), weights[j]) for j in columns]
    norm = sum((points.right(F, j) * weighted[j] for j in columns), F.zeros_like(weighted[0]))
    norm = F.broadcast_add(norm, own["offset"])
    value = F.broadcast_mul(norm**order, AT_ZERO[order] * variance)
    slopes: Slopes = [None] * points.columns
    bends: Bends = {}
    if order:
        scale = variance if order == 1 else F.broadcast_mul(norm, 6.0 * variance)
        slopes = [F.broadcast_mul(own_weighted, scale) for own_weighted in weighted]
    for i, j in pairs_of(points.columns) if twice else ():
        along = F.broadcast_mul(fn.ones_like(F, norm), weights[j]) if i == j else None
        if order == 2:
            along = None if along is None else 4.0 * norm * along
            along = plus(along, 8.0 * weighted[i] * weighted[j])
        if along is not None:
            bends[i, j] = F.broadcast_mul(along, variance)
    return Differentiated(value, slopes, bends)


def _pairs(F: Namespace, kernel: Any, points: Points, own: Any, weights: Any) -> Differentiated:
    order, columns = kernel.order, range(points.columns)
    root = F.broadcast_mul(points.ones(F), F.sqrt(own["offset"]))
    left_square = right_square = product = F.square(root)
    sides = [(root, root)]
    for j in columns:
        deviation = F.sqrt(weights[j])
        pair = [
            F.broadcast_mul(points.ones(F), F.broadcast_mul(side(F, j), deviation))
            for side in (points.left, points.right)
        ]
        left_square = left_square + F.square(pair[0])
        right_square = right_square + F.square(pair[1])
        product = product + pair[0] * pair[1]
        sides.append((pair[0], pair[1]))
    left_norm, right_norm = F.sqrt(left_square), F.sqrt(right_square)
    # Distances of unit vectors: exact where θ is small, as the arc cosine is not (Kahan).
    near = sum(F.square(a / left_norm - b / right_norm) for a, b in sides)
    far = sum(F.square(a / left_norm + b / right_norm) for a, b in sides)
    apart = fn.stop(F, near) != 0.0
    near = F.sqrt(F.where(apart, near, fn.ones_like(F, near))) * apart
    angle = 2.0 * F.arctan(near / F.sqrt(far))
    rest, sine, cosine = math.pi - angle, F.sin(angle), F.cos(angle)
    norms = left_norm * right_norm
    scale = own["variance"] * (1.0 / math.pi)
    if order == 0:
        value = rest
        # Where θ = 0 there is no derivative, which counts as 0.
        by_left = apart / (norms * F.where(apart, sine, fn.ones_like(F, sine)))
        by_right = -by_left * product / right_square
    elif order == 1:
        value = norms * (sine + rest * cosine)
        by_left, by_right = rest, norms * sine / right_square
    else:
        value = 3.0 * sine * cosine + rest * (1.0 + 2.0 * F.square(cosine))
        value = F.square(norms) * value
        by_left = 4.0 * (norms * sine + rest * product)
        by_right = 2.0 * (product * norms * sine / right_square + rest * left_square)
    slopes: Slopes = []
    for j in columns:
        slope = F.broadcast_mul(by_left, points.left(F, j))
        slope = slope + F.broadcast_mul(by_right, points.right(F, j))
        slopes.append(F.broadcast_mul(slope, weights[j] * scale))
    return Differentiated(F.broadcast_mul(value, scale), slopes, {})
