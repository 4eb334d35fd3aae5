"""Random Fourier features: their formula in every mode, and the kernel that they stand for."""

import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from harness import check_block


def points(batch, n, d, seed=0):
    return np.random.RandomState(seed).uniform(-2.0, 2.0, size=(batch, n, d))


def test_the_formula(tmp_path):
    def oracle(x, block):
        angle = (x / np.array([0.8, 1.9])) @ block.frequency.value()
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=2) / np.sqrt(5)

    def factory():
        return gl.RandomFourierFeatures(2, 5, "matern32", [0.8, 1.9], seed=3)

    check_block(factory, [[points(2, 4, 2)], [points(1, 6, 2)]], tmp_path, oracle)


@pytest.mark.parametrize(
    "name, formula",
    [
        ("rbf", formulas.rbf),
        ("matern12", formulas.matern12),
        ("matern32", formulas.matern32),
        ("matern52", formulas.matern52),
    ],
)
def test_the_kernel_on_average(name, formula):
    count, x = 40000, points(1, 8, 2)
    block = gl.RandomFourierFeatures(2, count, name, [0.8, 1.9])
    block.initialize()
    block.cast("float64")
    features = block(mx.nd.array(x, dtype="float64")).asnumpy()[0]
    exact = formulas.matrix(formula, x, x, lengthscale=np.array([0.8, 1.9]))[0]
    # Each entry is a mean of `count` cosines, whose deviation is below 1.
    assert np.abs(features @ features.T - exact).max() < 4.5 / np.sqrt(count)
    np.testing.assert_allclose((features**2).sum(axis=1), 1.0, rtol=1e-12)


def test_a_regression_on_them_is_exported(tmp_path):
    """The draws are in the file: what is read again predicts the same."""

    class Regression(mx.gluon.HybridBlock):
        def __init__(self, features, predictor):
            super().__init__()
            self.features, self.predictor = features, predictor

        def hybrid_forward(self, F, x):
            return self.predictor(self.features(x))

    features = gl.RandomFourierFeatures(1, 300, lengthscale=0.7)
    features.initialize()
    layer = gl.BLRLikelihoodLayer(prior_variance=2.0, noise_variance=0.1)
    layer.initialize()
    for block in (features, layer):
        block.cast("float64")
    x = np.linspace(-2.0, 2.0, 15)[None, :, None]
    y = np.sin(3.0 * x[..., 0])
    fitted = layer.condition(features(mx.nd.array(x, dtype="float64")), y)
    model = Regression(features, fitted)
    new = mx.nd.array(x + 0.05, dtype="float64")
    gl.export(model, str(tmp_path / "model"), new)
    mean, _ = gl.load(str(tmp_path / "model"))(new)
    kernel = [
        formulas.matrix(formulas.rbf, a, x, variance=2.0, lengthscale=0.7)[0] for a in (x, x + 0.05)
    ]
    exact = kernel[1] @ np.linalg.solve(kernel[0] + 0.1 * np.eye(15), y[0])
    assert np.abs(mean.asnumpy()[0] - exact).max() < 0.1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0,), "columns is 0"),
        ((1, 1.5), "count is 1.5"),
        ((1, 5, "cosine"), "kernel is 'cosine', expected rbf"),
        ((2, 5, "rbf", [1.0, 2.0, 3.0]), "'lengthscale' has 3 values"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        gl.RandomFourierFeatures(*arguments)
