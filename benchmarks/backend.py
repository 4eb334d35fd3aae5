"""What all contenders of this package share: the backend, and calls with gradients."""

# Before MXNet, which it helps to import.
import gluon_linalg as gl  # isort: skip
import mxnet as mx  # isort: skip

from .worker import Missing


def use(backend):
    """Switches a backend on for the whole process. Raises Missing where it is not there."""
    if hasattr(gl, "use_backend"):
        try:
            gl.use_backend(backend)
        except (RuntimeError, ValueError, OSError) as error:
            raise Missing(str(error)) from None
    elif backend != "mxnet":
        raise Missing("this version of the package has no operators of its own")


class Layer:
    """A block on arrays, compiled statically, and its gradients with respect to all of them.

    heads: gradients of the loss by the outputs, None for ones. With `squares` the loss is the sum
    of heads * outputs² / 2, which does not depend on the signs of outputs. gradients: whether those
    of the inputs are wanted, besides those of parameters.
    """

    def __init__(self, block, inputs, dtype, backend, heads=None, squares=False, gradients=True):
        use(backend)
        block.initialize()
        block.cast(dtype)
        block.hybridize(static_alloc=True, static_shape=True)
        self._block, self._squares = block, squares
        self._inputs = {name: self._array(array, dtype) for name, array in inputs.items()}
        self._heads = heads and [mx.nd.array(head, dtype=dtype) for head in heads]
        for array in self._inputs.values():
            if gradients and array is not None:
                array.attach_grad()

    @staticmethod
    def _array(array, dtype):
        return None if array is None else mx.nd.array(array, dtype=dtype)

    def _outputs(self):
        outputs = self._block(*self._inputs.values())
        return outputs if isinstance(outputs, (list, tuple)) else [outputs]

    def run(self):
        with mx.autograd.record():
            self._last = self._outputs()
        heads = self._heads
        if self._squares:
            heads = [head * output for head, output in zip(heads, self._last)]
        mx.autograd.backward(list(self._last), heads)
        mx.nd.waitall()

    def forward(self):
        self._outputs()
        mx.nd.waitall()

    def outputs(self):
        return [output.asnumpy() for output in self._last]

    def gradients(self):
        """Of the inputs by name."""
        return {k: a.grad.asnumpy() for k, a in self._inputs.items() if a is not None}
