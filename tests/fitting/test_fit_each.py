"""Many independent Gaussian processes in one graph end where each alone ends."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block


def series(count=8, n=20):
    """Series of other lengthscales and noises, on one grid."""
    random = np.random.RandomState(4)
    x = np.linspace(0.0, 10.0, n)
    waves = np.sin(x * random.uniform(0.5, 1.5, (count, 1)) + random.uniform(0, 6, (count, 1)))
    y = random.uniform(0.5, 3.0, (count, 1)) * waves + 0.2 * random.randn(count, n)
    return np.broadcast_to(x[:, None], (count, n, 1)), y


def single():
    return k.RBF(1.0, 1.5) + k.White(0.1)


def layer_of(kernel):
    layer = gl.GPLikelihoodLayer(kernel, noise_variance=None)
    layer.initialize()
    layer.cast("float64")
    return layer


def test_each_element_of_the_batch_in_every_mode(tmp_path):
    """They are those of kernels of their own; one kernel is native, one is not."""
    scales = np.array([[0.6], [1.4]])
    for make, name in ((lambda: 2.0 * k.RBF(), "kernel."), (k.PoweredExponential, "")):

        def factory(make=make, name=name):
            kernel = k.Batched(make(), 2)
            getattr(kernel, f"{name}lengthscale").set_value(scales)
            return kernel

        def oracle(x, block, make=make, name=name):
            found = []
            for element, scale in enumerate(scales):
                own = make()
                own.hyperparameters()[f"{name}lengthscale"].set_value(scale)
                own.initialize()
                own.cast("float64")
                row = mx.nd.array(x[element : element + 1], dtype="float64")
                found.append(own(row).asnumpy()[0])
            return np.stack(found)

        cases = [[np.random.RandomState(n).randn(2, n, 2)] for n in (3, 5)]
        check_block(factory, cases, tmp_path, oracle)


def test_eight_series_end_where_each_alone_ends():
    x, y = series()
    layer = layer_of(k.Batched(single(), 8))
    # Whatever becomes of gradients.
    layer.collect_params().setattr("grad_req", "add")
    losses = gl.fit_each(layer, x, y)
    found = {n: p.value() for n, p in layer.kernel._reg_params.items()}
    for element in range(8):
        alone = layer_of(single())
        result = gl.fit(alone, x[element], y[element], progress=False)
        assert abs(losses[element] - result.loss) < 1e-6 * abs(result.loss)
        for name, parameter in alone.kernel.hyperparameters().items():
            assert np.allclose(found[name][element], parameter.value(), rtol=2e-3), (element, name)
    # The predictor has all of them.
    mean, _ = layer.condition(x, y)(mx.nd.array(x, dtype="float64"))
    assert np.abs(mean.asnumpy() - y).max() < 1.0 and mean.shape == y.shape


def test_eight_starts_of_one_series():
    """One that is found from few starts alone: the lowest of the eight is it."""
    x, y = (array[:1] for array in series(1, 30))
    kernel = k.Batched(k.Cosine(1.0, 1.0) + k.White(0.1), 8)
    layer = layer_of(kernel)
    getattr(kernel, "0.period").set_value(np.geomspace(1.0, 16.0, 8)[:, None])
    repeated = [np.repeat(array, 8, axis=0) for array in (x, y)]
    losses = gl.fit_each(layer, *repeated)
    alone = []
    for period in np.geomspace(1.0, 16.0, 8):
        own = layer_of(k.Cosine(1.0, period) + k.White(0.1))
        alone.append(gl.fit(own, x, y, progress=False).loss)
    assert abs(losses.min() - min(alone)) < 1e-6 * abs(min(alone))
    assert losses.max() > losses.min() + 1.0


def test_what_models_share_is_refused():
    x, y = series(3)
    layer = gl.GPLikelihoodLayer(k.Batched(k.RBF(), 3), noise_variance=0.1)
    layer.initialize()
    with pytest.raises(ValueError, match="noise_variance.*has a row for each of 3 models"):
        gl.fit_each(layer, x, y)
    layer = layer_of(k.Batched(single(), 3))
    with pytest.raises(gl.errors.ShapeError, match="'x' has batch 2.*for 3 elements"):
        layer(*(mx.nd.array(array[:2], dtype="float64") for array in (x, y)))
    with pytest.raises(ValueError, match="network of its own"):
        k.Batched(k.Deep(mx.gluon.nn.Dense(1, in_units=1, flatten=False), k.RBF()), 3)


def test_priors_and_ends_are_taken_over():
    kernel = k.PoweredExponential(exponent=1.5)
    kernel.lengthscale.prior = gl.priors.LogNormal(0.0, 0.5)
    kernel.variance.grad_req = "null"
    many = k.Batched(kernel, 4)
    many.initialize()
    np.testing.assert_allclose(many.exponent.value(), [[1.5]] * 4, rtol=1e-6)
    assert many.variance.grad_req == "null"
    drawn = gl.priors.draw_from_priors(many, seed=0)
    (values,) = drawn.values()
    assert values.shape == (4, 1) and len(np.unique(values)) == 4
    np.testing.assert_allclose(many.lengthscale.value(), values, rtol=1e-6)
