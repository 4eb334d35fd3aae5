"""The loss of a job as a function of its trained parameters."""

import numpy as np

from .._runtime import import_mxnet
from ..errors import LinearAlgebraError

mx = import_mxnet()


class Objective:
    """Value and gradient of a Gluon loss, compiled; `parameters` are those that are trained.

    A matrix that is not positive definite, and NaN, count as a loss of +inf.
    """

    def __init__(self, layer, arguments, parameters, context):
        self.layer, self.arguments, self.context = layer, arguments, context
        self.parameters = {k: p for k, p in parameters.items() if p.grad_req != "null"}
        self.evaluations = 0
        layer.hybridize(static_alloc=True, static_shape=True)

    def evaluate(self):
        """The loss at the current parameters; its gradients are in `parameter.grad()`."""
        self.evaluations += 1
        try:
            if not self.parameters:
                return _finite(self.layer(*self.arguments))
            with mx.autograd.record():
                loss = self.layer(*self.arguments)
            loss.backward()
            value = _finite(loss)
        except LinearAlgebraError:
            return np.inf
        return value if np.isfinite(self.gradient()).all() else np.inf

    def explain(self):
        """Raises the error that `evaluate` counts as +inf, if there is one."""
        self.layer(*self.arguments).wait_to_read()

    def vector(self):
        """The stored parameters as one float64 vector."""
        return self._flat(parameter.data(self.context) for parameter in self.parameters.values())

    def gradient(self):
        return self._flat(parameter.grad(self.context) for parameter in self.parameters.values())

    def set_vector(self, vector):
        start = 0
        for parameter in self.parameters.values():
            stop = start + int(np.prod(parameter.shape))
            with np.errstate(over="ignore"):
                values = vector[start:stop].reshape(parameter.shape).astype(parameter.dtype)
            parameter.set_data(mx.nd.array(values, dtype=parameter.dtype, ctx=self.context))
            start = stop

    @staticmethod
    def _flat(arrays):
        return np.concatenate([array.asnumpy().astype("float64").reshape(-1) for array in arrays])


def _finite(loss):
    value = float(loss.asnumpy().sum())
    return value if np.isfinite(value) else np.inf
