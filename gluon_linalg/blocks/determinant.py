"""Determinants of general square matrices."""

from typing import Tuple

from .. import functional as fn
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class DetBlock(LinearAlgebraBlock):
    """det A of a general square matrix, (B, n, n) -> (B,).

    The gradient is the matrix of cofactors, det A · A⁻ᵀ where A is invertible, and right for
    singular A too (`functional.determinant`). For positive definite matrices `LogDetBlock` is
    faster. Raises NonFiniteError, also where the result overflows.

    >>> print(gl.DetBlock()(mx.nd.array([[[1.0, 2.0], [3.0, 4.0]]])).asnumpy().round(4))
    [-2.]
    """

    arguments = (("a", "B n n"),)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        return fn.determinant(F, a, self.name)


class SLogDetBlock(LinearAlgebraBlock):
    """(sign, log|det A|) of a general square matrix, (B, n, n) -> (B,), (B,): never overflows.

    The gradient of the logarithm is A⁻ᵀ; the sign has none. A singular matrix, up to rounding
    (`functional.invertible`), gives (0, -inf), and a loss that depends on its logarithm has no
    gradient: SingularMatrixError where that is read, in a graph NaN for the batch element.
    Raises NonFiniteError.

    >>> sign, logarithm = gl.SLogDetBlock()(mx.nd.array([[[1.0, 2.0], [3.0, 4.0]]]))
    >>> print(sign.asnumpy(), np.exp(logarithm.asnumpy()).round(4))
    [-1.] [2.]
    """

    arguments = (("a", "B n n"),)

    def hybrid_forward(self, F: Namespace, a: Array) -> Tuple[Array, Array]:
        return fn.sign_log_determinant(F, a, self.name)
