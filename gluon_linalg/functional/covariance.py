"""Means, covariances and projections of data (B, n, d): n samples of d features."""

from .checks import finite, require
from .cholesky import triangular_solve, unit_roundoff
from .lq import lq
from .matrix import diagonal_matrix, identity_like, product, transpose
from .tangent import guarded, ones_like, stop


def as_rows(F, x):
    """All samples as those of one batch element, (B, n, d) -> (1, B n, d)."""
    return F.expand_dims(F.reshape(x, shape=(-3, 0)), axis=0)


def as_batch(F, rows, x):
    """`as_rows` undone: (1, B n, k) and the x (B, n, d) they came from -> (B, n, k)."""
    rows = F.reshape(rows, shape=(-3, 0))
    return F.reshape_like(rows, stop(F, x), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)


def sample_count(F, x):
    """The number of samples n as an array, (B, n, d) -> (B, 1, 1)."""
    return F.sum(ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1)), axis=1, keepdims=True)


def centred_samples(F, x):
    """(x - μ, μ) with the mean μ (B, 1, d) over the samples of x (B, n, d)."""
    mean = F.mean(guarded(F, x), axis=1, keepdims=True)
    return F.broadcast_sub(x, mean), mean


def scaled_samples(F, centred, ddof):
    """X with XᵀX = S, the covariance: samples (B, n, d) divided by √(n - ddof), at least 1."""
    degrees = F.maximum(sample_count(F, centred) - float(ddof), 1.0)
    return F.broadcast_div(centred, F.sqrt(degrees))


def covariance(F, centred, ddof):
    """S = Σ_i (x_i - μ)(x_i - μ)ᵀ / (n - ddof), (B, n, d) -> (B, d, d)."""
    scaled = scaled_samples(F, centred, ddof)
    return product(F, scaled, scaled, transpose_a=True)


def ridge_factor(F, scaled, ridge, error_class, text):
    """(L, Q) with XᵀX + ρ I = L Lᵀ and Xᵀ = L Q, constants, (B, n, d) -> (B, d, d), (B, d, n).

    From the LQ of [√ρ I, Xᵀ], so that XᵀX is never formed: what survives has the condition
    number of X. Without a ridge ρ this needs d <= n and independent columns of X; dependent ones
    are `error_class(text)`, by the rule of `independent_rows`.
    """
    wide = transpose(F, stop(F, scaled))
    if ridge == 0.0:
        q, factor = lq(F, wide)
    else:
        one_column = F.reshape(F.slice_axis(wide, axis=2, begin=0, end=1), shape=(0, -1))
        shift = diagonal_matrix(F, ones_like(F, one_column) * float(ridge) ** 0.5)
        q, factor = lq(F, F.concat(shift, wide, dim=2))
        # No size is known in a graph: what belongs to Xᵀ is counted from the end.
        q = F.reverse(F.slice_like(F.reverse(q, axis=2), wide, axes=(2,)), axis=2)
    factor = require(F, factor, independent_rows(F, factor), error_class, text)
    return stop(F, factor), stop(F, q)


def independent_rows(F, factor):
    """1 where the rows of L, scaled to length 1, have |L⁻¹| < 1 / (32 ε) in Frobenius norm, (B, 1).

    1 / |L⁻¹| is the smallest singular value of the scaled matrix, or up to √d times smaller: the
    rule does not depend on units. ε is 1.1e-16 in float64 and 6.0e-8 in float32.
    """
    length = F.sqrt(F.sum(F.square(factor), axis=2, keepdims=True))
    scaled = F.broadcast_div(factor, length)
    inverse = triangular_solve(F, scaled, identity_like(F, scaled))
    squared = F.sum(F.square(inverse), axis=(1, 2))
    return F.expand_dims(squared * F.square(32.0 * unit_roundoff(F, squared)) < 1.0, axis=1)


def top_k_weights(F, values, k, bound):
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


def require_finite(F, x, what, error_class, name):
    """x (B, n, d) without NaN and infinity."""
    return require(F, x, finite(F, x), error_class, f"{name}: {what} contains NaN or infinity.")
