"""General square matrices: inverse and determinant, also of singular ones."""

import math
from typing import Tuple, Type

import mxnet as mx

from ..errors import NonFiniteError, SingularMatrixError, listing
from ..native import applies, matrices
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, refuse_gradient, require
from .matrix import identity_like, inner, magnitude, product, transpose
from .tangent import ones_like, stop, unit_roundoff, with_gradient, zeros_like

SINGULAR = (
    "the matrix is singular, up to rounding. Regularize it, or solve the least-squares problem "
    "instead."
)


def inverse(F: Namespace, a: Array, name: str = "Inverse") -> Array:
    """A⁻¹ of a general square matrix by LU, (B, n, n) -> (B, n, n).

    Raises SingularMatrixError, also where no digit would be right (`invertible`), and
    NonFiniteError where MXNet would return rows of zeros.
    """
    if applies(F, a):
        return _checked(F, a, matrices.inverse(F, a), SingularMatrixError, SINGULAR, name)
    a = _finite(F, a, name)
    found = lapack.inverse(F, a)
    if F is mx.nd:
        _raise_if_singular(a, found, name)
    return require(F, found, invertible(F, a, found), SingularMatrixError, f"{name}: {SINGULAR}")


def determinant(F: Namespace, a: Array, name: str = "Det") -> Array:
    """det A of a general square matrix, (B, n, n) -> (B,).

    By LU; the gradient is that of d det = Σ_ij cof(A)_ij dA_ij with the cofactors from the
    singular values, A = U diag(s) V:

        cof(A) = det U det V · U diag(Π_{j≠i} s_j) V,

    right for singular A too: of rank one at rank n - 1, 0 below. Rows and columns are first
    divided by powers of 2, so only a result that is out of range overflows: NonFiniteError.
    Costs a singular value decomposition, some 20 times an LU; in C++ the cofactors are those of an
    LU with complete pivoting. Stewart 1998, On the adjugate matrix.
    """
    text = "the determinant or its derivative is too large for its dtype. "
    text += "SLogDetBlock gives its logarithm."
    if applies(F, a):
        return _checked(F, a, matrices.det(F, a), NonFiniteError, text, name)
    a = _finite(F, a, name)
    scaled, rows, columns, exponent = _equilibrated(F, stop(F, a))
    sign, logarithm = lapack.slogdet(F, scaled)
    value = sign * exp_times_power(F, logarithm, exponent)

    left, s, right = lapack.gesvd(F, scaled)
    orientation = lapack.slogdet(F, left)[0] * lapack.slogdet(F, right)[0]
    # In row i all logarithms but the i-th.
    logarithms = F.broadcast_mul(ones_like(F, scaled), F.expand_dims(F.log(s), axis=1))
    others = F.where(identity_like(F, scaled), zeros_like(F, scaled), logarithms)
    products = exp_times_power(F, F.sum(others, axis=2), F.expand_dims(exponent, axis=1))
    products = F.broadcast_mul(products, F.expand_dims(orientation, axis=1))
    cofactors = product(F, F.broadcast_mul(left, F.expand_dims(products, axis=1)), right)
    cofactors = F.broadcast_div(F.broadcast_div(cofactors, rows), columns)

    text = f"{name}: {text}"
    value = require(F, value, finite(F, value), NonFiniteError, text, axes=1)
    cofactors = require(F, cofactors, finite(F, cofactors), NonFiniteError, text)
    return with_gradient(F, value, inner(F, stop(F, cofactors), a - stop(F, a)))


def sign_log_determinant(F: Namespace, a: Array, name: str = "SLogDet") -> Tuple[Array, Array]:
    """(sign, log|det A|) of a general square matrix by LU, (B, n, n) -> (B,), (B,).

    sign is a constant; the gradient of the logarithm is A⁻ᵀ. Of a singular A (`invertible`) the
    result is (0, -inf), without a gradient: SingularMatrixError imperatively, where it is read,
    and NaN in a graph.
    """
    text = f"{name}: the logarithm of the determinant of a singular matrix has no gradient."
    if applies(F, a):
        sign, logarithm = matrices.slogdet(F, a)
        if F is mx.nd:
            _checked(F, a, sign, NonFiniteError, "", name)
            holds = F.expand_dims(stop(F, sign) != 0.0, axis=1)
            logarithm = refuse_gradient(F, logarithm, a, holds, SingularMatrixError, text, axes=1)
        return stop(F, sign), logarithm
    a = _finite(F, a, name)
    scaled, rows, columns, exponent = _equilibrated(F, stop(F, a))
    sign, logarithm = lapack.slogdet(F, scaled)
    # LU of a singular matrix would fail for the whole batch: the identity takes its place.
    regular = F.broadcast_mul(ones_like(F, scaled), F.reshape(sign != 0.0, shape=(-1, 1, 1)))
    usable = F.where(regular, scaled, identity_like(F, scaled))
    inverted = lapack.inverse(F, usable)
    holds = invertible(F, usable, inverted)
    regular = stop(F, F.reshape(holds, shape=(-1,)) * (sign != 0.0))

    # A logarithm of 0 is -inf as well: log(0) · 1, never -inf · 0.
    sign = stop(F, F.where(regular, sign, zeros_like(F, sign)))
    logarithm = F.where(regular, logarithm, F.log(zeros_like(F, logarithm)))
    logarithm = stop(F, logarithm + math.log(2.0) * exponent)
    increment = F.broadcast_div(F.broadcast_div(a - stop(F, a), rows), columns)
    logarithm = logarithm + inner(F, stop(F, transpose(F, inverted)), increment)
    holds = F.expand_dims(regular, axis=1)
    return sign, refuse_gradient(F, logarithm, a, holds, SingularMatrixError, text, axes=1)


def invertible(F: Namespace, a: Array, inverse: Array) -> Array:
    """1 where a digit of A⁻¹ can be right, (B, 1): min over i of the two conditions below 1 / ε.

    Those of Skeel, max_i (|A⁻¹| |A| 1)_i and max_j (1ᵀ |A| |A⁻¹|)_j, the one independent of the
    units of the rows, the other of those of the columns. Higham 2002, section 7.2.
    """
    a, inverse = F.abs(stop(F, a)), F.abs(stop(F, inverse))
    by_rows = product(F, inverse, F.sum(a, axis=2, keepdims=True))
    by_columns = product(F, F.sum(a, axis=1, keepdims=True), inverse)
    condition = F.minimum(F.max(by_rows, axis=(1, 2)), F.max(by_columns, axis=(1, 2)))
    return F.expand_dims(condition * unit_roundoff(F, condition) < 1.0, axis=1)


def exp_times_power(F: Namespace, logarithm: Array, exponent: Array) -> Array:
    """e^x 2^k of constants where neither factor need be in range; x may be -inf."""
    logarithm = F.maximum(logarithm, -1e6)
    own = F.round(logarithm / math.log(2.0))
    total = F.broadcast_add(own, exponent)
    half = F.floor(0.5 * total)
    return F.exp(logarithm - math.log(2.0) * own) * 2.0**half * 2.0 ** (total - half)


def _equilibrated(F: Namespace, a: Array) -> Tuple[Array, Array, Array, Array]:
    """A/(r cᵀ), r (B, n, 1), c (B, 1, n), powers of 2, and k (B,) with Π r_i Π c_i = 2^k."""
    rows = magnitude(F, a, axis=2)
    a = F.broadcast_div(a, rows)
    columns = magnitude(F, a, axis=1)
    exponent = F.sum(F.log2(rows), axis=(1, 2)) + F.sum(F.log2(columns), axis=(1, 2))
    return F.broadcast_div(a, columns), rows, columns, stop(F, exponent)


def _finite(F: Namespace, a: Array, name: str) -> Array:
    text = f"{name}: the matrix contains NaN or infinity."
    return require(F, a, finite(F, a), NonFiniteError, text)


def _checked(
    F: Namespace, a: Array, found: Array, error_class: Type[Exception], text: str, name: str
) -> Array:
    """What was computed from A (B, ...), NaN where it failed: an error of either imperatively."""
    if F is mx.nd and found.size:
        holds = finite(F, F.slice_axis(F.reshape(found, shape=(0, -1)), axis=1, begin=0, end=1))
        if not holds.asnumpy().all():
            _finite(F, a, name)
            require(F, found, holds, error_class, f"{name}: {text}")
    return found


def _raise_if_singular(a: Array, found: Array, name: str) -> None:
    try:
        found.wait_to_read()
    except SingularMatrixError:
        failed = [i for i in range(len(a)) if not _inverts(a[i : i + 1])]
        raise SingularMatrixError(
            f"{name}: {SINGULAR} Failing batch elements: {listing(failed)} of {len(a)}."
        ) from None


def _inverts(a: Array) -> bool:
    try:
        lapack.inverse(mx.nd, a).wait_to_read()
    except SingularMatrixError:
        return False
    return True
