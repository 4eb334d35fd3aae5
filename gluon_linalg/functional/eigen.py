"""Symmetric eigendecomposition."""

from ..errors import NonFiniteError
from .checks import finite, require
from .matrix import symmetrize
from .tangent import guarded, with_gradient


def eigh(F, a, name="Eig"):
    """(U, λ) with A = Uᵀ diag(λ) U, (B, n, n) -> (B, n, n), (B, n) (syevd).

    Rows of U are the eigenvectors, λ ascends. The lower triangle of A is read; the gradient is
    returned symmetric. Gradients of the eigenvectors exist only where eigenvalues differ: at exact
    ties those of MXNet are wrong. Raises NonFiniteError.
    """
    a = require(
        F,
        a,
        finite(F, F.sum(a, axis=(1, 2))),
        NonFiniteError,
        f"{name}: the matrix contains NaN or infinity.",
    )
    # syevd itself reads the lower triangle; its gradient is not symmetric.
    symmetric_gradient = with_gradient(F, a, symmetrize(F, a))
    u, eigenvalues = F.linalg.syevd(guarded(F, symmetric_gradient))
    return u, eigenvalues
