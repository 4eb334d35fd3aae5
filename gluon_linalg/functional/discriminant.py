"""Linear discriminant analysis: eigenvalues of the scatter between classes over that within."""

from typing import NamedTuple, Optional, Tuple

from ..errors import NonFiniteError, SingularMatrixError
from ..typing import Array, Namespace
from .checks import require
from .cholesky import triangular_solve
from .covariance import (
    regularized_square,
    require_finite,
    ridge_deviation,
    ridge_factor,
    sample_count,
    top_k_weights,
)
from .eigen import decomposed, tie_bound
from .matrix import product, transpose
from .tangent import ones_like, stop, with_gradient


class Discriminants(NamedTuple):
    """Generalized eigenpairs; all but the changes are constants."""

    eigenvalues: Array  # λ, descending, (B, d)
    weights: Array  # of the k largest, (B, d)
    directions: Array  # in columns, (B, d, d)
    changes: Array  # 0 with the gradient of each λ, (B, d)
    mean: Array  # μ, (B, 1, d)


def discriminants(
    F: Namespace,
    x: Array,
    indicator: Array,
    k: int,
    ridge: float = 0.0,
    relative: bool = False,
    name: str = "LDA",
) -> Discriminants:
    """Generalized eigenpairs S_b w = λ (S_w + ρ I) w, wᵀ(S_w + ρ I)w = 1, of labelled samples.

    x: (B, n, d); indicator: (B, n, C), the class of each sample as a row of 0 and a single 1;
    ρ is `ridge`, or with `relative` ridge · mean(diag S_w).

        S_w = (1/n) Σ_c Σ_{i in c} (x_i - μ_c)(x_i - μ_c)ᵀ,  S_b = (1/n) Σ_c n_c (μ_c - μ)(μ_c - μ)ᵀ

    With S_w + ρ I = L Lᵀ by LQ they are the eigenpairs of L⁻¹ S_b L⁻ᵀ. The gradient
    dλ = wᵀ(dS_b - λ d(S_w + ρ I))w needs no derivative of a factorization.
    Raises SingularMatrixError, NonFiniteError. Fisher 1936; Fukunaga 1990, section 10.2.
    """
    x = require_finite(F, x, "'x'", NonFiniteError, name)
    within, between, mean = scatter_factors(F, x, indicator)
    deviation = ridge_deviation(F, within, ridge, relative)
    factor, _ = ridge_factor(
        F,
        within,
        deviation,
        SingularMatrixError,
        f"{name}: within-class scatter singular: the features are linearly dependent within the "
        "classes, or there are too few samples. Give ridge=..., or use fewer features.",
    )
    whitened = triangular_solve(F, factor, transpose(F, stop(F, between)))
    vectors, values = decomposed(F, product(F, whitened, whitened, transpose_b=True), name)
    vectors, values = F.reverse(vectors, axis=1), stop(F, F.relu(F.reverse(values, axis=1)))
    directions = triangular_solve(F, factor, transpose(F, vectors), transpose=True)
    directions = stop(F, directions)
    numerator = F.sum(F.square(product(F, between, directions)), axis=1)
    denominator = regularized_square(F, within, deviation, directions)
    changes = numerator - values * denominator
    weights = top_k_weights(F, values, k, F.reshape(tie_bound(F, values), shape=(-1, 1)))
    return Discriminants(values, weights, directions, changes - stop(F, changes), mean)


def discriminant_loss(
    F: Namespace, found: Discriminants, k: int, threshold: Optional[float] = None
) -> Array:
    """-(1/k) Σ of the k largest eigenvalues, (B,); `found` is `Discriminants`.

    threshold: only those of the k that are at most `threshold` above the smallest of them count,
    and the mean is over these (Dorfer, Kelz & Widmer 2016, equation 8).
    """
    values, weights = found.eigenvalues, found.weights
    if threshold is not None:
        smallest = F.slice_axis(values, axis=1, begin=k - 1, end=k)
        weights = weights * F.broadcast_lesser_equal(values, smallest + float(threshold))
    weights = stop(F, F.broadcast_div(weights, F.sum(weights, axis=1, keepdims=True)))
    return -with_gradient(
        F, F.sum(weights * values, axis=1), F.sum(weights * found.changes, axis=1)
    )


def scatter_factors(F: Namespace, x: Array, indicator: Array) -> Tuple[Array, Array, Array]:
    """(Z, M, μ) with S_w = ZᵀZ and S_b = MᵀM, (B, n, d), (B, C, d), (B, 1, d)."""
    count = sample_count(F, x)
    mean = F.broadcast_div(F.sum(x, axis=1, keepdims=True), count)
    x = F.broadcast_sub(x, mean)
    in_class = F.expand_dims(F.sum(indicator, axis=1), axis=2)
    sums = product(F, indicator, x, transpose_a=True)
    # A class without samples has weight 0 whatever its mean.
    means = F.broadcast_div(sums, F.maximum(in_class, 1.0))
    scale = F.sqrt(F.broadcast_div(in_class, count))
    within = F.broadcast_div(x - product(F, indicator, means), F.sqrt(count))
    return within, F.broadcast_mul(means, scale), mean


def class_indicator(F: Namespace, labels: Array, classes: int, name: str = "LDA") -> Array:
    """Rows of 0 and a single 1 in labels' dtype, (B, n) of 0 ... C - 1 -> (B, n, C)."""
    labels = F.expand_dims(stop(F, labels), axis=2)
    ones = F.tile(ones_like(F, labels), reps=(1, 1, classes))
    numbers = F.cumsum(ones, axis=2) - 1.0
    return checked_indicator(F, F.broadcast_equal(labels, numbers), name)


def checked_indicator(F: Namespace, indicator: Array, name: str = "LDA") -> Array:
    """The rows (B, n, C) where each is 0 but for a single 1."""
    indicator = stop(F, indicator)
    row_is_one = F.sum(indicator, axis=2) == 1.0
    zero_or_one = F.min((indicator == 0.0) + (indicator == 1.0), axis=2)
    return require(
        F,
        indicator,
        row_is_one * zero_or_one,
        ValueError,
        f"{name}: labels must be whole numbers from 0 to classes - 1, or with one_hot=True rows "
        "of 0 and a single 1.",
    )
