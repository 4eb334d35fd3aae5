"""Batches of matrices: factors, triangular systems, inverses and determinants.

Matrices are (..., m, n) with any batch axes. A batch element that fails is NaN as a whole; the
gradients are analytic. `source/cholesky.cc` and its neighbours compute.
"""

from typing import Tuple

from ..typing import Array, Namespace
from .library import call


def potrf(F: Namespace, a: Array) -> Array:
    """L with A = L Lᵀ, zeros above its diagonal; the lower triangle of A is read."""
    return call(F, "potrf", a)


def potri(F: Namespace, factor: Array) -> Array:
    """(L Lᵀ)⁻¹; the lower triangle is read."""
    return call(F, "potri", factor)


def potrs(F: Namespace, factor: Array, b: Array) -> Array:
    """(L Lᵀ)⁻¹ B, (..., n, n) and (..., n, k) -> (..., n, k)."""
    return call(F, "potrs", factor, b)


def trsm(
    F: Namespace, factor: Array, b: Array, transpose: bool = False, lower: bool = True
) -> Array:
    """op(L)⁻¹ B, (..., n, n) and (..., n, k) -> (..., n, k); only the triangle is read."""
    return call(F, "trsm", factor, b, transpose=transpose, lower=lower)


def trmm(F: Namespace, factor: Array, b: Array, transpose: bool = False) -> Array:
    """op(L) B, (..., n, n) and (..., n, k) -> (..., n, k); only the lower triangle is read."""
    return call(F, "trmm", factor, b, transpose=transpose)


def log_det(F: Namespace, a: Array) -> Array:
    """log|A| of a positive definite A, (..., n, n) -> (...); the gradient is A⁻¹."""
    return call(F, "log_det", a)


def jitter_shift(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """The shift of `functional.jitter_shift` for 'auto', and what is told of A, (..., 1) twice.

    0: nothing; 1: A is not finite; 2: A is indefinite by more than rounding. There the shift is
    NaN. Both are constants. One factorization where A is safely positive definite.
    """
    shift, state = call(F, "jitter_shift", a)
    return shift, state


def inverse_spd(F: Namespace, a: Array) -> Array:
    """A⁻¹ of a positive definite A; the gradient is -½ A⁻¹ (G + Gᵀ) A⁻¹."""
    return call(F, "inverse_spd", a)


def solve_spd(F: Namespace, a: Array, b: Array) -> Array:
    """A⁻¹ B of a positive definite A, (..., n, n) and (..., n, k) -> (..., n, k)."""
    return call(F, "solve_spd", a, b)


def gelqf(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(Q, L) with A = L Q, Q Qᵀ = I and L's diagonal >= 0, (..., m, n), m <= n.

    The gradient is that of `functional.lq`: NaN for a batch element with dependent rows where the
    loss depends on Q.
    """
    q, factor = call(F, "gelqf", a)
    return q, factor


def independent_rows(F: Namespace, factor: Array) -> Array:
    """1 where the rows of L are independent up to rounding, else 0, (..., m, m) -> (..., 1)."""
    return call(F, "independent_rows", factor)


def inverse(F: Namespace, a: Array) -> Array:
    """A⁻¹ of a general square matrix; NaN where it is singular by `functional.invertible`."""
    return call(F, "inverse", a)


def slogdet(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(sign, log|det A|), (..., n, n) -> (...) twice; (0, -inf) where `inverse` is NaN.

    The gradient of the logarithm is A⁻ᵀ, and NaN where it is -inf and counts.
    """
    sign, logarithm = call(F, "slogdet", a)
    return sign, logarithm


def det(F: Namespace, a: Array) -> Array:
    """det A, (..., n, n) -> (...), with the cofactors as gradient, also of a singular A.

    From an LU with complete pivoting; NaN where the determinant or a cofactor is out of range.
    """
    return call(F, "det", a)


def regression(
    F: Namespace, features: Array, targets: Array, noise_variance: Array, prior_variance: Array
) -> Array:
    """φ of `functional.regression_nll` but for its terms ½ log 2π, (B,), with its gradients.

    features: (B, n, d); targets: (B, n, k); noise_variance: (B, n); prior_variance:
    (1 or B, 1 or d).
    """
    return call(F, "regression", features, targets, noise_variance, prior_variance)
