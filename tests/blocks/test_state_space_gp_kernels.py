"""Spectral mixtures and kernels of a batch in state space form, against dense processes."""

import gp_reference
import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest
from test_state_space_gp import nd, ready

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block

RANDOM = np.random.RandomState(8)
X = np.sort(RANDOM.uniform(0.0, 9.0, (2, 14)), axis=1)
Y = np.sin(2.0 * X) + 0.3 * RANDOM.randn(2, 14)
MIXTURE = {"variance": [1.2, 0.5], "lengthscale": [2.5, 0.9], "period": [1.4, 3.0]}


def dense(formula, x, **values):
    return formulas.matrix(formula, x[:, :, None], x[:, :, None], **values)


def losses_and_gradients(layer, *data):
    parameters = [p for p in layer.collect_params().values() if p.grad_req != "null"]
    with mx.autograd.record():
        losses = layer(*data)
    losses.backward()
    return losses.asnumpy(), [p.grad().asnumpy() for p in parameters]


def test_mixture_is_near_the_dense_process_by_the_stated_error():
    covariance = dense(formulas.spectral_mixture, X, **MIXTURE) + 0.2 * np.eye(14)
    expected = gp_reference.negative_log_likelihood(covariance, Y)
    exact = ready(gl.GPLikelihoodLayer(k.SpectralMixture(**MIXTURE), noise_variance=0.2))
    _, right = losses_and_gradients(exact, *nd(X[:, :, None], Y))
    weights = (Y**2).sum(axis=1) / 0.2**2 + 14 / 0.2
    for order in (3, 6, 9):
        kernel = k.SpectralMixture(**MIXTURE)
        layer = ready(gl.StateSpaceGPLayer(kernel, noise_variance=0.2, rbf_order=order))
        error = layer.approximation_error()
        assert error == pytest.approx(1.7 * gl.StateSpaceGPLayer(
            k.RBF(), rbf_order=order).approximation_error())  # fmt: skip
        found, gradients = losses_and_gradients(layer, *nd(X, Y))
        assert (np.abs(found - expected) < 0.5 * weights * 14 * error).all()
    assert np.abs(found - expected).max() < 1e-3
    for a, b in zip(gradients, right):
        np.testing.assert_allclose(a, b, atol=5e-3)
    new = np.array([[0.5, 4.0, 11.0], [3.0, 3.1, -1.0]])
    for a, b in zip(layer.condition(X, Y)(nd(new)), exact.condition(X[:, :, None], Y)(
        nd(new[:, :, None])
    )):  # fmt: skip
        np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), atol=2e-4)
    whole = layer.condition(X, Y).covariance(nd(new)).asnumpy()
    right = exact.condition(X[:, :, None], Y).covariance(nd(new[:, :, None])).asnumpy()
    np.testing.assert_allclose(whole, right, atol=2e-4)


def test_a_mixture_of_more_columns_has_no_state_space():
    with pytest.raises(gl.errors.ShapeError, match="period"):
        gl.StateSpaceGPLayer(k.SpectralMixture([1.0], [[1.0, 2.0]], [[1.0, 2.0]]))


SCALES, VARIANCES, NOISES = [0.6, 1.9], [1.3, 0.4], [0.1, 0.3]


def batched():
    kernel = k.Batched(k.Matern32() * k.Constant() + k.White(0.2), 2)
    own = kernel._reg_params
    own["0.0.lengthscale"].set_value(np.reshape(SCALES, (2, 1)))
    own["0.1.variance"].set_value(np.reshape(VARIANCES, (2, 1)))
    own["1.variance"].set_value(np.reshape(NOISES, (2, 1)))
    return kernel


def dense_batch(x):
    parts = zip(SCALES, VARIANCES, NOISES)
    return np.concatenate([
        dense(formulas.matern32, x[b : b + 1], lengthscale=u, variance=v) + s * np.eye(x.shape[1])
        for b, (u, v, s) in enumerate(parts)
    ])  # fmt: skip


@pytest.mark.slow
def test_each_element_has_its_own_hyperparameters_in_every_mode(tmp_path):
    def oracle(x, y, _):
        return gp_reference.negative_log_likelihood(dense_batch(x), y)

    cases = [[X[:, :n], Y[:, :n]] for n in (3, 5)]
    check_block(lambda: gl.StateSpaceGPLayer(batched(), noise_variance=None), cases, tmp_path,
                oracle)  # fmt: skip


def test_posteriors_and_errors_of_a_batch():
    layer = ready(gl.StateSpaceGPLayer(batched(), noise_variance=None))
    exact = ready(gl.GPLikelihoodLayer(batched(), noise_variance=None))
    value = gp_reference.negative_log_likelihood(dense_batch(X), Y)
    np.testing.assert_allclose(layer(*nd(X, Y)).asnumpy(), value, rtol=1e-11)
    new = np.array([[0.5, 4.0, 11.0], [3.0, 3.1, -1.0]])
    found, right = layer.condition(X, Y), exact.condition(X[:, :, None], Y)
    for a, b in zip(found(nd(new)), right(nd(new[:, :, None]))):
        np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-9)
    whole = right.covariance(nd(new[:, :, None])).asnumpy()
    np.testing.assert_allclose(found.covariance(nd(new)).asnumpy(), whole, atol=1e-10)
    with pytest.raises(gl.errors.ShapeError, match="hyperparameters for 2 elements"):
        layer(*nd(X[:1], Y[:1]))
    with pytest.raises(TypeError, match="RationalQuadratic has no state space form"):
        gl.StateSpaceGPLayer(k.Batched(k.RationalQuadratic(), 2))
    kernel = k.Batched(2.0 * k.Periodic(lengthscale=2.0), 2)
    kernel._reg_params["kernel.lengthscale"].set_value([[2.0], [0.4]])
    alone = gl.StateSpaceGPLayer(2.0 * k.Periodic(lengthscale=0.4))
    error = gl.StateSpaceGPLayer(kernel).approximation_error()
    assert error == pytest.approx(alone.approximation_error(), rel=1e-12)
    assert (kernel.kernel.kernel.lengthscale.value() == 2.0).all()


def test_a_batch_ends_where_each_alone_ends():
    layer = ready(
        gl.StateSpaceGPLayer(k.Batched(k.Matern32() + k.White(0.1), 2), noise_variance=None)
    )
    losses = gl.fit_each(layer, X, Y)
    for element in range(2):
        alone = ready(gl.GPLikelihoodLayer(k.Matern32() + k.White(0.1), noise_variance=None))
        result = gl.fit(alone, X[element][:, None], Y[element], progress=False)
        assert abs(losses[element] - result.loss) < 1e-6 * abs(result.loss)
        for name, parameter in alone.kernel.hyperparameters().items():
            own = layer.kernel._reg_params[name].value()[element]
            np.testing.assert_allclose(own, parameter.value(), rtol=5e-3)
