"""The LQ factorization of a matrix beside a diagonal one, and when rows are independent.

Regression, least squares, discriminant and canonical analysis need L with A Aᵀ + diag(δ²) = L Lᵀ.
From the LQ of [diag(δ), A] the product A Aᵀ is never formed: what survives has the condition
number of A, not its square.
"""

from .checks import require
from .cholesky import triangular_solve, unit_roundoff
from .lq import lq
from .matrix import diagonal_matrix, identity_like
from .tangent import ones_like, stop


def augmented_lq(F, shift, a):
    """L, Q_1 and Q_2 with [diag(shift), A] = L [Q_1, Q_2], (B, m), (B, m, n).

    The small block comes first: the other order was found to lose up to ten times as much.
    """
    small = diagonal_matrix(F, shift)
    q, factor = lq(F, F.concat(small, a, dim=2))
    # Under Symbol no size is known, and slice_like starts from the left: the end is reversed.
    tail = F.slice_like(F.reverse(q, axis=2), stop(F, a), axes=(2,))
    return factor, F.slice_like(q, stop(F, small), axes=(2,)), F.reverse(tail, axis=2)


def full_rank_lq(F, a, shift, error_class, text):
    """L and Q with A = L Q, or with [diag(shift), A] = L [·, Q], constants, (B, m, n), m <= n.

    shift: (B, m), or None for none. `error_class(text)` where rows are dependent by the rule of
    `independent_rows`.
    """
    if shift is None:
        q, factor = lq(F, stop(F, a))
    else:
        factor, _, q = augmented_lq(F, stop(F, shift), stop(F, a))
    factor = require(F, factor, independent_rows(F, factor), error_class, text)
    return stop(F, factor), stop(F, q)


def independent_rows(F, factor):
    """1 where the rows of L, scaled to length 1, have |L⁻¹| < 1 / (32 ε) in Frobenius norm, (B, 1).

    1 / |L⁻¹| is the smallest singular value of the scaled matrix, or up to √m times smaller: the
    rule does not depend on units. ε is 1.1e-16 in float64 and 6.0e-8 in float32. Matrices that are
    singular but for rounding were found at up to 14 ε.
    """
    # First by the largest element, whose square may be out of range.
    scaled = F.broadcast_div(factor, F.max(F.abs(factor), axis=2, keepdims=True))
    scaled = F.broadcast_div(scaled, F.sqrt(F.sum(F.square(scaled), axis=2, keepdims=True)))
    inverse = triangular_solve(F, scaled, identity_like(F, scaled))
    squared = F.sum(F.square(inverse), axis=(1, 2))
    return F.expand_dims(squared * F.square(32.0 * unit_roundoff(F, squared)) < 1.0, axis=1)


def on_diagonal(F, a, value):
    """`value` (B, 1) for each row of A (B, m, n), (B, m); value may also be a number."""
    ones = ones_like(F, F.reshape(F.slice_axis(a, axis=2, begin=0, end=1), shape=(0, -1)))
    return ones * value if isinstance(value, float) else F.broadcast_mul(ones, value)
