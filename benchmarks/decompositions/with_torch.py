"""The same by `torch.linalg`, outputs in the order of this package."""

import torch

from ..with_torch import Function


class Decomposition(Function):
    squares = symmetric = False

    def __init__(self, arrays):
        inputs = {name: array for name, array in arrays.items() if "head" not in name}
        heads = [array for name, array in arrays.items() if "head" in name]
        super().__init__(inputs, "float64", heads, self.squares)

    def results(self):
        outputs = {
            f"output{index}": output**2 if self.squares else output
            for index, output in enumerate(self.outputs())
        }
        gradients = self.gradients()
        if self.symmetric:
            gradients["a"] = 0.5 * (gradients["a"] + gradients["a"].swapaxes(1, 2))
        return {**outputs, **gradients}


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
