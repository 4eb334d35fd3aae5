"""Integrals over a normal distribution by Gauss-Hermite quadrature, and over lines by trapezoids.

Nodes are made in the graph, in the dtype of what is integrated: no file holds them.
"""

import functools
from typing import Callable, Optional, Tuple

import numpy as np

from ..typing import Array, Namespace
from .tangent import ones_like, stop

# Nodes whose weight is below this are left out.
NEGLIGIBLE = 1e-18
# In how many standard deviations the largest value of an integrand is looked for, and how often
# the interval is halved.
REACH, HALVINGS = 128.0, 30


def normal_expectation(
    F: Namespace,
    function: Callable[[Array], Array],
    mean: Array,
    variance: Array,
    points: int,
) -> Array:
    """E[g(f)] for f ~ N(mean, variance), (B, n); g maps (B, n, H) to the same.

    With H nodes of the rule of `points` nodes. Its error falls as exp(-c a √points / σ), a the
    distance of the nearest singularity of g from the real line.
    """
    nodes, log_weights = gauss_hermite(F, mean, points)
    spread = F.expand_dims(F.sqrt(2.0 * variance), axis=2)
    values = function(F.broadcast_add(F.expand_dims(mean, axis=2), F.broadcast_mul(spread, nodes)))
    return F.sum(F.broadcast_mul(values, F.exp(log_weights)), axis=2)


def log_normal_expectation(
    F: Namespace,
    log_function: Callable[[Array], Array],
    mean: Array,
    variance: Array,
    points: int,
    slopes: Optional[Callable[[Array], Tuple[Array, Array]]] = None,
) -> Array:
    """log E[exp(g(f))] for f ~ N(mean, variance), (B, n); g maps (B, n, H) to the same.

    slopes: for a concave g its first and second derivative at f (B, n). The nodes are then
    around the largest value of the integrand, wherever that is (Liu & Pierce 1994).
    """
    nodes, log_weights = gauss_hermite(F, mean, points)
    if slopes is None:
        spread = F.expand_dims(F.sqrt(2.0 * variance), axis=2)
        f = F.broadcast_add(F.expand_dims(mean, axis=2), F.broadcast_mul(spread, nodes))
        return log_sum_exp(F, F.broadcast_add(log_function(f), log_weights))
    centre, width = _mode(F, slopes, stop(F, mean), stop(F, variance))
    f = F.broadcast_add(
        F.expand_dims(centre, axis=2),
        F.broadcast_mul(F.expand_dims(2.0**0.5 * width, axis=2), nodes),
    )
    f = stop(F, f)
    squared = F.square(F.broadcast_sub(f, F.expand_dims(mean, axis=2)))
    exponent = log_function(f) - 0.5 * F.broadcast_div(squared, F.expand_dims(variance, axis=2))
    exponent = F.broadcast_add(exponent, F.square(nodes) + log_weights)
    return log_sum_exp(F, exponent) + F.log(width) - 0.5 * F.log(variance)


def log_sum_exp(F: Namespace, values: Array) -> Array:
    """log Σ_j exp(x_j) over the last axis of (B, n, H), (B, n)."""
    largest = stop(F, F.max(values, axis=2, keepdims=True))
    total = F.log(F.sum(F.exp(F.broadcast_sub(values, largest)), axis=2))
    return total + F.reshape(largest, shape=(0, 0))


def gauss_hermite(F: Namespace, like: Array, points: int) -> Tuple[Array, Array]:
    """Nodes t and log w with E[g] = Σ w g(mean + √(2 variance) t), constants (1, 1, H)."""
    nodes, log_weights = _rule(points)
    return constants(F, like, nodes), constants(F, like, log_weights)


def constants(F: Namespace, like: Array, numbers: Tuple[float, ...]) -> Array:
    """The numbers as an array (1, 1, H) of the dtype and on the device of `like` (B, n)."""
    one = F.slice_axis(ones_like(F, like), axis=0, begin=0, end=1)
    one = F.slice_axis(one, axis=1, begin=0, end=1)
    return F.expand_dims(F.concat(*(one * number for number in numbers), dim=1), axis=0)


def even_nodes(F: Namespace, like: Array, count: int) -> Array:
    """0, 1/count, ..., (count - 1)/count and half a step on, constants (1, 1, count)."""
    one = F.slice_axis(ones_like(F, like), axis=0, begin=0, end=1)
    one = F.expand_dims(F.slice_axis(one, axis=1, begin=0, end=1), axis=2)
    return (F.cumsum(F.tile(one, reps=(1, 1, count)), axis=2) - 0.5) * (1.0 / count)


@functools.lru_cache(maxsize=None)
def _rule(points: int) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    nodes, weights = np.polynomial.hermite.hermgauss(points)
    weights = weights / np.sqrt(np.pi)
    kept = weights > NEGLIGIBLE
    return tuple(nodes[kept].tolist()), tuple(np.log(weights[kept]).tolist())


def _mode(
    F: Namespace,
    slopes: Callable[[Array], Tuple[Array, Array]],
    mean: Array,
    variance: Array,
) -> Tuple[Array, Array]:
    """Where g(f) - ½ (f - mean)²/variance is largest, and the width of the normal that fits there.

    By halving an interval: the derivative falls, for a concave g, from above 0 to below.
    """
    deviation = F.sqrt(variance)
    offset, step = 0.0 * mean, REACH
    for _ in range(HALVINGS):
        step = 0.5 * step
        slope, _ = slopes(mean + offset * deviation)
        rising = slope * deviation > offset
        offset = offset + step * (2.0 * rising - 1.0)
    centre = mean + offset * deviation
    _, curvature = slopes(centre)
    return stop(F, centre), stop(F, deviation * F.rsqrt(1.0 - curvature * variance))
