"""LQ of wide and QR of tall matrices."""

from .. import functional as fn
from ..errors import ShapeError
from .base import LinearAlgebraBlock


class LQBlock(LinearAlgebraBlock):
    """(Q, L) with A = L Q, Q Qᵀ = I and L lower with positive diagonal (LAPACK gelqf, orglq).

    a: (B, m, n) with m <= n and linearly independent rows -> Q: (B, m, n), L: (B, m, m).
    Raises ShapeError for tall input. Paper, section 3.
    """

    arguments = (("a", "B m n"),)

    def check_shapes(self, sizes):
        if sizes["m"] > sizes["n"]:
            raise ShapeError(
                f"{self.name}: 'a' has {sizes['m']} rows and {sizes['n']} columns; LQ needs m <= n."
                " Use QRBlock, or transpose the input."
            )

    def hybrid_forward(self, F, a):
        return fn.lq(F, a)


class QRBlock(LinearAlgebraBlock):
    """(Q, R) with A = Q R, QᵀQ = I and R upper with positive diagonal: LQ of the transpose.

    a: (B, m, n) with m >= n and linearly independent columns -> Q: (B, m, n), R: (B, n, n).
    Raises ShapeError for wide input.
    """

    arguments = (("a", "B m n"),)

    def check_shapes(self, sizes):
        if sizes["m"] < sizes["n"]:
            raise ShapeError(
                f"{self.name}: 'a' has {sizes['m']} rows and {sizes['n']} columns; QR needs m >= n."
                " Use LQBlock, or transpose the input."
            )

    def hybrid_forward(self, F, a):
        return fn.qr(F, a)
