"""The layers of this package; gradients of parameters by the logarithms of what they hold."""

import numpy as np

import gluon_linalg as gl

from ..backend import Layer


def _by_logarithm(parameter):
    """From the stored number, which is above `lower`, to the logarithm of the value."""
    value = parameter.value()
    return parameter.grad().asnumpy() * value / (value - parameter.lower)


class GaussianProcess(Layer):
    """A `GPLikelihoodLayer` with an RBF kernel that has a lengthscale for each column.

    The gradient is that of the hyperparameters alone, as a training has it.
    """

    def __init__(self, arrays, backend, dtype):
        variance, noise = arrays["variances"]
        kernel = gl.kernels.RBF(variance, arrays["lengthscales"])
        layer = gl.GPLikelihoodLayer(kernel, noise_variance=noise)
        self._hyperparameters = [kernel.lengthscale, kernel.variance, layer.noise_variance]
        data = {name: arrays[name][None] for name in ("x", "y")}
        super().__init__(layer, data, dtype, backend, gradients=False)

    def results(self):
        gradients = [_by_logarithm(parameter) for parameter in self._hyperparameters]
        return {"value": self.outputs()[0], "gradient": np.concatenate(gradients)}


class LinearRegression(Layer):
    """A `BLRLikelihoodLayer`; the gradient is that of the features and of both variances."""

    def __init__(self, arrays, backend):
        layer = gl.BLRLikelihoodLayer(*arrays["variances"])
        self._hyperparameters = [layer.prior_variance, layer.noise_variance]
        data = {name: arrays[name][None] for name in ("phi", "y")}
        super().__init__(layer, data, "float64", backend)

    def results(self):
        variances = np.concatenate([_by_logarithm(one) for one in self._hyperparameters])
        return {"value": self.outputs()[0], **self.gradients(), "variances": variances}
