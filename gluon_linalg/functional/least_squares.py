"""Least squares by LQ: tall by projection, wide by minimum norm, either with a ridge."""

from ..errors import NonFiniteError, SingularMatrixError
from .checks import finite, require
from .cholesky import triangular_solve, unit_roundoff
from .lq import lq
from .matrix import identity_like, product, transpose
from .regression import augmented_lq
from .tangent import ones_like, stop, with_gradient

REMEDY = (
    "Give LeastSquaresBlock(ridge=...) a ridge, or a larger one, or leave out what depends on the "
    "rest."
)


def least_squares(F, a, b, ridge=None, weights=None, name="LeastSquares"):
    """x = argmin Σ_i w_i |A x - b|_i² + ρ |x|², (B, m, n), (B, m, k) -> (B, n, k).

    ridge: ρ > 0 of shape (1,), or None; weights: w >= 0 of shape (B, m), or None. Without a ridge
    the columns of W^½ A must be independent (so m >= n), by the rule of `require_full_rank`.
    From [√ρ I, (W^½ A)ᵀ] = L [·, Q] it is x = L⁻ᵀ Q W^½ b, and with the residual r = b - A x

        dx = L⁻ᵀ (Q W^½ (db - dA x) + L⁻¹ (dAᵀ W r + Aᵀ dW r - dρ x)):

    the gradient is that of this tangent; the LQ itself is not differentiated.
    """
    if weights is None:
        weights = ones_like(F, F.sum(a, axis=2))
    a, b, weights = _checked(F, a, b, weights, name)
    fixed, rows = stop(F, a), F.expand_dims(weights, axis=2)
    scale = F.sqrt(stop(F, rows))
    factor, q = _factor(F, transpose(F, F.broadcast_mul(fixed, scale)), ridge, "columns", name)
    x = stop(
        F,
        triangular_solve(
            F, factor, product(F, q, F.broadcast_mul(stop(F, b), scale)), transpose=True
        ),
    )
    moved = b - product(F, a, x)
    residual = stop(F, moved)
    force = product(F, a, F.broadcast_mul(residual, stop(F, rows)), transpose_a=True) + product(
        F, fixed, F.broadcast_mul(residual, rows), transpose_a=True
    )
    if ridge is not None:
        force = force - F.broadcast_mul(x, F.reshape(ridge, shape=(1, 1, 1)))
    tangent = product(F, q, F.broadcast_mul(moved, scale)) + triangular_solve(F, factor, force)
    return with_gradient(F, x, triangular_solve(F, factor, tangent, transpose=True))


def minimum_norm(F, a, b, ridge=None, name="LeastSquares"):
    """x = argmin |x|² with A x = b, or argmin |A x - b|² + ρ |x|², for wide A, as `least_squares`.

    Without a ridge the rows of A must be independent (so m <= n). From [√ρ I, A] = L [·, Q] it is
    x = Qᵀ L⁻¹ b, and with λ = L⁻ᵀ L⁻¹ b

        dx = Qᵀ L⁻¹ (db - dA x - dρ λ) + (I - Qᵀ Q) dAᵀ λ.
    """
    a, b, _ = _checked(F, a, b, None, name)
    factor, q = _factor(F, stop(F, a), ridge, "rows", name)
    whitened = triangular_solve(F, factor, stop(F, b))
    x = stop(F, product(F, q, whitened, transpose_a=True))
    multipliers = stop(F, triangular_solve(F, factor, whitened, transpose=True))
    moved = b - product(F, a, x)
    if ridge is not None:
        moved = moved - F.broadcast_mul(multipliers, F.reshape(ridge, shape=(1, 1, 1)))
    force = product(F, a, multipliers, transpose_a=True)
    within = triangular_solve(F, factor, moved) - product(F, q, force)
    return with_gradient(F, x, force + product(F, q, within, transpose_a=True))


def require_full_rank(F, factor, what, name="LeastSquares"):
    """L (B, m, m) where its rows, scaled to length 1, have |L⁻¹| < 1 / (32 ε), in Frobenius norm.

    1 / |L⁻¹| is the smallest singular value of the scaled matrix, or up to √m times smaller, so the
    rule does not depend on units. ε is 1.1e-16 in float64 and 6.0e-8 in float32. Matrices that are
    singular but for rounding were found at up to 14 ε. Raises SingularMatrixError.
    """
    # First by the largest element, whose square may be out of range.
    scaled = F.broadcast_div(factor, F.max(F.abs(factor), axis=2, keepdims=True))
    length = F.sqrt(F.sum(F.square(scaled), axis=2, keepdims=True))
    scaled = F.broadcast_div(scaled, length)
    inverse = triangular_solve(F, scaled, identity_like(F, scaled))
    squared = F.sum(F.square(inverse), axis=(1, 2))
    small_enough = squared * F.square(32.0 * unit_roundoff(F, squared)) < 1.0
    return require(
        F,
        factor,
        F.expand_dims(small_enough, axis=1),
        SingularMatrixError,
        f"{name}: the {what} of the matrix are linearly dependent, up to rounding. {REMEDY}",
    )


def _factor(F, a, ridge, what, name):
    """L and Q of a constant A (B, m, n), m <= n, or of [√ρ I, A] = L [·, Q]."""
    if ridge is None:
        q, factor = lq(F, a)
    else:
        one_column = F.reshape(F.slice_axis(a, axis=2, begin=0, end=1), shape=(0, -1))
        shift = F.broadcast_mul(ones_like(F, one_column), F.sqrt(stop(F, ridge)))
        factor, _, q = augmented_lq(F, shift, a)
    return stop(F, require_full_rank(F, factor, what, name)), stop(F, q)


def _checked(F, a, b, weights, name):
    """The arrays, where all of them are finite and no weight is negative."""
    a = require(
        F,
        a,
        finite(F, F.sum(a, axis=(1, 2))),
        NonFiniteError,
        f"{name}: 'a' contains NaN or infinity.",
    )
    b = require(F, b, finite(F, b), NonFiniteError, f"{name}: 'b' contains NaN or infinity.")
    if weights is not None:
        weights = require(
            F,
            weights,
            finite(F, weights) * (stop(F, weights) >= 0),
            NonFiniteError,
            f"{name}: a weight is negative, NaN or infinite.",
            axes=2,
        )
    return a, b, weights
