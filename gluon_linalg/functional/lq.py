"""LQ and QR factorizations with a unique, positive diagonal."""

from . import lapack
from .matrix import diagonal, transpose
from .tangent import stop


def lq(F, a):
    """(Q, L) with A = L Q, Q Qᵀ = I, (B, m, n), m <= n -> (B, m, n), (B, m, m) (gelqf).

    LAPACK leaves the signs of L's diagonal open; here it is positive. Rows of A must be linearly
    independent, else the gradient does not exist. Paper, section 3.
    """
    q, factor = lapack.gelqf(F, a)
    sign = 1.0 - 2.0 * (stop(F, diagonal(F, factor)) < 0)
    q = F.broadcast_mul(q, F.expand_dims(sign, axis=2))
    factor = F.broadcast_mul(factor, F.expand_dims(sign, axis=1))
    return q, factor


def qr(F, a):
    """(Q, R) with A = Q R, QᵀQ = I, (B, m, n), m >= n -> (B, m, n), (B, n, n).

    R is upper triangular with positive diagonal: the transpose of the LQ of Aᵀ.
    """
    q, factor = lq(F, transpose(F, a))
    return transpose(F, q), transpose(F, factor)
