"""Steps of a filter of a nonlinear model, in the coordinates of the predicted state.

With x = m + L ξ, ξ ~ N(0, I) before y_t was seen, and the affine approximation
y = ŷ + H̃ ξ + [E D] ε of `sigma_points`, one LQ is the update:

    [H̃  E  D]       [F½  0]
    [I  0  0] Qᵀ =  [K̃   W]        ξ = K̃ F½⁻¹ (y - ŷ) + W ξ⁺,  L⁺ = L W.

L is never inverted: a state that is known, or known in part, is as good as any. All arrays are
(B, m, n).
"""

from typing import Callable, NamedTuple, Optional, Tuple

from ..errors import SingularMatrixError
from ..typing import Array, Namespace
from .checks import require_each
from .cholesky import triangular_solve, unit_roundoff
from .gaussian import HALF_LOG_2PI
from .kalman_gains import SINGULAR, SINGULAR_INNOVATION
from .lapack import lower_triangle
from .lq import lq
from .matrix import diagonal, diagonal_matrix, identity_like, product, transpose, with_axis
from .quadrature import log_sum_exp
from .sigma_points import Points
from .tangent import ones_like, stop, zeros_like


class Linearized(NamedTuple):
    """f(m + L ξ) as mean + slope ξ + rest ε."""

    mean: Array  # (B, n, 1)
    slope: Array  # C, (B, n, d)
    rest: Optional[Array]  # E, (B, n, .), None where it is 0


class Updated(NamedTuple):
    """The state after an observation: ξ ~ N(shift, W Wᵀ)."""

    shift: Array  # (B, d, 1)
    spread: Array  # W, (B, d, d), lower
    log_likelihood: Array  # (B,)


def regression(F: Namespace, values: Array, points: Points) -> Linearized:
    """Statistical linear regression on values at the points, (B, n, S)."""
    weighted = F.broadcast_mul(values, points.weights)
    mean = F.sum(weighted, axis=2, keepdims=True)
    apart = F.broadcast_sub(values, mean)
    slope = F.dot(F.broadcast_mul(apart, points.weights), F.transpose(points.nodes))
    rest = F.broadcast_mul(apart - F.dot(slope, points.nodes), points.roots)
    return Linearized(mean, slope, rest)


def updated(
    F: Namespace,
    observation: Linearized,
    spread: Optional[Array],
    shift: Optional[Array],
    observed: Array,
    noise: Array,
    mask: Optional[Array],
    observations: int,
    time: int,
    name: str,
    is_certain_refused: bool = True,
) -> Updated:
    """The state given y (B, p, 1), 0 where mask (B, p, 1) is; noise D: (B, p, q).

    observations: p.

    observation: about m + L (shift + spread ξ); None for 0 and I. Raises SingularMatrixError where
    an innovation has no variance of its own, up to rounding.
    """
    mean, slope, rest = observation
    if spread is not None and shift is not None:
        # C = H̃ W.
        slope = transpose(F, triangular_solve(F, spread, transpose(F, slope), transpose=True))
        mean = mean - product(F, slope, shift)
    identity = identity_like(F, product(F, slope, slope, transpose_a=True))
    residual = observed - mean
    parts = [slope, noise] if rest is None else [slope, rest, noise]
    rows = zeros_like(F, F.slice_axis(residual, axis=2, begin=0, end=1))
    missing = rows if mask is None else 1.0 - mask
    if mask is not None:
        residual = residual * mask
        parts = [F.broadcast_mul(x, mask) for x in parts]
    # Of variance 1, independent, for what is missing; and no array is too narrow for its LQ.
    parts.append(diagonal_matrix(F, F.squeeze(missing, axis=2)))
    upper = F.concat(*parts, dim=2)
    beside = zeros_like(F, F.concat(*parts[1:], dim=2))
    beside = F.slice_axis(beside, axis=1, begin=0, end=1)
    below = F.broadcast_add(beside, zeros_like(F, F.slice_axis(identity, axis=2, begin=0, end=1)))
    _, lower = lq(F, F.concat(upper, F.concat(identity, below, dim=2), dim=1), name)
    p = observations
    factor = F.slice(lower, begin=(None, 0, 0), end=(None, p, p))
    gain = F.slice(lower, begin=(None, p, 0), end=(None, None, p))
    following = F.slice(lower, begin=(None, p, p), end=(None, None, None))
    if is_certain_refused:
        size = mean if mask is None else mean * mask
        factor = _checked(F, factor, size, time, name)
    whitened = triangular_solve(F, factor, residual)
    constant = -F.log(diagonal(F, factor)) - HALF_LOG_2PI
    if mask is not None:
        constant = constant * F.squeeze(mask, axis=2)
    value = F.sum(constant - 0.5 * F.squeeze(F.square(whitened), axis=2), axis=1)
    return Updated(product(F, gain, whitened), following, value)


def predicted(F: Namespace, state: Linearized, noise: Array, name: str) -> Tuple[Array, Array]:
    """Mean (B, d, 1) and lower factor (B, d, d) of the next state; noise G: (B, d, r)."""
    parts = [state.slope, noise] if state.rest is None else [state.slope, state.rest, noise]
    return state.mean, lq(F, F.concat(*parts, dim=2), name)[1]


def log_evidence(
    F: Namespace,
    log_density: Callable[[Array], Array],
    found: Updated,
    points: Points,
) -> Array:
    """log ∫ p(y | x) N(x | m, L Lᵀ) dx, (B,), by the rule about the updated state.

    log Σ_i w_i p(y | x_i) |W| exp(½ |ξ_i|² - ½ |u_i|²) with u_i = shift + W ξ_i and
    x_i = m + L u_i (Naylor & Smith 1982): exact for a normal p(y | x) whose mean is affine.
    log_density: of u (B, d, S), (B, S).
    """
    u = F.broadcast_add(F.dot(found.spread, points.nodes), found.shift)
    exponent = 0.5 * F.expand_dims(F.sum(F.square(points.nodes), axis=0, keepdims=True), axis=0)
    exponent = exponent + F.log(points.weights)
    exponent = F.broadcast_add(exponent, -0.5 * F.sum(F.square(u), axis=1, keepdims=True))
    exponent = exponent + F.expand_dims(log_density(u), axis=1)
    total = F.reshape(log_sum_exp(F, exponent), shape=(-1,))
    return total + F.sum(F.log(diagonal(F, found.spread)), axis=1)


def per_unit(F: Namespace, slope: Array, factor: Array) -> Array:
    """A (B, n, d) with A L = C for a lower L (B, d, d), 0 along what has no variance."""
    pivots = F.abs(diagonal(F, factor))
    largest = F.max(pivots, axis=1, keepdims=True)
    # Relative to its own row, and to nothing where the row is 0.
    own = F.sqrt(F.sum(F.square(stop(F, factor)), axis=2))
    rounding = F.broadcast_mul(32.0 * unit_roundoff(F, largest), own)
    seen = stop(F, pivots) > rounding
    seen = F.broadcast_mul(seen, stop(F, pivots) > 0.0)
    rows, columns = F.expand_dims(seen, axis=2), F.expand_dims(seen, axis=1)
    factor = F.broadcast_mul(F.broadcast_mul(factor, rows), columns)
    factor = factor + diagonal_matrix(F, 1.0 - seen)
    slope = F.broadcast_mul(slope, columns)
    return transpose(F, triangular_solve(F, factor, transpose(F, slope), transpose=True))


def semidefinite_factor(F: Namespace, covariance: Array, size: int) -> Array:
    """A lower L (B, n, n) with L Lᵀ = P, P (B, n, n) semidefinite up to rounding, n = `size`.

    Cholesky's columns, of which those are 0 whose pivot is rounding.
    """
    variances = diagonal(F, covariance)
    bound = 4.0 * size * unit_roundoff(F, variances) * stop(F, variances)
    columns, rest = [], covariance
    for k in range(size):
        column = F.slice_axis(rest, axis=2, begin=k, end=k + 1)
        pivot = F.slice_axis(column, axis=1, begin=k, end=k + 1)
        least = F.expand_dims(F.slice_axis(bound, axis=1, begin=k, end=k + 1), axis=2)
        kept = stop(F, pivot) > least
        kept = kept * (stop(F, pivot) > 0.0)
        root = F.sqrt(F.where(kept, pivot, ones_like(F, pivot)))
        column = F.broadcast_mul(F.broadcast_div(column, root), kept)
        columns.append(column)
        rest = rest - product(F, column, column, transpose_b=True)
    return lower_triangle(F, F.concat(*columns, dim=2))


def _checked(F: Namespace, factor: Array, mean: Array, time: int, name: str) -> Array:
    """F½ if every innovation has a variance of its own."""
    pivots = with_axis(F, diagonal(F, factor), 2)
    # What is below the rounding of the values at the points is rounding.
    scale = F.sum(F.square(factor), axis=2, keepdims=True) + F.square(mean)
    bound = F.square(SINGULAR * unit_roundoff(F, scale)) * stop(F, scale)
    holds = F.square(stop(F, pivots)) > bound
    factor, holds = (with_axis(F, with_axis(F, x, 0), 0) for x in (factor, holds))
    text = f"{name}: {SINGULAR_INNOVATION}"
    factor = require_each(F, factor, holds, SingularMatrixError, text, first=time)
    return F.squeeze(factor, axis=(0, 1))
