"""What observations at some times say of a process in between: no loop, no sorting.

A filter pass and one back leave, at each observation, the state given what was seen up to there,
N(m_i, P_i), and what is seen later: r_i and N_i, the gradient and the negative Hessian of
log p(y_{i+1}, ...) in the predicted mean of the next state (de Jong 1989). At a time t between
t_i and t_{i+1}, with A and Q from t_i to t and B from t to t_{i+1},

    P = A P_i Aᵀ + Q,   E[x(t) | y] = A m_i + P Bᵀ r_i,   Var = P - P Bᵀ N_i B P.
"""

import math
from typing import Any, NamedTuple, Optional, Tuple, Type

import mxnet as mx

from ..errors import LinearAlgebraError, NonFiniteError, TimeOrderError
from ..typing import Array, Namespace
from .checks import finite, require
from .linear_sde import LinearSDE, on_one_grid
from .matrix import identity_like, product, transpose
from .tangent import stop, zeros_like


def table_of_stretches(
    F: Namespace,
    times: Array,
    mean: Array,
    covariance: Array,
    force: Array,
    precision: Array,
) -> Array:
    """What is known before the first of n observations, and after each: (B, n + 1, 2 + 2 d + 2 d²).

    times: (B, n), in order. m and P: (B, n, d) and (B, n, d, d), given each observation and those
    before; r and N: as many, given each observation and those after. Constants.
    """
    first, last = (F.slice_axis(times, axis=1, begin=k, end=k + 1 or None) for k in (0, -1))
    identity = identity_like(F, covariance)
    before = [(first, times), (zeros_like(F, mean), mean), (identity, covariance)]
    after = [(times, last), (force, zeros_like(F, force)), (precision, zeros_like(F, precision))]
    rows = []
    for known, is_before in ((before[0], 1), (after[0], 0), (before[1], 1), (after[1], 0),
                             (before[2], 1), (after[2], 0)):  # fmt: skip
        pair = [F.reshape(array, shape=(0, 0, -1)) for array in known]
        nothing = F.slice_axis(pair[0 if is_before else 1], axis=1, begin=0, end=1)
        pair = [nothing, pair[1]] if is_before else [pair[0], nothing]
        rows.append(F.concat(*pair, dim=1))
    return stop(F, F.concat(*rows, dim=2))


def require_ordered(F: Namespace, value: Array, times: Array, gaps: Array, name: str) -> Array:
    """`value` (B, n) where times (B, n, 1) are finite and no gap is negative (`require`)."""
    value = require_times(F, value, times, name)
    return _require_at(
        F,
        value,
        gaps >= 0.0,
        TimeOrderError,
        f"{name}: the times in 'x' run backwards after",
        " (sort x and y by x; at the end of shorter series, repeat the last time with a mask of 0)",
    )


def require_times(F: Namespace, value: Array, times: Array, name: str) -> Array:
    """`value` (B, n) where times (B, n, 1) are finite (`require`)."""
    text = f"{name}: 'x' has a time that is NaN or infinite, at"
    return _require_at(F, value, finite(F, times), NonFiniteError, text, "")


def stretch_of(
    F: Namespace, times: Array, ordered: Array, first: Array, count: int, left: bool = False
) -> Array:
    """How many of n = `count` ordered numbers are at most each time, (B, m, 1) -> (B, m).

    left: how many are below it. ordered: (B k, 1), for each batch element its numbers and then
    infinity, k + 1 being the next power of 2 above n; first: (B, 1), where those of each begin. By
    halving.
    """
    found = F.squeeze(zeros_like(F, times), axis=2)
    for k in range(halvings(count) - 1, -1, -1):
        index = F.broadcast_add(found + (2.0**k - 1.0), first)
        ahead = F.take(ordered, index, axis=0, mode="clip")
        passed = ahead < stop(F, times) if left else ahead <= stop(F, times)
        found = found + 2.0**k * F.squeeze(passed, axis=2)
    return found


def halvings(count: int) -> int:
    """How often n + 1 places are halved to find one."""
    return math.ceil(math.log2(count + 1))


class Between(NamedTuple):
    """What is known at times (B, m) between observations, with the A, Q, B and P of the module."""

    transition: Array  # A, (B, m, d, d)
    following: Array  # B, (B, m, d, d)
    row: Array  # H, (B, m, 1, d)
    spread: Array  # P Hᵀ, (B, m, d, 1)
    ahead: Array  # B P Hᵀ, (B, m, d, 1)
    mean: Array  # m_i, (B, m, d, 1)
    force: Array  # r_i, (B, m, d, 1)
    covariance: Array  # P_i, (B, m, d, d)
    precision: Array  # N_i, (B, m, d, d)
    factor: Optional[Array]  # of Q, (B, m, d, r), or None for 0


def between(F: Namespace, sde: LinearSDE, rows: Array, times: Array) -> Between:
    """Of times (B, m, 1), from their rows of the `table_of_stretches`, (B, m, 2 + 2 d + 2 d²)."""
    d, parts, at = sde.size, [], 0
    for width in (1, 1, d, d, d * d, d * d):
        parts.append(F.slice_axis(rows, axis=2, begin=at, end=at + width))
        at += width
    begin, end, mean, force, covariance, precision = parts
    mean, force = (F.expand_dims(x, axis=3) for x in (mean, force))
    covariance, precision = (F.reshape(x, shape=(0, 0, d, d)) for x in (covariance, precision))
    before, after = (_from_zero(F, gap) for gap in (times - begin, end - times))
    transition, following, row, factor = _system(F, sde, times, before, after)
    spread = _spread(F, row, transition, covariance, factor)
    ahead = product(F, following, spread)
    return Between(
        transition, following, row, spread, ahead, mean, force, covariance, precision, factor
    )


def _spread(
    F: Namespace, row: Array, transition: Array, covariance: Array, factor: Optional[Array]
) -> Array:
    """P of the module times a row, (B, m, d, 1)."""
    column = transpose(F, row, axes=4)
    found = product(F, covariance, product(F, transition, column, transpose_a=True))
    found = product(F, transition, found)
    if factor is None:
        return found
    return found + product(F, factor, product(F, factor, column, transpose_a=True))


def moments_between(F: Namespace, known: Between) -> Tuple[Array, Array, Array]:
    """Mean, variance and prior variance of the process at m times, (B, m) each."""
    row, spread, ahead = known.row, known.spread, known.ahead
    expected = product(F, row, product(F, known.transition, known.mean))
    expected = expected + product(F, ahead, known.force, transpose_a=True)
    told = product(F, ahead, product(F, known.precision, ahead), transpose_a=True)
    variance, prior = product(F, row, spread) - told, product(F, row, row, transpose_b=True)
    expected, variance, prior = (F.squeeze(x, axis=(2, 3)) for x in (expected, variance, prior))
    return expected, variance, prior


def slopes_between(
    F: Namespace, known: Between, slope: Array, shock: Optional[Array]
) -> Tuple[Array, Array, Array]:
    """dE f/dt, dVar f/dt, and Var f' where f has a derivative, at m times, (B, m) each.

    slope: v = H F + ∂H/∂t; shock: s = H L Lᵀ, or None for 0, of `LinearSDE`, (B, m, 1, d). With
    dP/dt = F P + P Fᵀ + L Lᵀ and dB/dt = -B F the moments of the module have the derivatives

        dE f/dt = v E[x | y] + s Bᵀ r,   dVar f/dt = 2 v Var Hᵀ + s Hᵀ - 2 s Bᵀ N B P Hᵀ,

    and f' = v x where s = 0.
    """
    slope, _ = on_one_grid(F, (slope, known.row))
    spread = _spread(F, slope, known.transition, known.covariance, known.factor)
    ahead = product(F, known.following, spread)

    def told(a: Array, b: Array) -> Array:
        return product(F, a, product(F, known.precision, b), transpose_a=True)

    expected = product(F, slope, product(F, known.transition, known.mean))
    expected = expected + product(F, ahead, known.force, transpose_a=True)
    change = 2.0 * (product(F, known.row, spread) - told(ahead, known.ahead))
    variance = product(F, slope, spread) - told(ahead, ahead)
    if shock is not None:
        shock, _ = on_one_grid(F, (shock, known.row))
        moved = product(F, known.following, shock, transpose_b=True)
        expected = expected + product(F, moved, known.force, transpose_a=True)
        change = change + product(F, shock, known.row, transpose_b=True)
        change = change - 2.0 * told(moved, known.ahead)
    found = (F.squeeze(x, axis=(2, 3)) for x in (expected, change, variance))
    return tuple(found)  # type: ignore[return-value]


def _from_zero(F: Namespace, gaps: Array) -> Array:
    """Gaps, or 0 before the first time and after the last; at an observation with a gradient.

    Not `relu`, whose gradient at 0 is 0.
    """
    return gaps * (stop(F, gaps) >= 0.0)


def _system(
    F: Namespace, sde: LinearSDE, times: Array, before: Array, after: Array
) -> Tuple[Array, Array, Array, Optional[Array]]:
    """A of the gaps before and after, H, and the factor of the noise before or None."""
    arrays = [
        sde.transition(F, before),
        sde.transition(F, after),
        sde.emission(F, times),
    ]
    factor = sde.process_factor(F, before)
    if factor is not None:
        arrays.append(factor)
    grid = F.expand_dims(zeros_like(F, times), axis=3)
    found: Any = on_one_grid(F, [*arrays, grid])
    return found[0], found[1], found[2], None if factor is None else found[3]


def _require_at(
    F: Namespace, value: Array, holds: Array, error: Type[Exception], text: str, remedy: str
) -> Array:
    """`value` (B, n) where `holds` (B, n, 1) is 1 throughout; the error names the first place."""
    if F is not mx.nd:
        return require(F, value, holds, LinearAlgebraError, text, axes=2)
    failed = (stop(F, holds).asnumpy()[:, :, 0] != 1).nonzero()
    if len(failed[0]):
        element, place = failed[0][0], failed[1][0]
        raise error(f"{text} number {place} (batch element {element}, counted from 0){remedy}.")
    return value
