"""Means, covariances and projections of data (B, n, d): n samples of d features."""

from typing import Optional, Tuple, Type

from ..errors import NonFiniteError
from ..typing import Array, Namespace
from .augmented_lq import full_rank_lq, on_diagonal
from .checks import finite, require
from .matrix import magnitude, product, transpose
from .tangent import guarded, ones_like, stop, unit_roundoff


def as_rows(F: Namespace, x: Array) -> Array:
    """All samples as those of one batch element, (B, n, d) -> (1, B n, d)."""
    return F.expand_dims(F.reshape(x, shape=(-3, 0)), axis=0)


def as_batch(F: Namespace, rows: Array, x: Array) -> Array:
    """`as_rows` undone: (1, B n, k) and the x (B, n, d) they came from -> (B, n, k)."""
    rows = F.reshape(rows, shape=(-3, 0))
    return F.reshape_like(rows, stop(F, x), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)


def sample_count(F: Namespace, x: Array) -> Array:
    """The number of samples n as an array, (B, n, d) -> (B, 1, 1)."""
    return F.sum(ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1)), axis=1, keepdims=True)


def centred_samples(F: Namespace, x: Array) -> Tuple[Array, Array]:
    """(x - μ, μ) with the mean μ (B, 1, d) over the samples of x (B, n, d)."""
    mean = F.mean(guarded(F, x), axis=1, keepdims=True)
    return F.broadcast_sub(x, mean), mean


def scaled_samples(F: Namespace, centred: Array, ddof: int) -> Array:
    """X with XᵀX = S, the covariance: samples (B, n, d) divided by √(n - ddof), at least 1."""
    degrees = F.maximum(sample_count(F, centred) - float(ddof), 1.0)
    return F.broadcast_div(centred, F.sqrt(degrees))


def covariance(F: Namespace, centred: Array, ddof: int) -> Array:
    """S = Σ_i (x_i - μ)(x_i - μ)ᵀ / (n - ddof), (B, n, d) -> (B, d, d)."""
    scaled = scaled_samples(F, centred, ddof)
    return product(F, scaled, scaled, transpose_a=True)


def ridge_deviation(
    F: Namespace, scaled: Array, ridge: float, relative: bool = False
) -> Optional[Array]:
    """√ρ as (B, 1, 1) for the covariance XᵀX of X (B, n, d), or None for none.

    ρ is `ridge`, or with `relative` ridge · mean(diag XᵀX), differentiated with X.
    """
    if ridge == 0.0:
        return None
    root = float(ridge) ** 0.5
    if not relative:
        one = F.slice_axis(F.slice_axis(scaled, axis=1, begin=0, end=1), axis=2, begin=0, end=1)
        return root * ones_like(F, one)
    unit = magnitude(F, scaled, axis=(1, 2))
    variances = F.sum(F.square(F.broadcast_div(scaled, unit)), axis=1, keepdims=True)
    return root * unit * F.sqrt(F.mean(guarded(F, variances), axis=2, keepdims=True))


def ridge_factor(
    F: Namespace, scaled: Array, deviation: Optional[Array], error_class: Type[Exception], text: str
) -> Tuple[Array, Array]:
    """(L, Q) with XᵀX + ρ I = L Lᵀ and Xᵀ = L Q, constants, (B, n, d) -> (B, d, d), (B, d, n).

    deviation: √ρ (B, 1, 1). Without one (None) this needs d <= n and independent columns of X;
    dependent ones are `error_class(text)` (`augmented_lq`).
    """
    wide = transpose(F, stop(F, scaled))
    shift = None
    if deviation is not None:
        shift = on_diagonal(F, wide, F.squeeze(stop(F, deviation), axis=2))
    return full_rank_lq(F, wide, shift, error_class, text)


def regularized_square(
    F: Namespace, scaled: Array, deviation: Optional[Array], directions: Array
) -> Array:
    """wᵀ(XᵀX + ρ I)w for each column w of constant directions (B, d, k) -> (B, k)."""
    total = F.sum(F.square(product(F, scaled, directions)), axis=1)
    if deviation is None:
        return total
    return total + F.sum(F.square(F.broadcast_mul(directions, deviation)), axis=1)


def top_k_weights(F: Namespace, values: Array, k: int, bound: Array) -> Array:
    """How much each of the descending `values` (B, m) counts in the sum of the k largest, (B, m).

    1 for those above the k-th and 0 for those below; values within `bound` (B, 1) of the k-th
    share what is left of k equally. At such a tie the sum has no gradient; with these weights its
    subgradient does not depend on which of the equal vectors an algorithm happens to name first.
    """
    kth = F.slice_axis(values, axis=1, begin=k - 1, end=k)
    difference = F.broadcast_sub(values, kth)
    above = F.broadcast_greater(difference, bound)
    tied = F.broadcast_lesser_equal(F.abs(difference), bound)
    left = float(k) - F.sum(above, axis=1, keepdims=True)
    share = F.broadcast_div(left, F.sum(tied, axis=1, keepdims=True))
    return stop(F, above + F.broadcast_mul(tied, share))


def require_finite(
    F: Namespace, x: Array, what: str, error_class: Type[Exception], name: str
) -> Array:
    """x (B, n, d) without NaN and infinity."""
    return require(F, x, finite(F, x), error_class, f"{name}: {what} contains NaN or infinity.")


def require_in_range(
    F: Namespace, covariance: Array, name: str, centred: Optional[Array] = None
) -> Array:
    """S (B, d, d) where all of it is finite: NonFiniteError else.

    With the samples x - μ (B, n, d) also where they are not all 0 and S is, to working precision.
    """
    remedy = "for its dtype. Bring it to another unit, or compute in float64."
    text = f"{name}: 'x' contains NaN or infinity, or its variance is too large {remedy}"
    covariance = require(F, covariance, finite(F, covariance), NonFiniteError, text)
    if centred is None:
        return covariance
    largest = F.max(F.abs(stop(F, covariance)), axis=(1, 2))
    constant = F.max(F.abs(stop(F, centred)), axis=(1, 2)) == 0.0
    holds = constant + (largest * unit_roundoff(F, largest) > 0.0) > 0.0
    text = f"{name}: the variance of 'x' is too small {remedy}"
    return require(F, covariance, F.expand_dims(holds, axis=1), NonFiniteError, text)
