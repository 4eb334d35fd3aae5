"""What contenders of PyTorch share."""

import os

import torch

from .rates import ORDER

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class Function:
    """`compute`, a function of tensors, and its gradients with respect to all of them.

    heads: as in `backend.Layer`, as well as `squares`.
    """

    def __init__(self, inputs, dtype="float64", heads=None, squares=False):
        dtype = getattr(torch, dtype)
        self._inputs = {name: torch.tensor(array, dtype=dtype) for name, array in inputs.items()}
        self._heads = heads and [torch.tensor(head, dtype=dtype) for head in heads]
        self._squares = squares
        for tensor in self._inputs.values():
            tensor.requires_grad_()

    def compute(self, *tensors):
        raise NotImplementedError

    def run(self):
        for tensor in self._inputs.values():
            tensor.grad = None
        self._last = self.compute(*self._inputs.values())
        heads = self._heads
        if self._squares:
            heads = [head * output.detach() for head, output in zip(heads, self._last)]
        torch.autograd.backward(self._last, heads)

    def forward(self):
        with torch.no_grad():
            self.compute(*self._inputs.values())

    def outputs(self):
        return [output.detach().numpy() for output in self._last]

    def gradients(self):
        return {name: tensor.grad.numpy() for name, tensor in self._inputs.items()}


class Product:
    """C = A B, by which the rate of products is measured."""

    def __init__(self, arrays, dtype):
        self._a = torch.randn(ORDER, ORDER, dtype=getattr(torch, dtype))
        self._c = torch.empty_like(self._a)

    def run(self):
        torch.mm(self._a, self._a, out=self._c)
