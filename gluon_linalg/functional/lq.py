"""LQ and QR factorizations with a unique, positive diagonal, and when rows are independent."""

from typing import Tuple

import mxnet as mx

from ..errors import NonFiniteError, SingularMatrixError
from ..native import applies, matrices
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, refuse_gradient, require
from .cholesky import triangular_solve
from .matrix import add_diagonal, diagonal, identity_like, magnitude, product, transpose
from .tangent import stop, unit_roundoff

# A diagonal element of L below so many ε of the largest of its row is rounding.
ROUNDING = 32.0


def lq(F: Namespace, a: Array, name: str = "LQ", what: str = "rows") -> Tuple[Array, Array]:
    """(Q, L) with A = L Q, Q Qᵀ = I, (B, m, n), m <= n -> (B, m, n), (B, m, m) (gelqf).

    LAPACK leaves the signs of L's diagonal open; here it is positive. With W = L⁻¹ dA, C = W Qᵀ
    and Ω = U - Uᵀ, where U is C above its diagonal, the gradient is that of

        dL = dA Qᵀ - L Ω        dQ = Ω Q + W - C Q.

    Where rows are dependent (`independent_rows`) Q is not unique. Then its gradient is refused
    (SingularMatrixError imperatively, where it is read; NaN in a graph) if the loss depends on Q.
    That of L needs no L_mm⁻¹ and leaves out the other L_ii⁻¹ which are rounding: it is right for
    Σ L² always, and for any function of A Aᵀ if no independent row follows a dependent one.
    Raises NonFiniteError. Seeger et al. 2017, section 3.
    """
    text = f"{name}: the matrix contains NaN or infinity."
    if applies(F, a):
        return _native_lq(F, a, text, _dependent(name, what))
    a = require(F, a, finite(F, a), NonFiniteError, text)
    q, factor = lq_factors(F, a)
    unit = magnitude(F, factor, axis=(1, 2))
    scaled = F.broadcast_div(factor, unit)
    pivots, solvable = _solvable(F, scaled)

    # 0, with the gradient of `a`.
    increment = a - stop(F, a)
    moved = product(F, increment, q, transpose_b=True)
    solved = triangular_solve(F, solvable, F.broadcast_mul(increment, pivots))
    across = product(F, solved, q, transpose_b=True)
    upper = across - lapack.lower_triangle(F, across)
    rotation = upper - transpose(F, upper)
    by_q = product(F, rotation - across, q) + solved
    factor = factor + lapack.lower_triangle(F, moved - product(F, scaled, rotation))
    q = q + F.broadcast_div(by_q, unit)
    holds = independent_rows(F, stop(F, factor))
    text = _dependent(name, what)
    return refuse_gradient(F, q, a, holds, SingularMatrixError, text), factor


def qr(F: Namespace, a: Array, name: str = "QR") -> Tuple[Array, Array]:
    """(Q, R) with A = Q R, QᵀQ = I, (B, m, n), m >= n -> (B, m, n), (B, n, n).

    R is upper triangular with positive diagonal: the transpose of the LQ of Aᵀ.
    """
    q, factor = lq(F, transpose(F, a), name, "columns")
    return transpose(F, q), transpose(F, factor)


def lq_factors(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(Q, L) of `lq` as constants."""
    if applies(F, a):
        q, factor = matrices.gelqf(F, stop(F, a))
        return stop(F, q), stop(F, factor)
    q, factor = lapack.gelqf(F, stop(F, a))
    sign = 1.0 - 2.0 * (stop(F, diagonal(F, factor)) < 0)
    q = F.broadcast_mul(q, F.expand_dims(sign, axis=2))
    factor = F.broadcast_mul(factor, F.expand_dims(sign, axis=1))
    return stop(F, q), stop(F, factor)


def independent_rows(F: Namespace, factor: Array) -> Array:
    """1 where the rows of L, scaled to length 1, have |L⁻¹| < 1 / (32 ε) in Frobenius norm, (B, 1).

    1 / |L⁻¹| is the smallest singular value of the scaled matrix, or up to √m times smaller: the
    rule does not depend on units. ε is 1.1e-16 in float64 and 6.0e-8 in float32. Matrices that are
    singular but for rounding were found at up to 14 ε.
    """
    if applies(F, factor):
        return matrices.independent_rows(F, stop(F, factor))
    # First by the largest element, whose square may be out of range.
    scaled = F.broadcast_div(factor, F.max(F.abs(factor), axis=2, keepdims=True))
    scaled = F.broadcast_div(scaled, F.sqrt(F.sum(F.square(scaled), axis=2, keepdims=True)))
    inverse = triangular_solve(F, scaled, identity_like(F, scaled))
    squared = F.sum(F.square(inverse), axis=(1, 2))
    return F.expand_dims(squared * F.square(ROUNDING * unit_roundoff(F, squared)) < 1.0, axis=1)


def _native_lq(F: Namespace, a: Array, not_finite: str, dependent: str) -> Tuple[Array, Array]:
    """`lq` by one operator: what fails is NaN, in a graph; imperatively an error."""
    q, factor = matrices.gelqf(F, a)
    if F is mx.nd:
        # NaN in one element is NaN in all.
        found = finite(F, F.slice_axis(factor, axis=2, begin=0, end=1))
        if not found.asnumpy().all():
            require(F, a, finite(F, a), NonFiniteError, not_finite)
        if mx.autograd.is_recording():
            holds = independent_rows(F, factor)
            q = refuse_gradient(F, q, a, holds, SingularMatrixError, dependent)
    return q, factor


def _dependent(name: str, what: str) -> str:
    return (
        f"{name}: the {what} of the matrix are linearly dependent, up to rounding: Q is not unique "
        "and has no gradient. Let the loss depend on the triangular factor alone, or leave out "
        f"dependent {what}."
    )


def _solvable(F: Namespace, factor: Array) -> Tuple[Array, Array]:
    """Which diagonal elements are no rounding, (B, m, 1) of 0/1, and L with rows of I elsewhere."""
    largest = F.max(F.abs(factor), axis=2)
    pivots = F.abs(diagonal(F, factor)) > ROUNDING * unit_roundoff(F, largest) * largest
    pivots = stop(F, pivots)
    rows = F.expand_dims(pivots, axis=2)
    return rows, add_diagonal(F, F.broadcast_mul(factor, rows), 1.0 - pivots)
