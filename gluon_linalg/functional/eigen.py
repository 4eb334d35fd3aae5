"""Symmetric eigendecomposition."""

from ..errors import NonFiniteError
from .checks import require
from .matrix import symmetrize
from .tangent import stop


def eigh(F, a, name="Eig"):
    """(U, λ) with A = Uᵀ diag(λ) U, (B, n, n) -> (B, n, n), (B, n) (syevd).

    Rows of U are the eigenvectors, λ ascends. The lower triangle of A is read; the gradient is
    returned symmetric. Eigenvector gradients exist only where eigenvalues differ.
    Raises NonFiniteError.
    """
    a = require(
        F,
        a,
        F.contrib.isfinite(F.sum(stop(F, a), axis=(1, 2))),
        NonFiniteError,
        f"{name}: the matrix contains NaN or infinity.",
    )
    # syevd itself reads the lower triangle; its gradient is not symmetric.
    symmetric = symmetrize(F, a)
    u, eigenvalues = F.linalg.syevd(stop(F, a) + (symmetric - stop(F, symmetric)))
    return u, eigenvalues
