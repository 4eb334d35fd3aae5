"""The operators of linear algebra: those in C++ where they apply, else MXNet's.

The only file that names MXNet's, each behind what guards it.

`guarded` puts an identity before those whose backward pass overwrites where it has to add. What
cannot take NaN gets zeros instead: the caller reports it. Matrices are (..., m, n), lower
triangular factors are L.
"""

from typing import Tuple

from ..native import applies, matrices, spectra
from ..typing import Array, Namespace
from .tangent import guarded, stop, zeros_like


def potrf(F: Namespace, a: Array) -> Array:
    """L with A = L Lᵀ; the lower triangle of A is read."""
    if applies(F, a):
        return matrices.potrf(F, a)
    return F.linalg.potrf(a)


def potri(F: Namespace, factor: Array) -> Array:
    """(L Lᵀ)⁻¹."""
    if applies(F, factor):
        return matrices.potri(F, factor)
    return F.linalg.potri(factor)


def trsm(
    F: Namespace, factor: Array, b: Array, transpose: bool = False, lower: bool = True
) -> Array:
    """op(L)⁻¹ B; only the triangle is read."""
    if applies(F, factor):
        return matrices.trsm(F, factor, b, transpose, lower)
    return F.linalg.trsm(guarded(F, factor), guarded(F, b), transpose=transpose, lower=lower)


def gelqf(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(Q, L) with A = L Q, m <= n; the signs of L's diagonal are open (those in C++: positive)."""
    if applies(F, a):
        return matrices.gelqf(F, a)
    return F.linalg.gelqf(guarded(F, a))


def inverse(F: Namespace, a: Array) -> Array:
    """A⁻¹ by LU; of a matrix of NaN it is rows of 0."""
    return F.linalg.inverse(guarded(F, a))


def slogdet(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(sign, log|det A|) by LU, constants, without last axes; (0, -inf) for a zero pivot.

    Its own gradient is 0 for a singular matrix.
    """
    sign, logarithm = F.linalg.slogdet(stop(F, a))
    return sign, logarithm


def syevd(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(U, λ) with A = Uᵀ diag(λ) U, λ ascending, constants: syevd is never differentiated.

    NaN and infinity count as 0: one such matrix can make it fail for the whole batch.
    """
    if applies(F, a):
        u, values = spectra.syevd(F, stop(F, a))
        return stop(F, u), stop(F, values)
    return F.linalg.syevd(_finite_or_zero(F, a))


def gesvd(F: Namespace, a: Array) -> Tuple[Array, Array, Array]:
    """(U, s, V) with A = U diag(s) V, m <= n, s descending, constants: never differentiated.

    NaN and infinity count as 0: one such matrix makes it fail for the whole batch. MXNet has this
    operator under its NumPy names only; it runs without NumPy mode.
    """
    if applies(F, a):
        u, s, v = spectra.gesvd(F, stop(F, a))
        return stop(F, u), stop(F, s), stop(F, v)
    clean = _finite_or_zero(F, a).as_np_ndarray()
    return tuple(x.as_nd_ndarray() for x in F.numpy._internal.svd(clean))


def half_difference(F: Namespace, a: Array, column: Array) -> Array:
    """½(A - x xᵀ) of a constant A and a constant column x, in one pass (gemm).

    Only here is gemm safe: what it reads is used once and not differentiated (`product`).
    """
    return F.linalg.gemm(column, column, a, transpose_b=True, alpha=-0.5, beta=0.5)


def extractdiag(F: Namespace, a: Array) -> Array:
    """The diagonals, (..., n, n) -> (..., n)."""
    return F.linalg.extractdiag(a)


def makediag(F: Namespace, d: Array) -> Array:
    """Diagonal matrices, (..., n) -> (..., n, n)."""
    return F.linalg.makediag(d)


def lower_triangle(F: Namespace, a: Array) -> Array:
    """A with zeros above the diagonal."""
    return F.linalg.maketrian(F.linalg.extracttrian(a))


def _finite_or_zero(F: Namespace, a: Array) -> Array:
    a = stop(F, a)
    return F.where(a * 0.0 == 0.0, a, zeros_like(F, a))
