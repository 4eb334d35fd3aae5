"""The layers of this package."""

import mxnet as mx
import numpy as np

import gluon_linalg as gl

from ..backend import Layer, use
from .datasets import EPSILON, START_NOISE, weights_of
from .scores import Fitted

DTYPE = "float64"
# Inner and outer ones of the integrals over classes, half as many as unless given.
NODES = (16, 32)
# SciPy's default, at which L-BFGS ends.
TOLERANCE = 1e7 * np.finfo("float64").eps


class Process(Fitted):
    """What all of them share: a kernel, and steps of Adam on mini-batches."""

    def __init__(self, arrays, backend, rate, lengthscale=1.0):
        super().__init__(arrays)
        use(backend)
        self._rate, self._lengthscale = rate, lengthscale

    def kernel(self, deep=False):
        weights = weights_of(self.arrays)
        columns = len(weights[-1]) if deep else self.arrays["x"].shape[1]
        kernel = gl.kernels.Matern52(1.0, np.full(columns, self._lengthscale))
        return gl.kernels.Deep(network(weights), kernel) if deep else kernel

    def train(self, layer):
        """Steps of Adam, each on its rows."""
        layer.initialize()
        layer.cast(DTYPE)
        layer.hybridize(static_alloc=True, static_shape=True)
        options = {"learning_rate": self._rate, "epsilon": EPSILON}
        trainer = mx.gluon.Trainer(layer.collect_params(), "adam", options, kvstore=None)
        x, y = (mx.nd.array(self.arrays[name], dtype=DTYPE) for name in "xy")
        batches = self.arrays["batches"]
        whole = batches.shape[1] == len(x)
        data = [x.expand_dims(0), y.expand_dims(0)]
        for rows in batches:
            if not whole:
                rows = mx.nd.array(rows, dtype="int32")
                data = [mx.nd.take(array, rows).expand_dims(0) for array in (x, y)]
            with mx.autograd.record():
                loss = layer(*data)
            loss.backward()
            trainer.step(len(x))

    def new(self):
        return mx.nd.array(self.arrays["x_new"][None], dtype=DTYPE)

    def data(self):
        return [self.arrays[name][None] for name in "xy"]


class Exact(Process):
    def fit(self):
        layer = gl.GPLikelihoodLayer(self.kernel(), "constant", noise_variance=START_NOISE)
        self.train(layer)
        return numbers(layer.condition(*self.data(), include_noise=True)(self.new()))


class SGPR(Process):
    def fit(self):
        layer = gl.SGPRLikelihoodLayer(
            self.kernel(), self.arrays["inducing"], "constant", noise_variance=START_NOISE
        )
        self.train(layer)
        return numbers(layer.condition(*self.data(), include_noise=True)(self.new()))


class SVGP(Process):
    """With an ordinary kernel or a deep one; the likelihood is that of the targets."""

    deep = False

    def fit(self):
        likelihood = gl.likelihoods.Gaussian(START_NOISE)
        if self.classes:
            likelihood = gl.likelihoods.Bernoulli()
        if self.classes > 2:
            likelihood = gl.likelihoods.Categorical(self.classes, *NODES)
        layer = gl.SVGPLikelihoodLayer(
            self.kernel(self.deep),
            self.arrays["inducing"],
            likelihood,
            count=len(self.arrays["x"]),
            mean="constant",
        )
        self.train(layer)
        mean, variance = numbers(layer.predictor(include_noise=True)(self.new()))
        if not self.classes:
            return mean, variance
        return mean if self.classes > 2 else np.stack([1.0 - mean, mean], axis=1)


class DeepSVGP(SVGP):
    deep = True


class Features(mx.gluon.HybridBlock):
    """The likelihood of a linear regression on what a network makes of x, and on a constant."""

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.network = network(weights)
        self.blr = gl.BLRLikelihoodLayer(1.0, START_NOISE)

    def features(self, F, x):
        found = self.network(x)
        return F.concat(found, F.ones_like(F.slice_axis(found, axis=2, begin=0, end=1)), dim=2)

    def hybrid_forward(self, F, x, y):
        return self.blr(self.features(F, x), y)


class NetworkRegression(Process):
    """Bayesian linear regression on the last layer of a network, trained with it."""

    def fit(self):
        layer = Features(weights_of(self.arrays))
        self.train(layer)
        x, y = (mx.nd.array(array, dtype=DTYPE) for array in self.data())
        predictor = layer.blr.condition(layer.features(mx.nd, x), y, include_noise=True)
        return numbers(predictor(layer.features(mx.nd, self.new())))


class CO2(Fitted):
    """A rise, a season that changes and a rest, by L-BFGS."""

    def __init__(self, arrays, backend, state_space):
        super().__init__(arrays)
        use(backend)
        self._state_space = state_space

    def fit(self):
        kernels = gl.kernels
        season = kernels.Periodic(1.0, 1.0, 1.0)
        season.variance.grad_req = season.period.grad_req = "null"
        kernel = kernels.RBF(2500.0, 50.0) + kernels.Matern52(4.0, 100.0) * season
        kernel = kernel + kernels.Matern32(1.0, 1.0)
        if self._state_space:
            options = {"rbf_order": 9, "periodic_order": 8}
            layer = gl.StateSpaceGPLayer(kernel, None, 0.1, **options)
        else:
            layer = gl.GPLikelihoodLayer(kernel, None, 0.1)
        layer.initialize()
        layer.cast(DTYPE)
        x, x_new = (self.arrays[name][None] for name in ("x", "x_new"))
        if not self._state_space:
            x, x_new = x[..., None], x_new[..., None]
        y = self.arrays["y"][None]
        result = gl.fit(layer, x, y, tolerance=TOLERANCE, progress=False)
        self.further = {"negative log likelihood": result.loss}
        predictor = layer.condition(x, y, include_noise=True)
        return numbers(predictor(mx.nd.array(x_new, dtype=DTYPE)))


class Step:
    """Value, all gradients and the step of a trainer, of an `SVGPLikelihoodLayer`.

    What is compared are value and gradients of the first step.
    """

    def __init__(self, arrays, backend, dtype):
        use(backend)
        kernel = gl.kernels.RBF(1.0, arrays["lengthscales"])
        layer = gl.SVGPLikelihoodLayer(
            kernel,
            arrays["inducing"],
            gl.likelihoods.Gaussian(START_NOISE),
            count=len(arrays["x"]),
        )
        layer.initialize()
        layer.cast(dtype)
        layer.variational_mean.set_data(
            mx.nd.array(arrays["weights"].reshape(1, -1, 1), dtype=dtype)
        )
        layer.hybridize(static_alloc=True, static_shape=True)
        self._layer, self._results, self._count = layer, None, 0
        self._data = [mx.nd.array(arrays[name], dtype=dtype) for name in ("x", "y")]
        self._batches = [mx.nd.array(rows, dtype="int32") for rows in arrays["batches"]]
        self._trainer = mx.gluon.Trainer(
            layer.collect_params(), "adam", {"learning_rate": 1e-3}, kvstore=None
        )

    def _loss(self):
        rows = self._batches[self._count % len(self._batches)]
        return self._layer(*(mx.nd.take(array, rows).expand_dims(0) for array in self._data))

    def run(self):
        with mx.autograd.record():
            loss = self._loss()
        loss.backward()
        if self._results is None:
            self._results = self._found(loss)
        self._trainer.step(1)
        self._count += 1
        mx.nd.waitall()

    def forward(self):
        self._loss().wait_to_read()

    def _found(self, loss):
        layer, kernel = self._layer, self._layer.kernel
        parameters = {
            "inducing": layer.inducing_points,
            "mean": layer.variational_mean,
            "factor": layer.variational_factor,
            "variance": kernel.variance,
            "lengthscales": kernel.lengthscale,
            "noise": layer.likelihood.noise_variance,
        }
        found = {name: one.grad().asnumpy() for name, one in parameters.items()}
        found["factor"] = np.tril(found["factor"])
        found = {name: array.astype("float64").ravel() for name, array in found.items()}
        return {"value": loss.asnumpy().astype("float64"), **found}

    def results(self):
        return self._results


class InTime(Layer):
    """A `StateSpaceGPLayer` with a Matérn 5/2 kernel; the gradient is that of hyperparameters."""

    def __init__(self, arrays, backend, dtype):
        variance, lengthscale, noise = arrays["parameters"]
        kernel = gl.kernels.Matern52(variance, lengthscale)
        layer = gl.StateSpaceGPLayer(kernel, noise_variance=noise)
        self._hyperparameters = [kernel.variance, kernel.lengthscale, layer.noise_variance]
        data = {name: arrays[name][None] for name in ("x", "y")}
        super().__init__(layer, data, dtype, backend, gradients=False)

    def results(self):
        gradients = [one.grad().asnumpy() for one in self._hyperparameters]
        found = {"value": self.outputs()[0], "gradient": np.concatenate(gradients)}
        return {name: array.astype("float64") for name, array in found.items()}


class Given(mx.init.Initializer):
    """An array; MXNet's `Constant` cannot be written into two graphs."""

    def __init__(self, values):
        super().__init__()
        self._values = values

    def _init_weight(self, desc, arr):
        arr[:] = mx.nd.array(self._values, dtype=arr.dtype)


def network(weights):
    """Dense layers of these weights, tanh of each."""
    layers = mx.gluon.nn.HybridSequential()
    for weight in weights:
        layer = mx.gluon.nn.Dense(
            len(weight), in_units=weight.shape[1], activation="tanh", flatten=False
        )
        layer.weight.init = Given(weight)
        layers.add(layer)
    return layers


def numbers(moments):
    return [array.asnumpy()[0] for array in moments]
