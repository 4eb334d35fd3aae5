"""Cholesky factorization, and what is computed from it."""

from typing import Any, Tuple, Union

from .. import functional as fn
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class CholeskyBlock(LinearAlgebraBlock):
    """Cholesky factor of positive definite matrices, A + s I = L Lᵀ (LAPACK potrf).

    a: (B, n, n), of which the lower triangle is read -> L: (B, n, n), lower, positive diagonal.
    The gradient is returned symmetric. `jitter`: 0 (none), a number relative to the mean
    diagonal, or 'auto' (`functional.jitter_shift`); with `return_jitter` the block returns
    (L, s) with s of shape (B, 1).
    Raises NotPositiveDefiniteError, NonFiniteError. Seeger et al. 2017, section 3.

    >>> a = mx.nd.array([[[4.0, 2.0], [2.0, 3.0]]])
    >>> print(gl.CholeskyBlock()(a).asnumpy().round(4))
    [[[2.     0.    ]
      [1.     1.4142]]]
    """

    arguments = (("a", "B n n"),)

    def __init__(
        self, jitter: Union[float, str] = 0.0, return_jitter: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._jitter, self._return_jitter = check_jitter(jitter), return_jitter

    def hybrid_forward(self, F: Namespace, a: Array) -> Union[Array, Tuple[Array, Array]]:
        if not self._return_jitter:
            return fn.cholesky(F, a, self._jitter, self.name)
        shift = fn.jitter_shift(F, fn.diagonal(F, a), self._jitter, a, self.name)
        return fn.cholesky(F, fn.shift_diagonal(F, a, shift), name=self.name), shift


class CholeskySolveBlock(LinearAlgebraBlock):
    """X = A⁻¹ B of a positive definite A (LAPACK potrf, potrs).

    a: (B, n, n), b: (B, n, k) -> (B, n, k). Raises NotPositiveDefiniteError, NonFiniteError.

    >>> a, b = mx.nd.array([[[4.0, 2.0], [2.0, 3.0]]]), mx.nd.array([[[8.0], [8.0]]])
    >>> print(gl.CholeskySolveBlock()(a, b).asnumpy().round(4))
    [[[1.]
      [2.]]]
    """

    arguments = (("a", "B n n"), ("b", "B n k"))

    def __init__(self, jitter: Union[float, str] = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._jitter = check_jitter(jitter)

    def hybrid_forward(self, F: Namespace, a: Array, b: Array) -> Array:
        b = fn.finite_right_side(F, b, self.name)
        return fn.solve_spd(F, a, b, self._jitter, self.name)


class LogDetBlock(LinearAlgebraBlock):
    """log|A| of a positive definite A, by 2 Σ log L_ii; its gradient is A⁻¹.

    a: (B, n, n) -> (B,). Raises NotPositiveDefiniteError, NonFiniteError.

    Half of it is the sum of logarithms on the diagonal of the factor (LAPACK potrf).

    >>> a = mx.nd.array([[[4.0, 2.0], [2.0, 3.0]]])
    >>> print(np.exp(gl.LogDetBlock()(a).asnumpy()).round(4))
    [8.]
    """

    arguments = (("a", "B n n"),)

    def __init__(self, jitter: Union[float, str] = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._jitter = check_jitter(jitter)

    def hybrid_forward(self, F: Namespace, a: Array) -> Array:
        return fn.log_determinant(F, a, self._jitter, self.name)


def check_jitter(jitter: Union[float, str]) -> Union[float, str]:
    """`jitter` itself when it is 'auto' or a number >= 0."""
    if jitter == "auto" or (isinstance(jitter, (int, float)) and 0 <= jitter < 1):
        return jitter
    raise ValueError(f"jitter is {jitter!r}; expected 'auto' or a number in [0, 1).")
