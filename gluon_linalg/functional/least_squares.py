"""Least squares by LQ: tall by projection, wide by minimum norm, either with a ridge.

Every column, or row, is first divided by its own power of 2 (`magnitude`), which rounds nothing:
what is in between stays in range for data of any size. In b all of it is linear.
"""

from typing import Optional, Tuple

from ..errors import NonFiniteError, SingularMatrixError
from ..typing import Array, Namespace
from .augmented_lq import full_rank_lq, on_diagonal
from .checks import finite, require
from .cholesky import triangular_solve
from .matrix import magnitude, product, transpose
from .tangent import ones_like, stop, with_gradient

REMEDY = (
    "Give LeastSquaresBlock(ridge=...) a ridge, or a larger one, or leave out what depends on the "
    "rest."
)


def least_squares(
    F: Namespace,
    a: Array,
    b: Array,
    ridge: Optional[Array] = None,
    weights: Optional[Array] = None,
    name: str = "LeastSquares",
) -> Array:
    """x = argmin Σ_i w_i |A x - b|_i² + ρ |x|², (B, m, n), (B, m, k) -> (B, n, k).

    ridge: ρ > 0 of shape (1,), or None; weights: w >= 0 of shape (B, m), or None. Without a ridge
    the columns of W^½ A must be independent (so m >= n), by the rule of `independent_rows`.
    From [√ρ I, (W^½ A)ᵀ] = L [·, Q] it is x = L⁻ᵀ Q W^½ b, and with the residual r = b - A x

        dx = L⁻ᵀ (Q W^½ (db - dA x) + L⁻¹ (dAᵀ W r + Aᵀ dW r - dρ x)):

    the gradient is that of this tangent; the LQ itself is not differentiated.
    """
    a, b = _checked(F, a, b, name)
    weights = ones_like(F, F.sum(a, axis=2)) if weights is None else _weights(F, weights, name)
    weight_unit = magnitude(F, F.sqrt(stop(F, weights)), axis=1)
    weights = F.broadcast_div(F.broadcast_div(weights, weight_unit), weight_unit)
    rows = F.expand_dims(weights, axis=2)
    scale = F.sqrt(stop(F, rows))
    wide = transpose(F, F.broadcast_mul(stop(F, a), scale))
    unit, shift, slope = _units(F, wide, ridge, weight_unit)
    a = F.broadcast_div(a, transpose(F, unit))
    fixed = stop(F, a)
    factor, q = _factor(F, F.broadcast_div(wide, unit), shift, "columns", name)
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
        force = force - F.broadcast_mul(x, slope)
    tangent = product(F, q, F.broadcast_mul(moved, scale)) + triangular_solve(F, factor, force)
    x = with_gradient(F, x, triangular_solve(F, factor, tangent, transpose=True))
    return _in_range(F, F.broadcast_div(x, unit), name)


def minimum_norm(
    F: Namespace, a: Array, b: Array, ridge: Optional[Array] = None, name: str = "LeastSquares"
) -> Array:
    """x = argmin |x|² with A x = b, or argmin |A x - b|² + ρ |x|², for wide A, as `least_squares`.

    a: (B, m, n), b: (B, m, k) -> x: (B, n, k).

    Without a ridge the rows of A must be independent (so m <= n). From [√ρ I, A] = L [·, Q] it is
    x = Qᵀ L⁻¹ b, and with λ = L⁻ᵀ L⁻¹ b

        dx = Qᵀ L⁻¹ (db - dA x - dρ λ) + (I - Qᵀ Q) dAᵀ λ.
    """
    a, b = _checked(F, a, b, name)
    unit, shift, slope = _units(F, stop(F, a), ridge)
    a, b = F.broadcast_div(a, unit), F.broadcast_div(b, unit)
    factor, q = _factor(F, stop(F, a), shift, "rows", name)
    whitened = triangular_solve(F, factor, stop(F, b))
    x = stop(F, product(F, q, whitened, transpose_a=True))
    multipliers = stop(F, triangular_solve(F, factor, whitened, transpose=True))
    moved = b - product(F, a, x)
    if ridge is not None:
        moved = moved - F.broadcast_mul(multipliers, slope)
    force = product(F, a, multipliers, transpose_a=True)
    within = triangular_solve(F, factor, moved) - product(F, q, force)
    x = with_gradient(F, x, force + product(F, q, within, transpose_a=True))
    return _in_range(F, x, name)


def _units(
    F: Namespace, wide: Array, ridge: Optional[Array], weight_unit: Optional[Array] = None
) -> Tuple[Array, Optional[Array], Optional[Array]]:
    """The unit D (B, m, 1) of each row of [√ρ I, A], A (B, m, n), and √ρ/D (B, m), ρ/D² (B, m, 1).

    ρ is first divided by weight_unit² (B, 1). Without a ridge the last two are None.
    """
    unit = magnitude(F, wide, axis=2)
    if ridge is None:
        return unit, None, None
    ridge = on_diagonal(F, wide, F.reshape(ridge, shape=(1, 1)))
    deviation = F.sqrt(stop(F, ridge))
    if weight_unit is not None:
        deviation = F.broadcast_div(deviation, weight_unit)
        ridge = F.broadcast_div(F.broadcast_div(ridge, weight_unit), weight_unit)
    deviation = F.expand_dims(deviation, axis=2)
    unit = F.broadcast_maximum(unit, magnitude(F, deviation, axis=2))
    shift = F.squeeze(F.broadcast_div(deviation, unit), axis=2)
    ridge = F.expand_dims(ridge, axis=2)
    return unit, shift, F.broadcast_div(F.broadcast_div(ridge, unit), unit)


def _factor(
    F: Namespace, a: Array, shift: Optional[Array], what: str, name: str
) -> Tuple[Array, Array]:
    text = f"{name}: the {what} of the matrix are linearly dependent, up to rounding. {REMEDY}"
    return full_rank_lq(F, a, shift, SingularMatrixError, text)


def _in_range(F: Namespace, x: Array, name: str) -> Array:
    text = f"{name}: the solution is too large for its dtype. Bring 'a' and 'b' to other units."
    return require(F, x, finite(F, x), NonFiniteError, text)


def _checked(F: Namespace, a: Array, b: Array, name: str) -> Tuple[Array, Array]:
    """The arrays, where all of them are finite."""
    a = require(
        F,
        a,
        finite(F, a),
        NonFiniteError,
        f"{name}: 'a' contains NaN or infinity.",
    )
    b = require(F, b, finite(F, b), NonFiniteError, f"{name}: 'b' contains NaN or infinity.")
    return a, b


def _weights(F: Namespace, weights: Array, name: str) -> Array:
    """The weights (B, m), where none is negative."""
    return require(
        F,
        weights,
        finite(F, weights) * (stop(F, weights) >= 0),
        NonFiniteError,
        f"{name}: a weight is negative, NaN or infinite.",
        axes=2,
    )
