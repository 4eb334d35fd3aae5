"""Least squares (Seeger et al. 2017, section 2.2; Golub & Van Loan, chapter 5)."""

from typing import Any, Mapping, Optional, Sequence, Tuple

from ..errors import ShapeError
from ..functional.least_squares import least_squares, minimum_norm
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .parameters import parameter_array, positive_parameter


class LeastSquaresBlock(LinearAlgebraBlock):
    """x that minimizes Σ_i w_i |A x - b|_i² + ρ |x|², (a, b [, weights]) -> x.

    a: (B, m, n); b: (B, m), or (B, m, k) with targets=k; weights w >= 0: (B, m), optional
    -> x: (B, n) or (B, n, k). Differentiable in all of them and in ρ, without differentiating
    through the factorization (`functional.least_squares`). Computed by LQ; AᵀA is never formed.

    ridge: ρ, the initial value of a learnable parameter of that name
    (``block.ridge.grad_req = 'null'`` freezes it), or 0 for none.

    | wide  | ridge | takes                                        | x                         |
    |-------|-------|----------------------------------------------|---------------------------|
    | False | 0     | m >= n, independent columns of W^½ A         | least squares             |
    | False | > 0   | any A; costs n² (m + n)                      | ridge regression          |
    | True  | 0     | m <= n, independent rows; no weights         | A x = b, of least length  |
    | True  | > 0   | any A; costs m² (m + n); no weights          | ridge regression          |

    Independent means: after every column (row) is scaled to length 1, the smallest singular value
    is above 32 ε, 3.6e-15 in float64 and 1.9e-6 in float32, estimated by 1 / |L⁻¹| in Frobenius
    norm, which is never above it. With a ridge the same is asked of A and √ρ I together.

    Raises SingularMatrixError, NonFiniteError, ShapeError, DtypeError.

    >>> a, b = mx.nd.array([[[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]]), mx.nd.array([[1.0, 3.0, 5.0]])
    >>> print(gl.LeastSquaresBlock()(a, b).asnumpy().round(4))  # 1 + 2 x
    [[1. 2.]]
    """

    def __init__(
        self, ridge: float = 0.0, wide: bool = False, targets: Optional[int] = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if targets is not None and not (isinstance(targets, int) and targets > 0):
            raise ValueError(f"{self.name}: targets is {targets!r}, expected None or a number.")
        self._wide, self._targets = bool(wide), targets
        self.arguments = (("a", "B m n"), ("b", "B m" if targets is None else "B m k"))
        self.required = 2
        if not wide:
            self.arguments += (("weights", "B m"),)
        with self.name_scope():
            self.ridge = None
            if ridge != 0:
                self.ridge = positive_parameter(self, "ridge", ridge, lower=0.0)

    def hybrid_forward(
        self, F: Namespace, a: Array, b: Array, weights: Optional[Array] = None, **stored: Any
    ) -> Array:
        if self._targets is None:
            b = F.expand_dims(b, axis=2)
        ridge = None
        if self.ridge is not None:
            ridge = self.ridge.natural(F, parameter_array(F, self.ridge, a))
        if self._wide:
            x = minimum_norm(F, a, b, ridge, self.name)
        else:
            x = least_squares(F, a, b, ridge, weights, self.name)
        return F.squeeze(x, axis=2) if self._targets is None else x

    def _bound(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Tuple[Any, ...]:
        if self._wide and (len(args) > 2 or "weights" in keywords):
            raise TypeError(
                f"{self.name}: weights do not change the minimum-norm solution. For weighted ridge "
                "regression of a wide matrix use LeastSquaresBlock(ridge=..., wide=False)."
            )
        return super()._bound(args, keywords)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        rows, columns = sizes["m"], sizes["n"]
        if sizes.get("k", self._targets) != self._targets:
            raise ShapeError(
                f"{self.name}: 'b' has {sizes['k']} targets, but the block was built with "
                f"targets={self._targets}."
            )
        if self.ridge is None and (rows > columns if self._wide else rows < columns):
            remedy = "wide=False" if self._wide else "wide=True"
            raise ShapeError(
                f"{self.name}: 'a' has {rows} rows and {columns} columns; with wide={self._wide} "
                f"and no ridge it needs {'m <= n' if self._wide else 'm >= n'}. Use "
                f"LeastSquaresBlock({remedy}), or a ridge."
            )
