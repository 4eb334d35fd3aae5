"""Symmetric eigendecomposition."""

import numbers
from typing import Any, Mapping, Optional, Tuple

from .. import functional as fn
from ..errors import ShapeError
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class EigBlock(LinearAlgebraBlock):
    """(U, λ) with A = Uᵀ diag(λ) U, rows of U the eigenvectors, λ ascending (LAPACK syevd).

    a: (B, n, n), of which the lower triangle is read -> U: (B, k, n), λ: (B, k). λ descends with
    `descending`; `top_k` keeps the k largest eigenvalues, k = n without it.
    The element of largest magnitude of each eigenvector is positive; among magnitudes within
    1/1024 of the largest, the first. The gradient is returned symmetric. Eigenvalues nearer than
    64 ε max|λ| count as equal, and the gradient has no rotation among their eigenvectors. The
    gradient of a function Uᵀ diag(f(λ)) U is lost there: `MatrixExpBlock` and the like have it.
    Raises NonFiniteError, ShapeError. Seeger et al. 2017, section 3; the equations are at
    `functional.eigh`.

    >>> u, values = gl.EigBlock()(mx.nd.array([[[2.0, 1.0], [1.0, 2.0]]]))
    >>> print(values.asnumpy().round(4))
    [[1. 3.]]
    """

    arguments = (("a", "B n n"),)
    unique = False

    def __init__(
        self, descending: bool = False, top_k: Optional[int] = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if top_k is not None and not (isinstance(top_k, numbers.Integral) and top_k >= 1):
            raise ValueError(f"top_k is {top_k!r}; expected an integer of at least 1, or None.")
        self._descending, self._top_k = bool(descending), top_k

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if self._top_k is not None and self._top_k > sizes["n"]:
            raise ShapeError(
                f"{self.name}: top_k is {self._top_k}, but 'a' has {sizes['n']} eigenvalues."
            )

    def hybrid_forward(self, F: Namespace, a: Array) -> Tuple[Array, Array]:
        return fn.eigh(F, a, self.name, self._descending, self._top_k)
