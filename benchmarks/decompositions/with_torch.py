"""The same by `torch.linalg`, outputs in the order of this package."""

import torch

from ..with_torch import Function
from .cases import named, parts


class Decomposition(Function):
    squares = symmetric = False

    def __init__(self, arrays):
        inputs, heads = parts(arrays)
        super().__init__(inputs, "float64", heads, self.squares)

    def results(self):
        gradients = self.gradients()
        if self.symmetric:
            gradients["a"] = 0.5 * (gradients["a"] + gradients["a"].swapaxes(1, 2))
        return {**named(self.outputs(), self.squares), **gradients}


class Cholesky(Decomposition):
    symmetric = True

    def compute(self, a):
        return (torch.linalg.cholesky(a),)


class Lq(Decomposition):
    squares = True

    def compute(self, a):
        q, r = torch.linalg.qr(a.mT)
        return q.mT, r.mT


class Eigh(Decomposition):
    squares = symmetric = True

    def compute(self, a):
        values, vectors = torch.linalg.eigh(a)
        return vectors.mT, values


class Solve(Decomposition):
    symmetric = True

    def compute(self, a, b):
        return (torch.cholesky_solve(b, torch.linalg.cholesky(a)),)


class Sqrt(Decomposition):
    symmetric = True

    def compute(self, a):
        values, vectors = torch.linalg.eigh(a)
        return ((vectors * values.sqrt()[:, None, :]) @ vectors.mT,)


class Svd(Decomposition):
    squares = True

    def compute(self, a):
        u, s, v = torch.linalg.svd(a, full_matrices=False)
        return u, s, v
