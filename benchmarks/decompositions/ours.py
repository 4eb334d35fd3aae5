"""The blocks of this package."""

import gluon_linalg as gl

from ..backend import Layer
from .cases import named, parts


class Decomposition(Layer):
    """A block, whose outputs are compared by their squares where signs are a convention."""

    block, squares = gl.CholeskyBlock, False

    def __init__(self, arrays, backend):
        inputs, heads = parts(arrays)
        super().__init__(self.block(), inputs, "float64", backend, heads, self.squares)

    def results(self):
        return {**named(self.outputs(), self.squares), **self.gradients()}


class Cholesky(Decomposition):
    """L of A = L Lᵀ."""


class Lq(Decomposition):
    """(Q, L) of A = L Q."""

    block, squares = gl.LQBlock, True


class Eigh(Decomposition):
    """(U, λ) of A = Uᵀ diag(λ) U."""

    block, squares = gl.EigBlock, True


class Solve(Decomposition):
    """A⁻¹ B."""

    block = gl.CholeskySolveBlock


class Sqrt(Decomposition):
    """A^½."""

    block = gl.MatrixSqrtBlock


class Svd(Decomposition):
    """(U, s, V) of A = U diag(s) V."""

    block, squares = gl.SVDBlock, True
