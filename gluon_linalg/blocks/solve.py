"""Triangular systems and inverses."""

from typing import Any, Union

from .. import functional as fn
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .cholesky import check_jitter


class TriangularSolveBlock(LinearAlgebraBlock):
    """X = op(L)⁻¹ B by back-substitution (BLAS trsm), op the identity or the transpose.

    factor L: (B, n, n), of which only the triangle is read; b: (B, n, k) -> (B, n, k).
    Raises SingularMatrixError when L has a zero on its diagonal.

    >>> factor, b = mx.nd.array([[[2.0, 0.0], [1.0, 4.0]]]), mx.nd.array([[[2.0], [9.0]]])
    >>> print(gl.TriangularSolveBlock()(factor, b).asnumpy())
    [[[1.]
      [2.]]]
    """

    arguments = (("factor", "B n n"), ("b", "B n k"))

    def __init__(self, transpose: bool = False, lower: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._transpose, self._lower = transpose, lower

    def hybrid_forward(self, F: Namespace, factor: Array, b: Array) -> Array:
        return fn.checked_triangular_solve(
            F, factor, b, transpose=self._transpose, lower=self._lower, name=self.name
        )


class InverseBlock(LinearAlgebraBlock):
    """A⁻¹: of a general matrix by LU, or with `positive_definite` by Cholesky (potrf, potri).

    a: (B, n, n) -> (B, n, n). With `positive_definite` the lower triangle is read, the gradient
    is symmetric, and `jitter` is that of `CholeskyBlock`.
    Raises SingularMatrixError, NotPositiveDefiniteError, NonFiniteError.

    >>> a = mx.nd.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> print(gl.InverseBlock()(a).asnumpy().round(4))
    [[[-2.   1. ]
      [ 1.5 -0.5]]]
    """

    arguments = (("a", "B n n"),)

    def __init__(
        self, positive_definite: bool = False, jitter: Union[float, str] = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._positive_definite, self._jitter = positive_definite, check_jitter(jitter)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        if self._positive_definite:
            return fn.inverse_spd(F, a, self._jitter, self.name)
        return fn.inverse(F, a, self.name)
