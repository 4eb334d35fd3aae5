"""GaussianProcess against GluonTS's, on its kernels and on those of this package."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from gluonts.mx.kernels import PeriodicKernel, RBFKernel
from gluonts.mx.model.gp_forecaster import gaussian_process as gluonts_gp

import gluon_linalg as gl
from gluon_linalg import kernels
from gluon_linalg.forecast.gaussian_process import GaussianProcess

BATCH, TRAINED, TESTED, FEATURES = 3, 8, 4, 2


def array(values):
    return mx.nd.array(values, dtype="float64")


def positive(*shape):
    return np.exp(0.3 * np.random.randn(*shape))


@pytest.fixture
def data():
    """x_train, y_train, x_test."""
    shapes = [(BATCH, TRAINED, FEATURES), (BATCH, TRAINED), (BATCH, TESTED, FEATURES)]
    return [array(np.random.randn(*shape)) for shape in shapes]


def parameters(count):
    """sigma and so many parameters of a kernel, (B, 1, 1) each."""
    return [array(positive(BATCH, 1, 1)) for _ in range(1 + count)]


@pytest.mark.parametrize("kernel, count", [(RBFKernel, 2), (PeriodicKernel, 3)])
@pytest.mark.parametrize("jitter_method", ["iter", "eig"])
def test_negative_log_likelihood_is_that_of_gluonts(data, kernel, count, jitter_method):
    x, y, _ = data
    stored, weights = parameters(count), array(np.random.randn(BATCH))
    found = []
    for cls in (GaussianProcess, gluonts_gp.GaussianProcess):
        differentiated = [*stored, x, y]
        for one in differentiated:
            one.attach_grad()
        with mx.autograd.record():
            sigma, *rest = stored
            gp = cls(sigma, kernel(*rest), context_length=TRAINED, jitter_method=jitter_method)
            value = gp.log_prob(x, y)
            total = (value * weights).sum()
        total.backward()
        found.append([value.asnumpy()] + [one.grad.asnumpy() for one in differentiated])
    assert found[0][0].shape == (BATCH,)
    for one, wanted in zip(*found):
        np.testing.assert_allclose(one, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("sample_noise", [False, True])
@pytest.mark.parametrize("points", ["new", "trained"])
def test_inference_is_that_of_gluonts(data, sample_noise, points):
    x, y, x_new = data
    x_test = x_new if points == "new" else x[:, :TESTED]
    sigma, *rest = parameters(2)
    found = []
    for cls in (GaussianProcess, gluonts_gp.GaussianProcess):
        gp = cls(
            sigma, RBFKernel(*rest), prediction_length=TESTED, context_length=TRAINED,
            num_samples=20000, sample_noise=sample_noise,
        )  # fmt: skip
        samples, mean, deviation = gp.exact_inference(x, y, x_test)
        assert samples.shape == (BATCH, TESTED, 20000)
        found.append([mean.asnumpy(), deviation.asnumpy()])
        standard = (samples.asnumpy() - found[-1][0][:, :, None]) / found[-1][1][:, :, None]
        found[-1].append(np.einsum("bis,bjs->bij", standard, standard) / 20000)
    for one, wanted, tolerance in zip(*found, [1e-9, 1e-9, 0.05]):
        np.testing.assert_allclose(one, wanted, rtol=tolerance, atol=tolerance)


def test_draws_from_a_singular_covariance_are_exact():
    x = array(np.linspace(0, 1, 4).reshape(1, 4, 1))
    y = array([[1.0, 2.0, 0.5, -1.0]])
    one = array([[[1.0]]])
    gp = GaussianProcess(
        0.0 * one, RBFKernel(one, 0.5 * one), 4, 4, num_samples=50, sample_noise=False
    )
    samples, mean, deviation = gp.exact_inference(x, y, x)
    # All that is left of the covariance is rounding, of either sign.
    np.testing.assert_allclose(mean.asnumpy(), y.asnumpy(), atol=1e-9)
    assert (deviation.asnumpy() < 1e-6).all()
    assert np.abs(samples.asnumpy() - y.asnumpy()[:, :, None]).max() < 1e-5
    ones = mx.nd.ones((1, 4, 4), dtype="float64")
    drawn = gp.sample(y, ones).asnumpy() - y.asnumpy()[:, :, None]
    np.testing.assert_allclose(drawn, np.broadcast_to(drawn[:, :1], drawn.shape), atol=1e-7)
    assert drawn.std() > 0.5


def test_kernels_of_this_package_are_as_good(data):
    x, y, x_test = data
    variance, length = array(np.full((BATCH, 1, 1), 1.3)), array(np.full((BATCH, 1, 1), 0.7))
    sigma = array(np.full((BATCH, 1, 1), 0.4))
    own = kernels.RBF(lengthscale=0.7, variance=1.3)
    own.initialize()
    own.cast("float64")
    sizes = (TESTED, TRAINED, 3)
    one = GaussianProcess(sigma, own, *sizes)
    other = gluonts_gp.GaussianProcess(sigma, RBFKernel(variance, length), *sizes)
    np.testing.assert_allclose(
        one.log_prob(x, y).asnumpy(), other.log_prob(x, y).asnumpy(), rtol=1e-9
    )
    for found, wanted in zip(
        one.exact_inference(x, y, x_test)[1:], other.exact_inference(x, y, x_test)[1:]
    ):
        np.testing.assert_allclose(found.asnumpy(), wanted.asnumpy(), rtol=1e-8)


def test_kernels_of_this_package_with_hyperparameters_of_each_series(data):
    """As those of GluonTS have them: the same values and gradients."""
    x, y, x_test = data
    sigma, *rest = parameters(2)
    emitted = kernels.Emitted(kernels.RBF(), "float64")
    found = []
    for own in (True, False):
        for one in rest:
            one.attach_grad()
        with mx.autograd.record():
            kernel = RBFKernel(*rest)
            if own:
                variance, lengthscale = (one.squeeze(axis=2) for one in rest)
                kernel = partial(emitted, variance=variance, lengthscale=lengthscale)
            cls = GaussianProcess if own else gluonts_gp.GaussianProcess
            gp = cls(sigma, kernel, TESTED, TRAINED, num_samples=3)
            value = gp.log_prob(x, y)
        value.backward()
        moments = gp.exact_inference(x, y, x_test)[1:]
        found.append([one.asnumpy() for one in (value, *(r.grad for r in rest), *moments)])
    for one, wanted in zip(*found):
        np.testing.assert_allclose(one, wanted, rtol=1e-8)


class Wrapped(mx.gluon.HybridBlock):
    """Both kinds of kernels in a network, symbols when it is compiled."""

    def __init__(self, own):
        super().__init__()
        with self.name_scope():
            self.own = kernels.Periodic() + kernels.Matern32() if own else None

    def hybrid_forward(self, F, x, y, x_test, sigma, amplitude, length):
        kernel = self.own or RBFKernel(amplitude, length)
        gp = GaussianProcess(sigma, kernel, TESTED, TRAINED, num_samples=2)
        samples, mean, deviation = gp.exact_inference(x, y, x_test)
        unused = 0.0 * (amplitude + length).sum(axis=(1, 2)) + 0.0 * samples.sum(axis=(1, 2))
        return gp.log_prob(x, y) + unused, mean, deviation


@pytest.mark.parametrize("own", [False, True])
def test_compiled_it_is_what_it_is_imperatively(data, own):
    inputs = [*data, *parameters(2)]
    net = Wrapped(own)
    net.initialize()
    net.cast("float64")
    trained = list(net.collect_params().values())
    found = []
    for options in [{"active": False}, {}, {"static_alloc": True, "static_shape": True}]:
        net.hybridize(**options)
        for one in inputs:
            one.attach_grad()
        with mx.autograd.record():
            outputs = net(*inputs)
            total = sum(output.sum() for output in outputs)
        total.backward()
        grads = [one.grad for one in inputs] + [p.grad() for p in trained]
        found.append([one.asnumpy() for one in [*outputs, *grads]])
    for other in found[1:]:
        for one, reference in zip(other, found[0]):
            np.testing.assert_allclose(one, reference, rtol=1e-10, atol=1e-12)


def test_a_singular_matrix_is_an_error_unless_jitter_is_asked_for():
    x, y = array(np.zeros((1, 3, 1))), array([[1.0, 1.0, 1.0]])
    one = array([[[1.0]]])
    with pytest.raises(gl.errors.NotPositiveDefiniteError, match="GaussianProcess"):
        GaussianProcess(0.0 * one, RBFKernel(one, one), context_length=3).log_prob(x, y)
    gp = GaussianProcess(0.0 * one, RBFKernel(one, one), context_length=3, jitter_method="eig")
    # K is of rank 1 with the eigenvalue 3: the other two become 16 ε 3.
    shift = 48 * 2.0**-53
    expected = 0.5 * (3 / 3 + np.log(3) + 2 * np.log(shift) + 3 * np.log(2 * np.pi))
    np.testing.assert_allclose(gp.log_prob(x, y).asscalar(), expected, rtol=0.02)


def test_draws_need_a_number():
    one = array([[[1.0]]])
    gp = GaussianProcess(one, RBFKernel(one, one), prediction_length=3)
    with pytest.raises(ValueError, match="num_samples"):
        gp.sample(array(np.zeros((1, 3))), array([np.eye(3)]))


def test_gluonts_gp_network_trains_with_it(monkeypatch):
    from gluonts.mx.kernels import RBFKernelOutput
    from gluonts.mx.model.gp_forecaster import _network

    options = dict(
        prediction_length=TESTED, context_length=TRAINED, cardinality=BATCH,
        kernel_output=RBFKernelOutput(), params_scaling=True, float_type=np.float64,
        max_iter_jitter=10, jitter_method="iter",
    )  # fmt: skip
    inputs = [
        array(np.random.randn(BATCH, TRAINED)),
        array(np.random.randn(BATCH, TRAINED, FEATURES)),
        array(np.arange(BATCH)[:, None]),
    ]
    trained = _network.GaussianProcessTrainingNetwork(**options)
    trained.initialize()
    found = []
    for cls in (GaussianProcess, gluonts_gp.GaussianProcess):
        monkeypatch.setattr(_network, "GaussianProcess", cls)
        net = _network.GaussianProcessTrainingNetwork(params=trained.collect_params(), **options)
        net.hybridize()
        with mx.autograd.record():
            loss = net(*inputs)
        loss.backward()
        grads = [p.grad() for p in net.collect_params().values()]
        found.append([one.asnumpy() for one in [loss, *grads]])
    for one, wanted in zip(*found):
        np.testing.assert_allclose(one, wanted, rtol=1e-6, atol=1e-9)
