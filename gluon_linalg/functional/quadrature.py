"""Integrals over a normal distribution: Gauss-Hermite sums, or trapezoids where it counts.

Nodes are made in the graph, in the dtype of what is integrated: no file holds them.
"""

import functools
import math
from typing import Callable, Tuple

import numpy as np

from ..typing import Array, Namespace
from .gaussian import HALF_LOG_2PI
from .tangent import ones_like, stop

# Nodes whose weight is below this are left out.
NEGLIGIBLE = 1e-18
# Within how many standard deviations the largest value of an integrand is looked for, how often
# that interval is halved, and below which of its logarithm an integrand counts as 0: at most
# FURTHEST standard deviations away, and at least exp(-NARROWEST) of that.
REACH, HALVINGS, DROP, FURTHEST, NARROWEST = 256.0, 32, 37.0, 9.0, 16.0


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
    F: Namespace, log_function: Callable[[Array], Array], mean: Array, variance: Array, points: int
) -> Array:
    """log E[exp(g(f))] for f ~ N(mean, variance), (B, n), as `normal_expectation`."""
    nodes, log_weights = gauss_hermite(F, mean, points)
    spread = F.expand_dims(F.sqrt(2.0 * variance), axis=2)
    f = F.broadcast_add(F.expand_dims(mean, axis=2), F.broadcast_mul(spread, nodes))
    return log_sum_exp(F, F.broadcast_add(log_function(f), log_weights))


def log_concave_expectation(
    F: Namespace,
    log_function: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    mean: Array,
    variance: Array,
    points: int,
) -> Array:
    """log E[exp(g(f))] of a concave g with the derivative `slope`, (B, n) -> (B, n).

    However far from the mean the integrand is largest: `points` trapezoids between where it is
    e^-37 of its largest value, which converge exponentially (Trefethen & Weideman 2014). The nodes
    are constants, the gradient is that of the sum.
    """
    start, end = _where_it_counts(F, log_function, slope, stop(F, mean), stop(F, variance))
    width = F.expand_dims(end - start, axis=2)
    f = F.broadcast_mul(width, even_nodes(F, mean, points))
    f = stop(F, F.broadcast_add(f, F.expand_dims(start, axis=2)))
    squared = F.square(F.broadcast_sub(f, F.expand_dims(mean, axis=2)))
    exponent = log_function(f) - 0.5 * F.broadcast_div(squared, F.expand_dims(variance, axis=2))
    log_step = F.log(end - start) - math.log(points)
    return log_sum_exp(F, exponent) + log_step - 0.5 * F.log(variance) - HALF_LOG_2PI


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


def _where_it_counts(
    F: Namespace,
    log_function: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    mean: Array,
    variance: Array,
) -> Tuple[Array, Array]:
    """Between which f (B, n) exp(g(f)) N(f | mean, variance) is not yet e^-DROP of its largest.

    By halving intervals, in standard deviations: its logarithm is concave, and bends at least as
    much as that of the normal density.
    """
    deviation = F.sqrt(variance)
    zeros = 0.0 * mean

    def rises(t: Array) -> Array:
        return slope(mean + t * deviation) * deviation > t

    largest = _halved(rises, zeros, -REACH, REACH, HALVINGS)

    largest, centre, wide = (F.expand_dims(t, axis=2) for t in (largest, mean, deviation))

    def exponent(t: Array) -> Array:
        f = F.broadcast_add(F.broadcast_mul(t, wide), centre)
        return log_function(f) - 0.5 * F.square(t)

    least = exponent(largest) - DROP
    sides = constants(F, mean, (-1.0, 1.0))

    def beside(logarithm: Array) -> Array:
        return F.broadcast_add(F.broadcast_mul(F.exp(logarithm), sides), largest)

    # In logarithms: the integrand may be narrow beside the normal density.
    low, high = math.log(FURTHEST) - NARROWEST, math.log(FURTHEST)
    distance = _halved(
        lambda t: F.broadcast_greater(exponent(beside(t)), least),
        F.broadcast_mul(0.0 * wide, sides),
        low,
        high,
        6,
    )
    ends = F.broadcast_add(F.broadcast_mul(beside(distance), wide), centre)
    first, last = (F.slice_axis(ends, axis=2, begin=i, end=i + 1) for i in (0, 1))
    return stop(F, F.reshape(first, shape=(0, 0))), stop(F, F.reshape(last, shape=(0, 0)))


def _halved(
    below: Callable[[Array], Array],
    zeros: Array,
    start: float,
    end: float,
    times: int,
) -> Array:
    """The number up to which `below` is true, between start and end, by halving so many times."""
    found, step = zeros + 0.5 * (start + end), 0.5 * (end - start)
    for _ in range(times):
        step = 0.5 * step
        found = found + step * (2.0 * below(found) - 1.0)
    return found
