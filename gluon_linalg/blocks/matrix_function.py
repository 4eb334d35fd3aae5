"""Functions of symmetric matrices: roots, logarithm, exponential, powers, nearest PSD matrix."""

import math
import numbers
from typing import Any

from ..functional import spectral
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class MatrixSqrtBlock(LinearAlgebraBlock):
    """A^{1/2}, or with `inverse` A^{-1/2}: symmetric, its square is A, or A⁻¹.

    a: (B, n, n), of which the lower triangle is read -> (B, n, n). The gradient is returned
    symmetric and is exact at and near repeated eigenvalues (`functional.symmetric_function`).
    A must be positive semidefinite, with `inverse` positive definite. Where A is singular the
    gradient of A^{1/2} is infinite for changes that raise its rank; what is returned is exact for
    changes that keep it. Eigenvalues up to 16 times the magnitude of a negative one, which only
    rounding can make, count as 0. Raises NotPositiveDefiniteError, NonFiniteError.

    >>> root = gl.MatrixSqrtBlock()(mx.nd.array([[[5.0, 4.0], [4.0, 5.0]]]))
    >>> print(root.asnumpy().round(4))
    [[[2. 1.]
      [1. 2.]]]
    """

    arguments = (("a", "B n n"),)

    def __init__(self, inverse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._inverse = bool(inverse)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        if self._inverse:
            return spectral.matrix_inverse_sqrt(F, a, name=self.name)
        return spectral.matrix_sqrt(F, a, self.name)


class MatrixLogBlock(LinearAlgebraBlock):
    """log A = Uᵀ diag(log λ) U of a positive definite matrix: exp(log A) = A.

    a: (B, n, n), of which the lower triangle is read -> (B, n, n). The gradient is returned
    symmetric and is exact at and near repeated eigenvalues.
    Raises NotPositiveDefiniteError, NonFiniteError.

    Higham 2008, section 3.2, for the gradient.

    >>> print(gl.MatrixLogBlock()(mx.nd.array([[[np.e, 0.0], [0.0, 1.0]]])).asnumpy().round(4))
    [[[1. 0.]
      [0. 0.]]]
    """

    arguments = (("a", "B n n"),)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        return spectral.matrix_log(F, a, self.name)


class MatrixExpBlock(LinearAlgebraBlock):
    """exp A = Uᵀ diag(exp λ) U of any symmetric matrix.

    a: (B, n, n), of which the lower triangle is read -> (B, n, n). The gradient is returned
    symmetric and is exact at and near repeated eigenvalues. Raises NonFiniteError, also where the
    result overflows: beyond an eigenvalue of 88 in float32 and 709 in float64.

    Higham 2008, section 3.2, for the gradient.

    >>> print(gl.MatrixExpBlock()(mx.nd.array([[[0.0, 1.0], [1.0, 0.0]]])).asnumpy().round(4))
    [[[1.5431 1.1752]
      [1.1752 1.5431]]]
    """

    arguments = (("a", "B n n"),)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        return spectral.matrix_exp(F, a, self.name)


class MatrixPowerBlock(LinearAlgebraBlock):
    """A^p = Uᵀ diag(λ^p) U of a positive definite matrix and any number p.

    a: (B, n, n), of which the lower triangle is read -> (B, n, n). The gradient is returned
    symmetric and is exact at and near repeated eigenvalues.
    Raises NotPositiveDefiniteError, NonFiniteError.

    Higham 2008, section 3.2, for the gradient.

    >>> print(gl.MatrixPowerBlock(-2)(mx.nd.array([[[2.0, 0.0], [0.0, 4.0]]])).asnumpy().round(4))
    [[[0.25   0.    ]
      [0.     0.0625]]]
    """

    arguments = (("a", "B n n"),)

    def __init__(self, power: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._power = _finite_number("power", power)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        return spectral.matrix_power(F, a, self._power, self.name)


class NearestPSDBlock(LinearAlgebraBlock):
    """Uᵀ diag(max(λ, φ)) U, the nearest matrix whose eigenvalues are at least the `floor` φ.

    a: (B, n, n), any symmetric matrix, of which the lower triangle is read -> (B, n, n), positive
    semidefinite for φ = 0, nearest in the Frobenius norm. A floor above 0 makes of a correlation
    matrix that was estimated pair by pair one that has a Cholesky factor. The gradient is returned
    symmetric and is exact at and near repeated eigenvalues; an eigenvalue that is φ to rounding
    counts as one below (`functional.spectral.nearest_psd`). Raises NonFiniteError.

    Higham 1988.

    >>> nearest = gl.NearestPSDBlock()(mx.nd.array([[[1.0, 2.0], [2.0, 1.0]]]))  # eigenvalues 3, -1
    >>> print(nearest.asnumpy().round(4))
    [[[1.5 1.5]
      [1.5 1.5]]]
    """

    arguments = (("a", "B n n"),)

    def __init__(self, floor: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._floor = _finite_number("floor", floor)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        return spectral.nearest_psd(F, a, self._floor, self.name)


def _finite_number(name: str, value: Any) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value)):
        raise ValueError(f"{name} is {value!r}; expected a finite number.")
    return float(value)
