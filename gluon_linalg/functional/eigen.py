"""Symmetric eigendecomposition: its signs, and its gradient at and near repeated eigenvalues."""

from typing import Optional, Tuple

from ..errors import NonFiniteError, NotPositiveDefiniteError
from ..native import applies, spectra
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, require, require_number
from .matrix import product, symmetrize, transpose
from .tangent import ones_like, stop, unit_roundoff

# Eigenvalues nearer than max(64, n/2) ε max|λ| count as equal: exact ties of matrices of size 2 to
# 500 came out of LAPACK up to 20 ε max|λ| apart from their true values, in both dtypes, those of
# large ones that are nearly constant up to n/7.
TIE = 64.0
TIE_OF_SIZE = 0.5
# Magnitudes within this fraction of the largest count as equal where a sign is chosen: far above
# rounding in float32, so that dtypes, devices and execution modes choose alike.
EQUAL_MAGNITUDES = 2.0**-10


def eigh(
    F: Namespace, a: Array, name: str = "Eig", descending: bool = False, top_k: Optional[int] = None
) -> Tuple[Array, Array]:
    """(U, λ) with A = Uᵀ diag(λ) U, (B, n, n) -> (B, k, n), (B, k) (LAPACK syevd).

    Rows of U are the eigenvectors, with the signs of `row_signs`; λ ascends, or descends; k is n,
    or top_k for the largest eigenvalues. The lower triangle of A is read; the gradient is
    returned symmetric. It is that of

        dλ_i = u_iᵀ dA u_i        du_i = Σ_j u_j (u_jᵀ dA u_i) / (λ_i - λ_j)

    where the sum leaves out each j with |λ_i - λ_j| <= 64 ε max|λ| (n/2 ε max|λ| for n above
    128), ε = 6.0e-8 in float32 and 1.1e-16 in float64: the eigenvectors of equal eigenvalues are
    not unique, and no rotation among them is blamed on A. Raises NonFiniteError. Giles 2008,
    section 3.1.
    """
    if applies(F, a):
        u, eigenvalues = spectra.eigh(F, a, descending, top_k)
        require_number(F, eigenvalues, NonFiniteError, not_finite(name))
        return u, eigenvalues
    u, eigenvalues = decomposed(F, a, name)
    u = F.broadcast_mul(u, F.expand_dims(row_signs(F, u), axis=2))
    if descending:
        u, eigenvalues = F.reverse(u, axis=1), F.reverse(eigenvalues, axis=1)
    chosen, chosen_eigenvalues = u, eigenvalues
    if top_k is not None:
        begin, end = (0, top_k) if descending else (-top_k, None)
        chosen = F.slice_axis(u, axis=1, begin=begin, end=end)
        chosen_eigenvalues = F.slice_axis(eigenvalues, axis=1, begin=begin, end=end)
    half = product(F, chosen, symmetric_increment(F, a))
    gaps = F.broadcast_sub(
        F.expand_dims(chosen_eigenvalues, axis=2), F.expand_dims(eigenvalues, axis=1)
    )
    coefficients = reciprocal_above(F, gaps, tie_bound(F, eigenvalues))
    rotation = coefficients * product(F, half, u, transpose_b=True)
    return (
        chosen + product(F, rotation, u),
        chosen_eigenvalues + F.sum(half * chosen, axis=2),
    )


def covariance_factor(
    F: Namespace, covariance: Array, name: str, scale: Optional[Array] = None
) -> Array:
    """S with P = S Sᵀ for positive semidefinite P, (B, d, d) -> (B, d, d), a constant.

    From the eigendecomposition: nothing is added to P, and eigenvalues that rounding left below 0
    count as 0. scale (B, 1): the size of what P was computed from; None: that of P.

    Raises NonFiniteError, and NotPositiveDefiniteError for an eigenvalue below -2 √ε times the
    larger of |P| and scale, ε = 6.0e-8 in float32 and 1.1e-16 in float64.
    """
    vectors, values = decomposed(F, covariance, name)
    largest = F.max(F.abs(values), axis=1, keepdims=True)
    if scale is not None:
        largest = F.broadcast_maximum(largest, scale)
    bound = 2.0 * F.sqrt(unit_roundoff(F, largest)) * largest
    roots = require(
        F,
        F.sqrt(F.relu(values)),
        F.broadcast_greater_equal(values, -bound),
        NotPositiveDefiniteError,
        f"{name}: the covariance has a negative eigenvalue that rounding does not explain.",
        axes=2,
    )
    return transpose(F, F.broadcast_mul(vectors, F.expand_dims(roots, axis=2)))


def decomposed(F: Namespace, a: Array, name: str = "Eig") -> Tuple[Array, Array]:
    """(U, λ) of a finite A as LAPACK gives them, constants."""
    is_finite = finite(F, a)
    u, eigenvalues = lapack.syevd(F, a)
    text = not_finite(name)
    u = require(F, u, is_finite, NonFiniteError, text)
    eigenvalues = require(F, eigenvalues, is_finite, NonFiniteError, text, axes=2)
    return u, eigenvalues


def not_finite(name: str) -> str:
    """What is wrong with a matrix that has no decomposition."""
    return f"{name}: the matrix contains NaN or infinity."


def row_signs(F: Namespace, rows: Array) -> Array:
    """±1 for each row, (B, k, n) -> (B, k), that makes its element of largest magnitude positive.

    Of magnitudes within 1/1024 of the largest the first counts: the rule does not hang on
    rounding where magnitudes are equal. The signs do not depend on the scale of A, nor, without
    such equal magnitudes, on the order of its rows and columns.
    """
    rows = stop(F, rows)
    magnitudes = F.abs(rows)
    largest = F.max(magnitudes, axis=2, keepdims=True)
    candidates = F.broadcast_greater_equal(magnitudes, largest * (1.0 - EQUAL_MAGNITUDES))
    decisive = F.pick(rows, F.argmax(candidates, axis=2), axis=2)
    return 1.0 - 2.0 * (decisive < 0)


def symmetric_increment(F: Namespace, a: Array) -> Array:
    """½(A + Aᵀ) minus itself as a constant: 0, with the gradient of ½(A + Aᵀ)."""
    return symmetrize(F, a - stop(F, a))


def reciprocal_above(F: Namespace, x: Array, bound: Array) -> Array:
    """1/x where |x| > bound and 0 elsewhere; x (B, m, n), bound (B, 1, 1)."""
    above = F.broadcast_greater(F.abs(x), bound)
    return above / F.where(above, x, ones_like(F, x))


def tie_bound(F: Namespace, values: Array) -> Array:
    """max(64, n/2) ε max|values|, (B, n) -> (B, 1, 1)."""
    largest = F.max(F.abs(values), axis=1, keepdims=True)
    size = F.sum(ones_like(F, values), axis=1, keepdims=True)
    factor = F.maximum(TIE_OF_SIZE * size, TIE)
    return F.expand_dims(factor * unit_roundoff(F, largest) * largest, axis=2)
