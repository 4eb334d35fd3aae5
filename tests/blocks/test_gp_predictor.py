"""The posterior: the shared harness, an explicit NumPy posterior, and what must never happen."""

import gp_reference as reference
import mxnet as mx
import numpy as np
import pytest
from test_gp import data, nd, ready

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block

X, Y = data(2, 6, 2)
X1, Y1 = data(1, 9, 2, seed=5)
NEW, _ = data(2, 4, 2, seed=1)


def conditioned(x=X, y=Y, dtype="float64", kernel=None, condition=None, **options):
    layer = gl.GPLikelihoodLayer(kernel or k.RBF(1.7, 0.8), noise_variance=0.3, **options)
    return ready(layer, dtype).condition(*nd(x, y, dtype=dtype), **(condition or {}))


class InDtype:
    """A factory whose block is conditioned in the dtype that the harness casts it to."""

    def __init__(self, **options):
        self.options = options

    def __call__(self):
        block = conditioned(**self.options)
        options = self.options

        def cast(dtype):
            block.__dict__.update(conditioned(dtype=dtype, **options).__dict__)

        block.cast = cast
        return block


@pytest.mark.parametrize("include_noise", [False, True])
@pytest.mark.parametrize("mean", [None, "linear"])
def test_predictor(mean, include_noise, tmp_path):
    def oracle(new, _):
        mean, covariance = reference.posterior(reference.rbf(1.7, 0.8), X, Y, 0.3, new)
        return mean, covariance.diagonal(axis1=1, axis2=2) + 0.3 * include_noise

    factory = InDtype(mean=mean, condition={"include_noise": include_noise})
    cases = [[NEW], [data(2, 1, 2, seed=2)[0]], [X]]
    check_block(factory, cases, tmp_path, oracle if mean is None else None)


def test_float64_inside(tmp_path):
    check_block(InDtype(precision="float64"), [[NEW], [X]], tmp_path)


def test_covariance_and_samples():
    predictor = conditioned()
    _, expected = reference.posterior(reference.rbf(1.7, 0.8), X, Y, 0.3, NEW)
    found = predictor.covariance(nd(NEW)).asnumpy()
    np.testing.assert_allclose(found, expected, atol=1e-13)
    assert np.array_equal(found, found.transpose(0, 2, 1))

    mean = predictor.mean(nd(NEW)).asnumpy()
    samples = predictor.sample(nd(NEW), size=20000).asnumpy()
    assert samples.shape == (20000, 2, 4)
    # Six standard errors of the moments of 20000 draws.
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=6 * np.sqrt(1.7 / 20000))
    for b in range(2):
        np.testing.assert_allclose(
            np.cov(samples[:, b].T), expected[b], atol=6 * 1.7 * np.sqrt(2 / 20000)
        )


def test_sampling_repeats_under_a_seed():
    predictor = conditioned()
    draws = []
    for _ in range(2):
        mx.random.seed(11)
        draws.append(predictor.sample(nd(NEW), size=3).asnumpy())
    assert np.array_equal(*draws)


def test_sampling_where_the_posterior_is_degenerate():
    """At the data without noise the covariance is 0: samples are the data."""
    layer = ready(gl.GPLikelihoodLayer(k.Matern32(1.7, 0.8), noise_variance=None))
    predictor = layer.condition(*nd(X, Y))
    samples = predictor.sample(nd(X), size=5).asnumpy()
    np.testing.assert_allclose(samples, np.broadcast_to(Y, (5, *Y.shape)), atol=1e-5)


def test_leave_one_out():
    mean, variance = (a.asnumpy() for a in conditioned(X1, Y1).leave_one_out())
    for i in range(X1.shape[1]):
        keep = np.arange(X1.shape[1]) != i
        expected_mean, covariance = reference.posterior(
            reference.rbf(1.7, 0.8), X1[:, keep], Y1[:, keep], 0.3, X1[:, [i]]
        )
        assert abs(mean[0, i] - expected_mean[0, 0]) < 1e-12
        assert abs(variance[0, i] - (covariance[0, 0, 0] + 0.3)) < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variance_is_never_negative(dtype):
    """A kernel of rank 3 at 12 points with almost no noise."""
    x = np.random.RandomState(11).uniform(0.0, 4.0, 12)
    kernel = k.Polynomial(2, variance=0.2)
    noise = 1e-10 if dtype == "float64" else 1e-5
    layer = gl.GPLikelihoodLayer(kernel, noise_variance=None, jitter=noise)
    layer = ready(layer, dtype)
    predictor = layer.condition(*nd(x[None, :, None], np.sin(x)[None], dtype=dtype))
    new = nd(np.linspace(0.0, 4.0, 80)[None, :, None], dtype=dtype)
    new.attach_grad()
    with mx.autograd.record():
        deviation = mx.nd.sqrt(predictor(new)[1])
    deviation.backward()
    assert np.isfinite(deviation.asnumpy()).all()
    assert (deviation.asnumpy() > 0).all()
    assert np.isfinite(new.grad.asnumpy()).all()


def test_training_on_does_not_change_a_predictor():
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), mean="constant", noise_variance=0.3))
    layer(*nd(X, Y))
    trainer = mx.gluon.Trainer(layer.collect_params(), "sgd", {"learning_rate": 0.1})
    layer.hybridize()
    with mx.autograd.record():
        loss = layer(*nd(X, Y))
    loss.backward()
    predictor = layer.condition(*nd(X, Y))
    before = [a.asnumpy() for a in predictor(nd(NEW))]
    trainer.step(1)
    layer.kernel.lengthscale.set_value(3.0)
    for old, new in zip(before, predictor(nd(NEW))):
        assert np.array_equal(old, new.asnumpy())
    assert abs(layer.condition(*nd(X, Y)).mean(nd(NEW)).asnumpy() - before[0]).max() > 1e-3
    assert all(p.grad_req == "null" for p in predictor.collect_params().values())


def test_known_noise_of_observations():
    noise = np.linspace(0.1, 0.6, 6)
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=None))
    predictor = layer.condition(*nd(X, Y, np.stack([noise, noise])))
    a = reference.rbf(1.7, 0.8)(X, X) + np.diag(noise)
    expected = reference.rbf(1.7, 0.8)(NEW, X) @ np.linalg.solve(a, Y[..., None])
    np.testing.assert_allclose(predictor.mean(nd(NEW)).asnumpy(), expected[..., 0], atol=1e-13)
    with pytest.raises(ValueError, match="include_noise"):
        layer.condition(*nd(X, Y), include_noise=True)


def test_refuses_what_it_was_not_conditioned_on():
    predictor = conditioned()
    with pytest.raises(gl.errors.ShapeError, match="batch 3"):
        predictor(nd(data(3, 4, 2)[0]))
    with pytest.raises(gl.errors.ShapeError, match="columns"):
        predictor(nd(data(2, 4, 1)[0]))
    with pytest.raises(TypeError, match="condition again"):
        predictor.cast("float32")
