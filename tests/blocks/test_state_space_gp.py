"""Gaussian processes in state space form against the dense process, with 50 digits."""

import gp_reference
import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest
import state_space_gp_reference as reference

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block

RANDOM = np.random.RandomState(3)
# Gaps from 1e-6 to 1e3 lengthscales of 0.7, and three times at once.
TIMES = np.cumsum([0.2, 0.0, 0.0, 7e-7, 1e-3, 0.5, 0.0, 2.0, 1.1, 700.0, 0.3, 0.1])
VALUES = RANDOM.randn(len(TIMES))
NOISE = 0.1


def product_formula(s, t, v, l1, w, l2, p):
    return reference.matern52(s, t, v, l1) * reference.periodic(s, t, w, l2, p)


def sum_formula(s, t, v, p, w, l2, c):
    return reference.cosine(s, t, v, p) + reference.matern32(s, t, w, l2) + c


# name: a kernel, its formula, the values of its hyperparameters in their order.
KERNELS = {
    "matern12": (lambda: k.Matern12(1.3, 0.7), reference.matern12, (1.3, 0.7)),
    "matern32": (lambda: k.Matern32(1.3, 0.7), reference.matern32, (1.3, 0.7)),
    "matern52": (lambda: k.Matern52(1.3, 0.7), reference.matern52, (1.3, 0.7)),
    "matern72": (lambda: k.Matern72(1.3, 0.7), reference.matern72, (1.3, 0.7)),
    "cosine": (lambda: k.Cosine(1.3, 2.5), reference.cosine, (1.3, 2.5)),
    "linear": (lambda: k.Linear(1e-5), reference.linear, (1e-5,)),
    "polynomial": (
        lambda: k.Polynomial(2, 1.3, 500.0, 0.5),
        reference.polynomial,
        (1.3, 500.0, 0.5),
    ),
    "sum": (
        lambda: k.Cosine(1.3, 2.5) + k.Matern32(0.8, 1.9) + k.Constant(0.4),
        sum_formula,
        (1.3, 2.5, 0.8, 1.9, 0.4),
    ),
    "scaled": (
        lambda: 1.7 * k.Matern12(1.3, 0.7),
        lambda s, t, c, v, lengthscale: c * reference.matern12(s, t, v, lengthscale),
        (1.7, 1.3, 0.7),
    ),
    "product": (
        lambda: k.Matern52(1.3, 0.7) * k.Periodic(0.9, 3.0, 1.9),
        product_formula,
        (1.3, 0.7, 0.9, 3.0, 1.9),
    ),
}


def nd(*values, dtype="float64"):
    arrays = [mx.nd.array(value, dtype=dtype) for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def ready(block, dtype="float64"):
    block.initialize()
    block.cast(dtype)
    return block


def gradients(layer, *data, **options):
    """The loss and its derivatives by the logarithms of the hyperparameters and of the noise."""
    with mx.autograd.record():
        loss = layer(*data, **options)
    loss.backward()
    found = [
        p.grad().asscalar() * p.value()[0] / (p.value()[0] - p.lower)
        for p in [*layer.kernel.hyperparameters().values(), layer.noise_variance]
    ]
    return loss.asnumpy(), np.array(found)


@pytest.mark.parametrize("name", KERNELS)
def test_value_and_gradient_are_those_of_the_dense_process(name):
    kernel, formula, values = KERNELS[name]
    layer = ready(
        gl.StateSpaceGPLayer(kernel(), noise_variance=NOISE, rbf_order=9, periodic_order=9)
    )
    value, gradient = reference.value_and_gradient(formula, TIMES, VALUES, values, NOISE)
    error = layer.approximation_error()
    # A periodic kernel of lengthscale 3 leaves out less than rounding.
    assert error < 1e-14
    found = gradients(layer, *nd(TIMES[None], VALUES[None]))
    assert abs(found[0][0] - value) < 1e-8 * abs(value)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-8, atol=1e-8)


def test_rbf_is_near_the_dense_process_by_the_stated_error():
    """Random covariances: what changes A by at most e on its entries changes φ by n e / noise."""
    data = nd(TIMES[None], VALUES[None])
    values = (1.3, 0.7)
    value, gradient = reference.value_and_gradient(reference.rbf, TIMES, VALUES, values, NOISE)
    before = np.inf
    for order in (3, 6, 9):
        layer = ready(gl.StateSpaceGPLayer(k.RBF(*values), noise_variance=NOISE, rbf_order=order))
        found = gradients(layer, *data)
        difference = abs(found[0][0] - value)
        weights = VALUES @ VALUES / NOISE**2 + len(TIMES) / NOISE
        assert difference < 0.5 * weights * len(TIMES) * layer.approximation_error()
        assert difference < 0.1 * before
        before = difference
    np.testing.assert_allclose(found[1], gradient, atol=2e-3)


def simple_layer(**options):
    kernel = k.Matern52(1.7, 0.8) + k.Matern32(0.5, 1.1) * k.Cosine(1.0, 2.0)
    return gl.StateSpaceGPLayer(kernel, noise_variance=0.3, **options)


def simple_covariance(x):
    x = x[..., None]
    product = formulas.matrix(formulas.matern32, x, x, variance=0.5, lengthscale=1.1)
    product = product * formulas.matrix(formulas.cosine, x, x, period=2.0)
    return product + formulas.matrix(formulas.matern52, x, x, variance=1.7, lengthscale=0.8)


def test_modes(tmp_path):
    def oracle(x, y, noise, _):
        covariance = simple_covariance(x) + np.stack([np.diag(v) for v in 0.3 + noise])
        return gp_reference.negative_log_likelihood(covariance, y)

    first = np.array([[0.1, 0.5, 1.7], [-1.0, 3.0, 3.4]])
    second = np.array([[0.0, 0.0, 1e-3, 2.0, 40.0]])
    cases = [
        [x, RANDOM.randn(*x.shape), RANDOM.uniform(0.1, 0.5, x.shape)] for x in (first, second)
    ]
    check_block(simple_layer, cases, tmp_path, oracle)


class Masked(gl.blocks.LinearAlgebraBlock):
    """The layer with a mask, a mean and a column of x, whose differences nobody takes."""

    arguments = (("x", "B n"), ("y", "B n"))

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        kernel = k.RBF(1.7, 0.8) * k.Periodic(1.2, 1.5, 2.0) + k.White(0.1) + k.Linear(0.2)
        self.layer = gl.StateSpaceGPLayer(
            kernel, "linear", 0.3, rbf_order=2, periodic_order=1, precision=None
        )

    def hybrid_forward(self, F, x, y):
        hidden = F.slice_axis(F.zeros_like(y), axis=1, begin=0, end=1)
        seen = F.slice_axis(F.ones_like(y), axis=1, begin=1, end=None)
        mask = F.concat(hidden, seen, dim=1)
        return self.layer(F.expand_dims(x, axis=2), y, None, mask)


@pytest.mark.slow
def test_modes_of_all_kinds_of_kernels(tmp_path):
    cases = [
        [np.array([x]), RANDOM.randn(1, len(x))] for x in ([0.1, 0.5, 1.7], [0.0, 0.4, 0.9, 5])
    ]
    check_block(Masked, cases, tmp_path)


def test_gradient_at_equal_times():
    """Of kernels that have one there; by the dense layer, whose gradient is closed."""
    for kernel in (lambda: k.Matern32(1.3, 0.7), lambda: k.Matern52(1.3, 0.7)):
        found = []
        for layer in (gl.StateSpaceGPLayer(kernel()), gl.GPLikelihoodLayer(kernel())):
            layer, x, y = ready(layer), nd(TIMES[None, :, None]), nd(VALUES[None])
            for array in (x, y):
                array.attach_grad()
            with mx.autograd.record():
                loss = layer(x, y)
            loss.backward()
            found.append([x.grad.asnumpy(), y.grad.asnumpy()])
        for own, dense in zip(*found):
            np.testing.assert_allclose(own, dense, atol=1e-11)


def test_a_mask_is_as_leaving_out():
    layer = ready(simple_layer(mean="constant"))
    layer.mean.constant.set_data(nd([0.7]))
    seen = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0.0])
    kept = seen == 1
    hidden = np.where(kept, VALUES, [np.nan, np.inf, 1e300] * 4)
    short, expected = gradients(layer, *nd(TIMES[None, kept], VALUES[None, kept]))
    y = nd(hidden[None])
    y.attach_grad()
    value, gradient = gradients(layer, nd(TIMES[None]), y, mask=nd(seen[None]))
    np.testing.assert_allclose(value, short, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10)
    assert (y.grad.asnumpy()[0, ~kept] == 0).all()


@pytest.mark.parametrize("precision", ["float64", None])
def test_float32(precision):
    """2000 times, and a kernel that sees across 100 of them: within 1e-3, inside float64 1e-6."""
    x = np.sort(RANDOM.uniform(0.0, 200.0, (1, 2000)).astype("float32"))
    y = (np.sin(x) + 0.3 * RANDOM.randn(1, 2000)).astype("float32")
    results = []
    for dtype in ("float32", "float64"):
        kernel = k.Matern52(1.3, 7.0)
        layer = gl.StateSpaceGPLayer(kernel, noise_variance=0.09, precision=precision)
        layer.hybridize()
        seen = nd(np.ones_like(y), dtype=dtype)
        results.append(gradients(ready(layer, dtype), *nd(x, y, dtype=dtype), mask=seen))
    bound = 1e-3 if precision is None else 2e-6
    for a, b in zip(*results):
        assert np.abs(a - b).max() < bound * np.abs(b).max()


def test_many_times_in_parallel_in_mxnet_operators():
    """Scans and loops, without native operators."""
    x = np.sort(RANDOM.uniform(0.0, 20.0, (2, 30)))
    y = RANDOM.randn(2, 30)
    expected = gp_reference.negative_log_likelihood(simple_covariance(x) + 0.3 * np.eye(30), y)
    with gl.use_backend("mxnet"):
        for method in ("parallel", "sequential"):
            layer = ready(simple_layer(method=method))
            np.testing.assert_allclose(layer(*nd(x, y)).asnumpy(), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "change, error, words",
    [
        (lambda x, y, m: x.__setitem__((1, 3), 0.0), gl.errors.TimeOrderError, "element 1.*sort"),
        (lambda x, y, m: x.__setitem__((1, 3), np.nan), gl.errors.NonFiniteError, "number 3"),
        (lambda x, y, m: y.__setitem__((0, 2), np.nan), gl.errors.NonFiniteError, "t = 2"),
        (
            lambda x, y, m: m.__setitem__(1, 0.0),
            gl.errors.UnidentifiedError,
            "hides all.*elements: 1 of 2",
        ),
        (lambda x, y, m: m.__setitem__((0, 1), 0.5), ValueError, "0 and 1"),
    ],
    ids=["backwards", "NaN time", "NaN", "hidden", "mask"],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_bad_data(change, error, words, compiled):
    x, y, mask = np.cumsum(np.ones((2, 5)), axis=1), np.ones((2, 5)), np.ones((2, 5))
    layer = ready(simple_layer())
    layer.hybridize(compiled)
    layer(*nd(x, y), mask=nd(mask))
    change(x, y, mask)
    with pytest.raises(error, match=words) as raised:
        layer(*nd(x, y), mask=nd(mask))
    assert "statespacegplayer" in str(raised.value)
    with pytest.raises(error, match=words):
        layer.condition(x, y, mask=mask)


def test_bad_arguments():
    with pytest.raises(TypeError, match="RationalQuadratic has no state space form.*Matern52"):
        gl.StateSpaceGPLayer(k.Matern52() + 2.0 * (k.RationalQuadratic() * k.Cosine()))

    class Own(k.Matern32):
        def profile(self, F, squared):
            return 1.0 / (1.0 + squared)

    with pytest.raises(TypeError, match="Own has no state space form"):
        gl.StateSpaceGPLayer(Own())
    with pytest.raises(gl.errors.ShapeError, match="active_dims has column 1"):
        gl.StateSpaceGPLayer(k.Matern52(active_dims=[1]))
    with pytest.raises(ValueError, match="rbf_order is 1, expected an integer from 2 to 9"):
        gl.StateSpaceGPLayer(k.RBF(), rbf_order=1)
    with pytest.raises(gl.errors.SingularMatrixError, match="t = 1"):
        layer = ready(gl.StateSpaceGPLayer(k.Matern12(), noise_variance=None))
        layer(*nd([[0.0, 0.0]], [[1.0, 2.0]]))
    layer = ready(gl.StateSpaceGPLayer(k.Matern52()))
    with pytest.raises(gl.errors.ShapeError, match="2 columns.*one time axis"):
        layer(nd(np.zeros((1, 5, 2))), nd(np.zeros((1, 5))))
    product = gl.StateSpaceGPLayer(k.RBF() * k.Linear())
    assert product.approximation_error() == np.inf
    assert gl.StateSpaceGPLayer(k.Matern12() * k.Linear()).approximation_error() == 0.0
