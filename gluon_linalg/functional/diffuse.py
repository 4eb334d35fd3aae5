"""Initial states that nothing is known of: the augmented filter (Rosenberg 1973, de Jong 1991).

    x_1 = m + S ξ + D δ,   ξ ~ N(0, I),   δ flat on all of ℝ^q.

Whatever the filter makes of its data is affine in δ, with the same gains for all of it: beside the
column of the data (δ = 0) it carries a column for each direction, what a unit of δ_k adds. The
innovations e + E δ then say what δ is, by least squares, and

    -2 log ∫ p(y | δ) dδ = Σ log|F_t| + min_δ |e + E δ|² + log|EᵀE| + (n - q) log 2π.

**No large number.** A flat δ plus a normal one is as flat: x_1 may be given D as columns of S as
well, so that each direction has also a normal part of the size that the caller expects of it. That
changes nothing but rounding. Without it an observation without noise of its own would have no
variance at first, with it EᵀE is (I + J⁻¹)⁻¹ with J the information on δ in these units, between 0
and I: the small least-squares problem is well conditioned if the units are large enough, and the
filter is as well conditioned as with a proper prior of that size if they are not too large.

**Settled columns.** With EᵀE = R⁻ᵀ R⁻¹ and the estimate δ̂ every affine quantity w + W δ has the
mean w + W δ̂ and the covariance (W R)(W R)ᵀ given the data, beside what it has given δ. Columns
[w, W] times the *turn* [[1, 0], [δ̂, R]] are [w + W δ̂, W R]: sums over the products of such columns
are expectations over δ, and the score of the likelihood is the score given δ in expectation
(Fisher's identity), so `kalman_score` needs no more than settled columns.

Directions that the data do not determine are found by the singular values of E; they take no part
in the turn, and the likelihood is that of what the data do determine.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from ..typing import Array, Namespace
from .cholesky import unit_roundoff
from .gaussian import HALF_LOG_2PI
from .matrix import diagonal_matrix, product, transpose, with_axis
from .prefix_scan import scan
from .recursion import before_steps, for_each
from .state_space import LinearGaussianSystem, leading_axes, lower_factor, over_batch, over_time
from .svd import singular_vectors
from .tangent import ones_like, stop, zeros_like

# A singular value of E below ε to this power belongs to a direction that the data leave open:
# what rounding makes of 0 is smaller, and what counts as known has a standard deviation below
# ε^-⅝ times its length.
OPEN = 0.625


class Settlement(NamedTuple):
    """What the data say of δ, constants."""

    turn: Array  # (1, 1, B, 1 + q, 1 + q)
    open: Array  # the same of the directions that the data leave open: [[0, 0], [0, N]]
    value: Array  # what δ adds to the sums over time of -log p(y), (B,)
    known: Array  # how many directions the data determine, (B,)


def with_directions(
    F: Namespace, system: LinearGaussianSystem, directions: Array
) -> LinearGaussianSystem:
    """The system with a column for each of the diffuse directions D (B or 1, d, q)."""
    directions = leading_axes(F, directions)
    arrays: List[Array] = [system.prior_mean, system.prior_factor, directions]
    # Any of the three may be of one series and of all: each takes its batch from the others.
    for other in tuple(arrays):
        arrays = [over_batch(F, x, other) for x in arrays]
    mean, factor, directions = arrays
    offsets = (system.transition_offset, system.emission_offset)
    padded_offsets = [None if x is None else padded(F, x, directions) for x in offsets]
    return system._replace(
        observed=padded(F, system.observed, directions),
        transition_offset=padded_offsets[0],
        emission_offset=padded_offsets[1],
        prior_mean=F.concat(mean, directions, dim=4),
        prior_factor=F.concat(factor, directions, dim=4),
        directions=directions,
    )


def first_column(F: Namespace, x: Array) -> Array:
    """The column of the data of (1, T, B, m, 1 + q)."""
    return F.slice_axis(x, axis=4, begin=0, end=1)


def other_columns(F: Namespace, x: Array) -> Array:
    """The columns of the directions of (1, T, B, m, 1 + q)."""
    return F.slice_axis(x, axis=4, begin=1, end=None)


def settle(F: Namespace, innovation: Array, name: str = "Diffuse") -> Settlement:
    """The `Settlement` of the innovations F⁻½ v, (1, T, B, p, 1 + q)."""
    # The rows [E, e]ᵀ of all times side by side, (B, 1 + q, T p); zeros make them wide for any T.
    rows = F.concat(other_columns(F, innovation), first_column(F, innovation), dim=4)
    rows = F.reshape(F.transpose(rows, axes=(2, 4, 0, 1, 3)), shape=(0, 0, -1))
    square = zeros_like(F, product(F, rows, rows, transpose_b=True))
    turn, is_open, value, known = _settlement(
        F, lower_factor(F, F.concat(rows, square, dim=2)), name
    )
    return Settlement(
        leading_axes(F, turn),
        leading_axes(F, is_open),
        F.reshape(value, shape=(-1,)),
        F.reshape(known, shape=(-1,)),
    )


class RunningSettlement(NamedTuple):
    """What the data say of δ before each step, and with its own observation: constants.

    Each a `Settlement` of arrays (1, T, B, ...), value and known of (1, T, B, 1, 1).
    """

    before: Settlement
    until: Settlement


def settle_each(
    F: Namespace, innovation: Array, length: Optional[int] = None, name: str = "Diffuse"
) -> RunningSettlement:
    """The `RunningSettlement` of the innovations F⁻½ v, (1, T, B, p, 1 + q).

    length: T for a scan, None for a loop.
    """
    rows = F.concat(other_columns(F, innovation), first_column(F, innovation), dim=4)
    rows = transpose(F, stop(F, rows), axes=5)
    square = zeros_like(F, product(F, rows, rows, transpose_b=True))
    initial = F.slice_axis(square, axis=1, begin=0, end=1)
    if length is None:
        (until,), _ = for_each(F, _joined_in_loop(F), [rows], initial)
    else:
        each = lower_factor(F, F.concat(rows, square, dim=4))
        (until,) = scan(F, _joined, [each], length)
    before = before_steps(F, until, initial)
    return RunningSettlement(*(settlement_of_each(F, x, name) for x in (before, until)))


def joined_factor(F: Namespace, lower: Array, innovation: Array) -> Array:
    """L of the data with one more step, (1, 1, B, 1 + q, 1 + q), of F⁻½ v (1, 1, B, p, 1 + q)."""
    rows = F.concat(other_columns(F, innovation), first_column(F, innovation), dim=4)
    rows = transpose(F, stop(F, rows), axes=5)
    return lower_factor(F, F.concat(lower, rows, dim=4))


def _joined(F: Namespace, earlier: List[Array], later: List[Array]) -> List[Array]:
    return [lower_factor(F, F.concat(earlier[0], later[0], dim=4))]


def _joined_in_loop(F: Namespace) -> Callable[..., Any]:
    def body(data: List[Array], states: List[Array]) -> Tuple[List[Array], List[Array]]:
        lower = lower_factor(F, F.concat(states[0], data[0], dim=2))
        return [lower], [lower]

    return body


def settlement_of_each(F: Namespace, lower: Array, name: str) -> Settlement:
    """The `Settlement` of the data whose [E, e]ᵀ has the factor L, for each of (1, T, B, ., .).

    As in a `RunningSettlement`.
    """
    each = F.squeeze(lower, axis=0)
    found = _settlement(F, F.reshape(each, shape=(-3, 0, 0)), name)
    ends = {"lhs_begin": 0, "lhs_end": 1, "rhs_begin": 0, "rhs_end": 2}
    return Settlement(*(with_axis(F, F.reshape_like(x, each, **ends), 0) for x in found))


def _settlement(F: Namespace, lower: Array, name: str) -> Tuple[Array, Array, Array, Array]:
    """Turn, open, value and known of the L of [E, e]ᵀ, (B, 1 + q, 1 + q); (B, ., .) each."""
    known, last = (F.slice_axis(lower, axis=1, begin=b, end=e) for b, e in ((0, -1), (-1, None)))
    factor, target, rest = (
        F.slice_axis(x, axis=2, begin=begin, end=end)
        for x, begin, end in ((known, 0, -1), (last, 0, -1), (last, -1, None))
    )
    # E = Vᵀ diag(s) Uᵀ up to a rotation, so that EᵀE = U diag(s²) Uᵀ.
    left, sizes, right = singular_vectors(F, factor, name)
    sizes = F.expand_dims(sizes, axis=1)
    least = F.exp(OPEN * F.log(unit_roundoff(F, sizes)))
    is_known = sizes > least
    coordinates = product(F, target, right, transpose_b=True)
    root = F.broadcast_mul(left, is_known / F.where(is_known, sizes, ones_like(F, sizes)))
    estimate = -product(F, root, coordinates, transpose_b=True)
    # What only open directions could explain is not explained.
    terms = F.where(
        is_known,
        F.log(F.where(is_known, sizes, ones_like(F, sizes))) - HALF_LOG_2PI,
        0.5 * F.square(coordinates),
    )
    value = 0.5 * F.square(rest) + F.sum(terms, axis=2, keepdims=True)
    is_open = F.broadcast_mul(left, 1.0 - is_known)
    return (
        stop(F, _bordered(F, ones_like(F, rest), estimate, root)),
        stop(F, _bordered(F, zeros_like(F, rest), 0.0 * estimate, is_open)),
        stop(F, value),
        stop(F, F.sum(is_known, axis=(1, 2), keepdims=True)),
    )


def log_lengths(F: Namespace, directions: Array, settlement: Settlement) -> Array:
    """Σ_k log|D_k|, as much of it as the data determine directions, (B,), with its gradient.

    Less this, -log p(y) is that for directions of length 1: their length changes nothing.
    """
    total = F.reshape(_mean_log_length(F, directions), shape=(-1,))
    return F.broadcast_mul(total, settlement.known)


def log_lengths_each(F: Namespace, directions: Array, known: Array) -> Array:
    """As `log_lengths` for numbers of directions at each time, both (1, T, B, 1, 1)."""
    return F.broadcast_mul(_mean_log_length(F, directions), known)


def _mean_log_length(F: Namespace, directions: Array) -> Array:
    squares = F.sum(F.square(directions), axis=3, keepdims=True)
    return F.mean(0.5 * F.log(squares), axis=4, keepdims=True)


def settled(F: Namespace, columns: Array, settlement: Settlement) -> Array:
    """Settled columns: the mean over δ given the data, then a factor of the covariance."""
    return product(F, columns, over_time(F, settlement.turn, columns))


def with_infinite(
    F: Namespace, covariance: Array, columns: Array, settlement: Optional[Settlement]
) -> Array:
    """A covariance (1, T, B, m, m) with infinite variances where the data leave `columns` open."""
    if settlement is None:
        return covariance
    is_open = F.squeeze(left_open(F, columns, settlement), axis=4)
    return F.broadcast_add(covariance, diagonal_matrix(F, is_open / (1.0 - is_open)))


def left_open(F: Namespace, columns: Array, settlement: Settlement) -> Array:
    """1 where the data leave an element of affine quantities (1, T, B, m, 1 + q) open, else 0.

    Open is what an open direction of length 1 changes by more than rounding.
    """
    columns = stop(F, over_batch(F, columns, settlement.open))
    changes = product(F, columns, over_time(F, settlement.open, columns))
    size = F.sum(F.square(other_columns(F, columns)), axis=4, keepdims=True)
    squares = F.sum(F.square(changes), axis=4, keepdims=True)
    least = F.exp(2.0 * OPEN * F.log(unit_roundoff(F, squares)))
    return squares > least * size


def padded(F: Namespace, array: Array, directions: Array) -> Array:
    """(1, T, B, m, 1) with columns of zeros for the directions."""
    row = F.slice_axis(directions, axis=3, begin=0, end=1)
    zeros = zeros_like(F, F.broadcast_mul(array, row))
    array = F.broadcast_add(array, F.slice_axis(zeros, axis=4, begin=0, end=1))
    return F.concat(array, zeros, dim=4)


def _bordered(F: Namespace, corner: Array, column: Array, block: str) -> Array:
    """[[corner, 0], [column, block]]."""
    above = zeros_like(F, transpose(F, column))
    return F.concat(F.concat(corner, above, dim=2), F.concat(column, block, dim=2), dim=1)
