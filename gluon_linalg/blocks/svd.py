"""Thin singular value decomposition."""

from typing import Any, Mapping, Tuple

from ..errors import ShapeError
from ..functional.svd import svd
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class SVDBlock(LinearAlgebraBlock):
    """(U, s, V) with A = U diag(s) V, UᵀU = V Vᵀ = I and s >= 0 descending (LAPACK gesvd).

    a: (B, m, n) -> U: (B, m, k), s: (B, k), V: (B, k, n), k = min(m, n). A graph does not know
    shapes, so matrices are wide, m <= n, unless `tall`: m >= n. The element of largest magnitude
    of each row of V is positive; among magnitudes within 1/1024 of the largest, the first.
    Every s_i is accurate to a few ε s_max. Singular values nearer than 64 ε s_max to each other
    or to 0 count as equal, or as 0, and the gradient has no rotation among their vectors: it is
    finite for matrices of any rank.
    Raises ShapeError, NonFiniteError. The equations are at `functional.svd`.

    >>> u, s, v = gl.SVDBlock()(mx.nd.array([[[3.0, 0.0], [0.0, -5.0]]]))
    >>> print(s.asnumpy().round(4))
    [[5. 3.]]
    """

    arguments = (("a", "B m n"),)
    unique = False

    def __init__(self, tall: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._tall = bool(tall)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        rows, columns = sizes["m"], sizes["n"]
        if (rows < columns) if self._tall else (rows > columns):
            rule = "m >= n with tall=True" if self._tall else "m <= n unless tall=True"
            raise ShapeError(
                f"{self.name}: 'a' has {rows} rows and {columns} columns; SVD needs {rule}."
            )

    def hybrid_forward(self, F: Namespace, a: Array) -> Tuple[Array, Array, Array]:
        return svd(F, a, self._tall, self.name)
