"""Cholesky factorization, the one owner of jitter, and what is computed from the factor."""

from typing import Optional, Union

import mxnet as mx
import numpy as np

from ..errors import (
    CHOLESKY_REMEDY,
    NonFiniteError,
    NotPositiveDefiniteError,
    SingularMatrixError,
    listing,
)
from ..native import applies, matrices
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, require
from .matrix import add_diagonal, diagonal, inner, mirror_lower, product
from .tangent import guarded, ones_like, stop, unit_roundoff, with_gradient


def cholesky(
    F: Namespace, a: Array, jitter: Union[float, str] = 0.0, name: str = "Cholesky"
) -> Array:
    """L with A + s I = L Lᵀ, (B, n, n) -> (B, n, n), lower with positive diagonal (LAPACK potrf).

    The lower triangle of A is read; the gradient is returned symmetric. `jitter` is explained at
    `jitter_shift`. Raises NotPositiveDefiniteError or NonFiniteError, naming `name`.
    """
    factor = potrf(F, add_jitter(F, a, jitter, name), name)
    if applies(F, a):
        return factor
    diagonals = stop(F, diagonal(F, factor))
    return require(
        F,
        factor,
        (diagonals > 0.0) * finite(F, diagonals),
        NotPositiveDefiniteError,
        f"{name}: the matrix is not positive definite. {CHOLESKY_REMEDY}",
    )


def add_jitter(F: Namespace, a: Array, jitter: Union[float, str], name: str = "Cholesky") -> Array:
    """A + s I with s from `jitter_shift`; A itself when jitter is 0. a: (B, n, n)."""
    if jitter == 0.0:
        return a
    shift = jitter_shift(F, diagonal(F, a), jitter, a, name)
    return shift_diagonal(F, a, shift)


def shift_diagonal(F: Namespace, a: Array, shift: Array) -> Array:
    """A + s I, (B, n, n) and (B, 1) -> (B, n, n)."""
    return add_diagonal(F, a, F.broadcast_mul(ones_like(F, diagonal(F, a)), shift))


def jitter_shift(
    F: Namespace,
    diagonal_of_a: Array,
    jitter: Union[float, str],
    a: Optional[Array] = None,
    name: str = "Cholesky",
) -> Array:
    """What jitter adds to the diagonal of A: s of shape (B, 1).

    A number j:  s = j · mean(diag A), relative to the matrix and differentiated with it.
    'auto':      s = max(0, f - λ_min), a constant: the smallest shift that lifts the smallest
                 eigenvalue of a batch element to f = 16 ε λ_max, with ε = 6.0e-8 in
                 float32 and 1.1e-16 in float64; 0 where A is safely positive definite. An A that
                 needs more than 2 sqrt(ε) λ_max + f is indefinite by more than rounding: an
                 error. Costs one eigendecomposition (syevd) of `a`, eight times the factorization;
                 in C++ one more factorization where A is safely positive definite.
    """
    if jitter != "auto":
        return F.mean(guarded(F, diagonal_of_a), axis=1, keepdims=True) * float(jitter)
    if a is None:
        raise TypeError(f"{name}: jitter='auto' needs the matrix, not its diagonal alone.")
    not_finite = f"{name}: the matrix contains NaN or infinity (jitter does not repair these)."
    indefinite = (
        f"{name}: the matrix is indefinite by more than rounding; jitter='auto' would have "
        f"to add more than its bound. {CHOLESKY_REMEDY}"
    )
    if applies(F, a):
        shift, state = matrices.jitter_shift(F, stop(F, a))
        if F is mx.nd:
            require(F, shift, state != 1.0, NonFiniteError, not_finite, axes=2)
            require(F, shift, state != 2.0, NotPositiveDefiniteError, indefinite, axes=2)
        return stop(F, shift)
    is_finite = finite(F, a)
    _, eigenvalues = lapack.syevd(F, a)
    smallest = F.min(eigenvalues, axis=1, keepdims=True)
    largest = F.max(F.abs(eigenvalues), axis=1, keepdims=True)
    epsilon = unit_roundoff(F, largest)
    # Eight times what low-rank matrices of any size were found to need.
    floor = 16.0 * epsilon * largest
    shift = F.relu(floor - smallest)
    bound = 2.0 * F.sqrt(epsilon) * largest + floor
    shift = require(F, shift, is_finite, NonFiniteError, not_finite, axes=2)
    holds = F.broadcast_lesser_equal(shift, bound)
    return stop(F, require(F, shift, holds, NotPositiveDefiniteError, indefinite, axes=2))


def cholesky_solve(F: Namespace, factor: Array, b: Array) -> Array:
    """X = A⁻¹ B from A = L Lᵀ, (B, n, n) and (B, n, k) -> (B, n, k) (potrs)."""
    if applies(F, factor):
        return matrices.potrs(F, factor, b)
    return triangular_solve(F, factor, triangular_solve(F, factor, b), transpose=True)


def solve_spd(
    F: Namespace, a: Array, b: Array, jitter: Union[float, str] = 0.0, name: str = "CholeskySolve"
) -> Array:
    """X = A⁻¹ B of a positive definite A, (B, n, n) and (B, n, k) -> (B, n, k) (posv).

    The gradient of A is symmetric, -½ (B̄ Xᵀ + X B̄ᵀ) with B̄ = A⁻¹ X̄, that of B.
    """
    if not applies(F, a):
        return cholesky_solve(F, cholesky(F, a, jitter, name), b)
    a = add_jitter(F, a, jitter, name)
    return _of_definite(F, a, matrices.solve_spd(F, a, b), name)


def triangular_solve(
    F: Namespace, factor: Array, b: Array, transpose: bool = False, lower: bool = True
) -> Array:
    """X = op(L)⁻¹ B, (B, n, n) and (B, n, k) -> (B, n, k) (trsm). Only L's triangle is read."""
    return lapack.trsm(F, factor, b, transpose, lower)


def triangular_product(F: Namespace, factor: Array, b: Array, transpose: bool = False) -> Array:
    """op(L) B of an L with zeros above its diagonal, (B, n, n) and (B, n, k) -> (B, n, k).

    The gradient of what is above the diagonal is undefined: L is a `lapack.lower_triangle`.
    """
    if applies(F, factor):
        return matrices.trmm(F, factor, b, transpose)
    return product(F, factor, b, transpose_a=transpose)


def checked_triangular_solve(
    F: Namespace,
    factor: Array,
    b: Array,
    transpose: bool = False,
    lower: bool = True,
    name: str = "TriangularSolve",
) -> Array:
    """`triangular_solve` for a factor that is not known to be one: a zero pivot is an error.

    factor: (B, n, n), b: (B, n, k) -> (B, n, k). Raises SingularMatrixError.
    """
    diagonals = stop(F, diagonal(F, factor))
    factor = require(
        F,
        factor,
        (F.abs(diagonals) > 0.0) * finite(F, diagonals),
        SingularMatrixError,
        f"{name}: the triangular matrix has a zero (or NaN or infinity) on its diagonal.",
    )
    return triangular_solve(F, factor, finite_right_side(F, b, name), transpose, lower)


def finite_right_side(F: Namespace, b: Array, name: str) -> Array:
    """B (B, n, k) without NaN and infinity."""
    text = f"{name}: 'b' contains NaN or infinity."
    return require(F, b, finite(F, b), NonFiniteError, text)


def factor_log_determinant(F: Namespace, factor: Array) -> Array:
    """log|A| = 2 Σ_i log L_ii from A = L Lᵀ, (B, n, n) -> (B,)."""
    diagonals = diagonal(F, factor)
    # inf · 0: an infinite matrix gives NaN, as any that is not finite.
    return 2.0 * F.sum(F.log(diagonals) + 0.0 * diagonals, axis=1)


def factor_inverse(F: Namespace, factor: Array) -> Array:
    """A⁻¹ from A = L Lᵀ, (B, n, n) -> (B, n, n) (potri)."""
    return lapack.potri(F, factor)


def log_determinant(
    F: Namespace, a: Array, jitter: Union[float, str] = 0.0, name: str = "LogDet"
) -> Array:
    """log|A| of a positive definite matrix, (B, n, n) -> (B,).

    The gradient is A⁻¹ (potri) by a tangent graph: a fifth of the work of differentiating
    through potrf.
    """
    a = add_jitter(F, a, jitter, name)
    if applies(F, a):
        return _of_definite(F, a, matrices.log_det(F, a), name)
    factor = potrf(F, stop(F, a), name)
    value = factor_log_determinant(F, factor)
    return with_gradient(F, value, inner(F, stop(F, factor_inverse(F, factor)), a))


def inverse_spd(
    F: Namespace, a: Array, jitter: Union[float, str] = 0.0, name: str = "Inverse"
) -> Array:
    """A⁻¹ of a positive definite matrix, (B, n, n) -> (B, n, n).

    The tangent ``-A⁻¹ dA A⁻¹`` makes the gradient -A⁻¹ Ḡ A⁻¹, symmetric for symmetric Ḡ.
    """
    a = add_jitter(F, a, jitter, name)
    if applies(F, a):
        return _of_definite(F, a, matrices.inverse_spd(F, a), name)
    inverse = stop(F, factor_inverse(F, cholesky(F, stop(F, a), name=name)))
    change = product(F, product(F, inverse, mirror_lower(F, a)), inverse)
    return with_gradient(F, inverse, -change)


def potrf(F: Namespace, a: Array, name: str = "Cholesky") -> Array:
    """The factor without the NaN rule of `cholesky`: for graphs that take the log of its diagonal.

    a: (B, n, n) -> (B, n, n). Failures of LAPACK raise. NaN passes LAPACK
    unnoticed, and on GPU nothing is reported.
    """
    factor = lapack.potrf(F, a)
    if F is mx.nd:
        _raise_if_failed(a, factor, name)
    return factor


def _of_definite(F: Namespace, a: Array, found: Array, name: str) -> Array:
    """What was computed from A (B, ...), where A was positive definite: an error imperatively."""
    if F is mx.nd and found.size:
        first = stop(F, F.slice_axis(F.reshape(found, shape=(0, -1)), axis=1, begin=0, end=1))
        if not np.isfinite(first.asnumpy()).all():
            a = stop(F, a)
            _raise_if_failed(a, lapack.potrf(F, a), name)
    return found


def _raise_if_failed(a: Array, factor: Array, name: str) -> None:
    try:
        diagonals = diagonal(mx.nd, factor).asnumpy()
    except NotPositiveDefiniteError:
        failed = [i for i in range(len(a)) if not _factors(a[i : i + 1])]
    else:
        sound = (diagonals > 0) & np.isfinite(diagonals)
        failed = np.flatnonzero(~sound.all(axis=1)).tolist()
    if not failed:
        return
    matrix = a[failed[0]].asnumpy().astype("float64")
    where = f"in batch element {listing(failed)} of {len(a)}"
    if not np.isfinite(np.tril(matrix)).all():
        raise NonFiniteError(f"{name}: the matrix contains NaN or infinity {where}.")
    smallest = np.linalg.eigvalsh(matrix)[0]
    raise NotPositiveDefiniteError(
        f"{name}: the matrix is not positive definite in {np.dtype(a.dtype).name} arithmetic "
        f"{where} (smallest eigenvalue {smallest:.3g}, mean diagonal "
        f"{matrix.diagonal().mean():.3g}). {CHOLESKY_REMEDY}"
    )


def _factors(a: Array) -> bool:
    try:
        lapack.potrf(mx.nd, a).wait_to_read()
    except NotPositiveDefiniteError:
        return False
    return True
