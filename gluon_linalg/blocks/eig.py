"""Symmetric eigendecomposition."""

from .. import functional as fn
from .base import LinearAlgebraBlock


class EigBlock(LinearAlgebraBlock):
    """(U, λ) with A = Uᵀ diag(λ) U, rows of U the eigenvectors, λ ascending (LAPACK syevd).

    a: (B, n, n), of which the lower triangle is read -> U: (B, n, n), λ: (B, n). The gradient is
    returned symmetric; that of U does not exist where eigenvalues repeat. Raises NonFiniteError.
    Paper, section 3.
    """

    arguments = (("a", "B n n"),)

    def hybrid_forward(self, F, a):
        return fn.eigh(F, a, self.name)
