"""LQ of wide and QR of tall matrices."""

from typing import Mapping, Tuple

from .. import functional as fn
from ..errors import ShapeError
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class LQBlock(LinearAlgebraBlock):
    """(Q, L) with A = L Q, Q Qᵀ = I and L lower with positive diagonal (LAPACK gelqf, orglq).

    a: (B, m, n) with m <= n -> Q: (B, m, n), L: (B, m, m). Where rows are linearly dependent L is
    right and Q one of many: the gradient of a loss that depends on Q is then refused, by
    SingularMatrixError where it is read, in a graph by NaN; that of L is explained at
    `functional.lq`. Raises NonFiniteError, ShapeError for tall input.
    Seeger et al. 2017, section 3.

    >>> q, l = gl.LQBlock()(mx.nd.array([[[3.0, 4.0]]]))
    >>> print(q.asnumpy().round(4), l.asnumpy().round(4))
    [[[0.6 0.8]]] [[[5.]]]
    """

    arguments = (("a", "B m n"),)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes["m"] > sizes["n"]:
            raise ShapeError(
                f"{self.name}: 'a' has {sizes['m']} rows and {sizes['n']} columns; LQ needs m <= n."
                " Use QRBlock, or transpose the input."
            )

    def hybrid_forward(self, F: Namespace, a: Array) -> Tuple[Array, Array]:
        return fn.lq(F, a, self.name)


class QRBlock(LinearAlgebraBlock):
    """(Q, R) with A = Q R, QᵀQ = I and R upper with positive diagonal: LQ of the transpose.

    a: (B, m, n) with m >= n -> Q: (B, m, n), R: (B, n, n). Where columns are linearly dependent
    the gradient of Q is refused, as in `LQBlock`. Raises NonFiniteError, ShapeError for wide input.

    >>> q, r = gl.QRBlock()(mx.nd.array([[[3.0], [4.0]]]))
    >>> print(q.asnumpy().round(4), r.asnumpy().round(4))
    [[[0.6]
      [0.8]]] [[[5.]]]
    """

    arguments = (("a", "B m n"),)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes["m"] < sizes["n"]:
            raise ShapeError(
                f"{self.name}: 'a' has {sizes['m']} rows and {sizes['n']} columns; QR needs m >= n."
                " Use LQBlock, or transpose the input."
            )

    def hybrid_forward(self, F: Namespace, a: Array) -> Tuple[Array, Array]:
        return fn.qr(F, a, self.name)
