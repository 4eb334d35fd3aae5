"""Filtered and smoothed moments from the results of the filter, as constants.

**By the loop.** With x_t = a_t + S_t ξ_t, ξ ~ N(0, I) before the data, a step of the filter is an
orthogonal change of coordinates, [ξ_t; ε_t; η_t] = Qᵀ [e_t; ξ_{t+1}; ζ_t], and the data say nothing
about ζ_t. So the mean ρ and the covariance C of ξ given all data go back in time by

    ρ_{t-1} = Ωᵀ e_t + Θᵀ ρ_t,   C_{t-1} = Θᵀ C_t Θ + Ψᵀ Ψ,   Ψ the rows of Q that belong to ζ,

without an inverse or a difference: this holds for singular and for very large covariances.

**By scans** a filtered state and what the future says of it meet (`kalman_scan.meet`).

**Natively** one operator gives the moments that are asked for, with their gradients
(`native_moments`); what follows is not needed then.
"""

from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple

import mxnet as mx

from .. import native
from ..native import kalman_moments as operators
from ..native.kalman_moments import Moments
from ..typing import Array, Namespace
from . import lapack
from .kalman import Filtered
from .kalman_gains import Roots, split_rows
from .kalman_scan import Scanned, smoothing_meeting, smoothing_transition, times
from .matrix import congruence, diagonal, identity_like, product, symmetrize, transpose, with_axis
from .recursion import quadratic_recursion
from .state_space import (
    lower_factor,
    over_time,
    require_finite,
    time_first,
)
from .tangent import stop, zeros_like

if TYPE_CHECKING:
    from .kalman_tangent import MomentTangents


def native_moments(
    F: Namespace, wanted: Sequence[str], y: Array, *arrays: Any, **options: Any
) -> Optional[Moments]:
    """The moments `wanted` (`native.kalman_moments.KINDS`) of a model by the native operator.

    y (B, T, p), arrays: those of a `KalmanLayer`, in their order, without diffuse directions;
    options: of `native.kalman_moments`. None where native operators do not apply and,
    imperatively, where something is wrong: the other path tells what.
    """
    if not native.applies(F, y):
        return None
    found = operators.kalman_moments(F, y, *arrays, wanted=wanted, **options)
    if F is mx.nd and found.status.asnumpy().any():
        return None
    return found


def filtered_mean(F: Namespace, filtered: Filtered) -> Array:
    """E[x_t | y_1..y_t], (1, T, B, d, 1)."""
    gained = times(F, filtered.whitened, filtered.innovation, transpose=True)
    return stop(F, filtered.mean + gained)


def filtered_factor(F: Namespace, roots: Roots, observations: int) -> Array:
    """U with Var(x_t | y_1..y_t) = U Uᵀ = S (I - ΩᵀΩ) Sᵀ, lower, by one LQ, (1, T, b, d, d).

    Its diagonal is not negative, whatever computes it.
    """
    p = observations
    emission, _ = split_rows(F, roots.matrix, p)
    noise, _ = split_rows(F, F.slice_axis(roots.noise, axis=4, begin=0, end=p), p)
    head = F.concat(product(F, emission, roots.factor), noise, dim=4)
    blank = zeros_like(F, product(F, emission, noise, transpose_a=True))
    tail = F.concat(roots.factor, blank, dim=4)
    lower = lower_factor(F, F.concat(head, tail, dim=3))
    lower = F.slice(lower, begin=(None, None, None, p, p), end=(None, None, None, None, None))
    pivots = transpose(F, with_axis(F, diagonal(F, lower), 4), axes=5)
    return F.broadcast_mul(lower, 1.0 - 2.0 * (pivots < 0.0))


def filtered_covariance(F: Namespace, filtered: Filtered, observations: int) -> Array:
    """Var(x_t | y_1..y_t), (1, T, b, d, d), bitwise symmetric."""
    if filtered.roots is None:
        explained = product(F, filtered.whitened, filtered.whitened, transpose_a=True)
        return _fixed_symmetric(F, filtered.covariance - explained)
    factor = filtered_factor(F, filtered.roots, observations)
    return _fixed_symmetric(F, product(F, factor, factor, transpose_b=True))


def observation_moments(
    F: Namespace,
    tangents: "MomentTangents",
    covariance: Array,
    emission: Array,
    factor: Array,
    offset: Optional[Array],
    steps: int,
    name: str,
) -> Tuple[Array, Array]:
    """Of the last `steps` y_t, (1, h, B, p, 1) and (1, h, B, p, p), nothing being masked.

    covariance: of the predicted states given the diffuse directions; tangents: `MomentTangents`;
    emission, factor, offset: (B or 1, T or 1, ...), as a layer gets them. What is not known of the
    directions is added to the observation: H times the covariance of a state may be a small
    difference of large numbers.
    """
    # What belongs to the past may be hidden, and NaN.
    emission, factor = (_ahead(F, x, covariance, steps) for x in (emission, factor))
    if offset is not None:
        offset = _ahead(F, with_axis(F, offset, 3), covariance, steps)
    columns, change, covariance = (
        last_steps(F, x, steps) for x in (tangents.filtered.mean, tangents.mean, covariance)
    )
    require_finite(
        F, name, emission=emission, observation_factor=factor, emission_offset=offset
    )  # fmt: skip
    seen = stop(F, product(F, emission, columns))
    change = product(F, emission, columns + change) - seen
    observed = tangents.settled_mean(seen, change)
    if offset is not None:
        observed = F.broadcast_add(observed, offset)
    spread = product(F, product(F, emission, covariance), emission, transpose_b=True)
    spread = spread + product(F, factor, factor, transpose_b=True)
    return observed, symmetrize(F, tangents.settled_covariance(spread, seen, change), axes=5)


def emitted_moments(
    F: Namespace,
    observed: Array,
    mean: Array,
    covariance: Array,
    emission: Array,
    factor: Array,
    offset: Optional[Array],
    steps: int,
    name: str,
) -> Tuple[Array, Array]:
    """As `observation_moments`, from the moments of the states, (B, h, d) and (B, h, d, d).

    observed: y with the steps ahead, (B, T + h, p). Results (1, h, B, p, 1) and (1, h, B, p, p).
    """
    observed, mean = (time_first(F, with_axis(F, x, 3)) for x in (observed, mean))
    covariance = time_first(F, covariance)
    emission, factor = (_ahead(F, x, observed, steps) for x in (emission, factor))
    if offset is not None:
        offset = _ahead(F, with_axis(F, offset, 3), observed, steps)
    require_finite(F, name, emission=emission, observation_factor=factor, emission_offset=offset)
    observed = product(F, emission, mean)
    if offset is not None:
        observed = observed + offset
    spread = product(F, product(F, emission, covariance), emission, transpose_b=True)
    spread = spread + product(F, factor, factor, transpose_b=True)
    return observed, symmetrize(F, spread, axes=5)


def last_steps(F: Namespace, x: Array, steps: int) -> Array:
    """The last `steps` of (1, T, B, m, n)."""
    return F.slice_axis(x, axis=1, begin=-steps, end=None)


def _ahead(F: Namespace, x: Array, like: Array, steps: int) -> Array:
    """The last `steps` of (B or 1, T or 1, m, n), over the times and the batch of `like`."""
    return last_steps(F, over_time(F, time_first(F, x), like), steps)


def emitted(F: Namespace, emission: Array, columns: Array, steps: int) -> Array:
    """H x of columns (1, T, B, d, n) at the last `steps`, a constant: `observation_moments`."""
    emission = _ahead(F, emission, columns, steps)
    return stop(F, product(F, emission, last_steps(F, columns, steps)))


def smoothed_covariances(
    F: Namespace, filtered: Filtered, states: int, observations: int
) -> Tuple[Array, Array]:
    """Var(x_t | y_1..y_T) and Cov(x_{t+1}, x_t | y_1..y_T), both (1, T, b, d, d)."""
    if filtered.scanned is not None:
        return _covariances_by_meetings(F, filtered.scanned, states)
    roots = filtered.square_roots
    after, before = coordinate_covariances(F, roots, states, observations)
    crossed = product(F, product(F, after, roots.carried), roots.factor, transpose_b=True)
    smoothed = _fixed_symmetric(F, congruence(F, roots.factor, before))
    return smoothed, stop(F, product(F, roots.following, crossed))


def coordinate_covariances(
    F: Namespace, roots: Roots, states: int, observations: int
) -> Tuple[Array, Array]:
    """C_t and C_{t-1} of the coordinates ξ_{t+1} and ξ_t given all data, both (1, T, b, d, d)."""
    turned = transpose(F, roots.carried, axes=5)
    free = free_rows(F, roots, states, observations)
    offset = product(F, free, free, transpose_a=True)
    last = F.slice_axis(identity_like(F, offset), axis=1, begin=0, end=1)
    after = quadratic_recursion(F, turned, offset, last, reverse=True)
    return after, congruence(F, turned, after) + offset


def _covariances_by_meetings(F: Namespace, scanned: Scanned, states: int) -> Tuple[Array, Array]:
    spread = smoothing_meeting(F, scanned, scanned.mean, states).spread
    smoothed = product(F, spread, spread, transpose_b=True)
    lag_one = product(F, smoothing_transition(F, scanned, states), smoothed)
    return _fixed_symmetric(F, smoothed), stop(F, lag_one)


def free_rows(F: Namespace, roots: Roots, states: int, observations: int) -> Array:
    """Ψ: what completes the rows of Q of a step to an orthogonal matrix, its first d columns.

    The LQ of [M S  N] with the rows [0  I] of the process noise below it is square.
    """
    if roots.free is not None:
        return roots.free
    p = observations
    process = F.slice_axis(roots.noise, axis=4, begin=p, end=None)
    _, process = split_rows(F, process, p)
    _, below = split_rows(F, F.slice_axis(roots.noise, axis=4, begin=0, end=p), p)
    hidden = zeros_like(F, product(F, process, roots.factor, transpose_a=True))
    observed = zeros_like(F, product(F, process, below, transpose_a=True))
    identity = identity_like(F, product(F, process, process, transpose_a=True))
    array = F.concat(product(F, roots.matrix, roots.factor), roots.noise, dim=4)
    array = F.concat(array, F.concat(hidden, observed, identity, dim=4), dim=3)
    orthogonal, _ = lapack.gelqf(F, array)
    begin = (None, None, None, p + states, 0)
    end = (None, None, None, None, states)
    return F.slice(orthogonal, begin=begin, end=end)


def _fixed_symmetric(F: Namespace, x: Array) -> Array:
    return stop(F, symmetrize(F, x, axes=5))
