"""Eigenvalues and singular values of batches of matrices, and functions of symmetric ones.

All is computed in float64. Matrices are (B, m, n); of symmetric ones the lower triangle is read.
"""

from typing import Optional, Tuple

from ..typing import Array, Namespace
from .library import call


def syevd(F: Namespace, a: Array) -> Tuple[Array, Array]:
    """(U, λ) with A = Uᵀ diag(λ) U, λ ascending, (B, n, n) -> (B, n, n), (B, n); no gradient.

    A matrix with NaN or infinity counts as 0.
    """
    u, values = call(F, "syevd", a)
    return u, values


def eigvalsh(F: Namespace, a: Array) -> Array:
    """The eigenvalues alone, ascending, (B, n, n) -> (B, n); NaN as in `syevd`."""
    return call(F, "eigvalsh", a)


def eigh(F: Namespace, a: Array, descending: bool, top_k: Optional[int]) -> Tuple[Array, Array]:
    """`functional.eigh`, with its signs and its gradient; NaN for a matrix with NaN or infinity."""
    u, values = call(F, "eigh", a, descending=descending, top_k=top_k or 0)
    return u, values


# What `symmetric_function` says of a matrix.
COMPUTED, NOT_FINITE, NOT_POSITIVE, TOO_LARGE = range(4)


def symmetric_function(
    F: Namespace, a: Array, function: str, parameter: float = 0.0, lifted: bool = False
) -> Tuple[Array, Array]:
    """(f(A), status), (B, n, n) -> (B, n, n), (B,), as `functional.spectral` defines the functions.

    function: 'sqrt', 'inverse_sqrt', 'log', 'exp', 'power' or 'nearest'; parameter: the power or
    the floor, of the inverse root with `lifted` alone. f(A), and its gradient, is NaN where the
    status is not COMPUTED.
    """
    result, status = call(
        F, "symmetric_function", a, function=function, parameter=repr(parameter), lifted=lifted
    )
    return result, status


def svd(F: Namespace, a: Array, tall: bool) -> Tuple[Array, Array, Array]:
    """`functional.svd`, with its signs and its gradient; NaN for a matrix with NaN or infinity."""
    u, s, v = call(F, "svd", a, tall=tall)
    return u, s, v


def gesvd(F: Namespace, a: Array) -> Tuple[Array, Array, Array]:
    """(U, s, V) with A = U diag(s) V, m <= n, s descending, (B, m, n) -> (B, m, m), (B, m),
    (B, m, n); no gradient.

    A matrix with NaN or infinity counts as 0.
    """
    u, s, v = call(F, "gesvd", a)
    return u, s, v
