"""Canonical correlation analysis of two views of the same samples."""

from typing import NamedTuple, Optional, Tuple

from ..errors import NonFiniteError, SingularMatrixError
from ..typing import Array, Namespace
from .cholesky import triangular_solve
from .covariance import (
    centred_samples,
    regularized_square,
    require_finite,
    ridge_deviation,
    ridge_factor,
    scaled_samples,
    top_k_weights,
)
from .eigen import TIE, decomposed
from .matrix import product, transpose
from .tangent import stop, unit_roundoff, with_gradient, zeros_like


class View(NamedTuple):
    """ArrayLike of p features, and their covariance in factors."""

    scaled: Array  # X with XᵀX = S, (B, n, p)
    deviation: Optional[Array]  # √ρ, (B, 1, 1); None without a ridge
    factor: Array  # L with S + ρ I = L Lᵀ, (B, p, p)
    rows: Array  # Q with Xᵀ = L Q, (B, p, n)
    mean: Array  # (B, 1, p)


def canonical_view(
    F: Namespace, x: Array, ridge: float, relative: bool, what: str, name: str = "CCA"
) -> View:
    """The `View` of samples (B, n, p); L, Q are constants. SingularMatrixError, NonFiniteError.

    ρ is `ridge`, or with `relative` ridge · mean(diag S).
    """
    x = require_finite(F, x, what, NonFiniteError, name)
    centred, mean = centred_samples(F, x)
    scaled = scaled_samples(F, centred, ddof=1)
    text = (
        f"{name}: the covariance of {what} is singular: its features are linearly dependent, or "
        "there are too few samples. Give ridge=..., or use fewer features."
    )
    deviation = ridge_deviation(F, scaled, ridge, relative)
    factor, rows = ridge_factor(F, scaled, deviation, SingularMatrixError, text)
    return View(scaled, deviation, factor, rows, mean)


def canonical_correlations(
    F: Namespace, x: View, y: View, k: int, name: str = "CCA"
) -> Tuple[Array, Array]:
    """(σ, Σσ): the k largest correlations, descending (B, k), and their sum (B,); x, y are `View`s.

    σ are the singular values of T = (S_xx + ρI)^{-1/2} S_xy (S_yy + ρI)^{-1/2}. They are those of
    Q_x Q_yᵀ too, and the positive eigenvalues of [[0, Q_x Q_yᵀ], [Q_y Q_xᵀ, 0]], whose eigenvectors
    are the pairs (u, v)/√2 and belong together also where σ are equal. With a = L_x⁻ᵀ u,
    b = L_y⁻ᵀ v

        dσ = aᵀ dS_xy b - ½ σ (aᵀ d(S_xx + ρI) a + bᵀ d(S_yy + ρI) b).

    The gradient of the sum is exact where σ are equal. Where the k-th equals the next, or is 0 (up
    to 64 ε), it has none: those that are equal share the place equally, and those that are 0 get
    the subgradient 0. Andrew, Arora, Bilmes & Livescu 2013; Björck & Golub 1973.
    """
    cross = product(F, x.rows, y.rows, transpose_b=True)
    upper = F.concat(zeros_like(F, x.factor), cross, dim=2)
    lower = F.concat(transpose(F, cross), zeros_like(F, y.factor), dim=2)
    vectors, values = decomposed(F, F.concat(upper, lower, dim=1), name)
    vectors, values = F.reverse(vectors, axis=1), F.relu(F.reverse(values, axis=1))
    values = stop(F, values)
    x_vectors = F.slice_like(vectors, x.factor, axes=(2,))
    y_vectors = F.reverse(F.slice_like(F.reverse(vectors, axis=2), y.factor, axes=(2,)), axis=2)
    x_directions = _directions(F, x.factor, x_vectors)
    y_directions = _directions(F, y.factor, y_vectors)
    x_scores, y_scores = product(F, x.scaled, x_directions), product(F, y.scaled, y_directions)
    shared = F.sum(x_scores * y_scores, axis=1)
    own = regularized_square(F, x.scaled, x.deviation, x_directions)
    own = own + regularized_square(F, y.scaled, y.deviation, y_directions)
    bound = TIE * unit_roundoff(F, F.slice_axis(values, axis=1, begin=0, end=1))
    positive = F.broadcast_greater(values, bound)
    changes = positive * (shared - 0.5 * values * own)
    weights = top_k_weights(F, values, k, bound)
    largest = F.slice_axis(values, axis=1, begin=0, end=k)
    return (
        with_gradient(F, largest, F.slice_axis(changes, axis=1, begin=0, end=k)),
        with_gradient(F, F.sum(largest, axis=1), F.sum(weights * changes, axis=1)),
    )


def _directions(F: Namespace, factor: Array, vectors: Array) -> Array:
    """√2 L⁻ᵀ uᵀ, constants in columns, of the rows of `vectors`."""
    scaled = 2.0**0.5 * transpose(F, vectors)
    return stop(F, triangular_solve(F, factor, scaled, transpose=True))
