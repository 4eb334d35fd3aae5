"""Kernels and Gaussian processes in C++: against MXNet's operators, and against other oracles."""

import subprocess
import sys

import mpmath
import mxnet as mx
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg import native

ARD = {"lengthscale": [0.8, 1.9]}


class Bend(mx.gluon.HybridBlock):
    """A network without parameters."""

    def hybrid_forward(self, F, x):
        return F.tanh(x) * 1.5


KERNELS = {
    "RBF": lambda: k.RBF(1.7, **ARD),
    "Matern12": lambda: k.Matern12(1.7, **ARD),
    "Matern32": lambda: k.Matern32(1.7, 0.9),
    "Matern52": lambda: k.Matern52(1.7, **ARD),
    "RationalQuadratic": lambda: k.RationalQuadratic(1.7, alpha=0.6, **ARD),
    "Periodic": lambda: k.Periodic(1.7, period=[2.3, 3.1], **ARD),
    "Cosine": lambda: k.Cosine(1.7, 2.3),
    "Linear": lambda: k.Linear([1.7, 0.4]),
    "Polynomial": lambda: k.Polynomial(3, 1.7, offset=0.5, **ARD),
    "Constant": lambda: k.Constant(0.3),
    "White": lambda: k.White(0.7),
    "Sum": lambda: k.RBF(1.3, 0.7, active_dims=[1]) + k.White(0.2) + k.Cosine(period=[2.0, 3.0]),
    "Product": lambda: k.Periodic(1.2, 0.9, 1.7) * (k.Linear(0.4) + k.Constant(1.5)),
    "SpectralMixture": lambda: k.SpectralMixture([1.7, 0.4], [[0.8, 1.9]] * 2, [[2.3, 3.1]] * 2),
    "Deep": lambda: k.Deep(Bend(), k.Matern52(1.7, **ARD) + k.Linear()),
    "Scaled": lambda: 2.5 * (k.Matern32(active_dims=[1, 0], **ARD) * k.Polynomial()),
}


def points(batch, n, seed=0):
    return np.random.RandomState(seed).uniform(-2.0, 2.0, size=(batch, n, 2))


def ready(block, dtype="float64", **flags):
    block.initialize()
    block.cast(dtype)
    if flags:
        block.hybridize(**flags)
    return block


def value_and_gradients(block, arrays, backend, dtype="float64", weights=None):
    """The outputs, and the gradients of their weighted sum by all arrays and parameters."""
    arrays = [mx.nd.array(a, dtype=dtype) for a in arrays]
    for array in arrays:
        array.attach_grad()
    with gl.use_backend(backend):
        with mx.autograd.record():
            value = block(*arrays)
            if weights is None:
                weights = np.random.RandomState(5).randn(*value.shape)
            loss = (value * mx.nd.array(weights, dtype=dtype)).sum()
        loss.backward()
        parameters = block.collect_params().values()
        found = [value, *(a.grad for a in arrays), *(p.grad() for p in parameters)]
        return [array.asnumpy().astype("float64") for array in found]


def assert_alike(found, expected, tolerance):
    assert len(found) == len(expected)
    for number, (a, b) in enumerate(zip(found, expected)):
        scale = max(np.abs(b).max(), 1e-12)
        assert np.abs(a - b).max() <= tolerance * scale, f"array {number}"


def test_every_kernel_of_the_package_is_here():
    kernels = (getattr(k, name) for name in k.__all__ if name not in ("Batched", "Emitted"))
    names = {kernel.__name__ for kernel in kernels if kernel.write is not k.Kernel.write}
    assert names == set(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_the_program_of_a_kernel_is_what_its_formula_is(name):
    """Value and all gradients, of few points and of more than a chunk, k(x) and k(x, z)."""
    kernel = ready(KERNELS[name]())
    assert kernel.is_native(mx.nd, mx.nd.ones(1))
    for arrays in (
        [points(2, 1)],
        [points(3, 7)],
        [points(1, 170)],
        [points(2, 5), points(2, 9, seed=1)],
        [points(1, 40, seed=2), points(1, 300, seed=3)],
    ):
        found = value_and_gradients(kernel, arrays, "native")
        # Tiny differences are those of the formula that subtracts large numbers.
        assert_alike(found, value_and_gradients(kernel, arrays, "mxnet"), 2e-13)
    # In float32 no worse than MXNet's operators, where rounded hyperparameters leave them.
    narrow, x = ready(KERNELS[name](), "float32"), points(2, 40).astype("float32")
    exact = value_and_gradients(kernel, [x], "mxnet")
    found, plain = (value_and_gradients(narrow, [x], b, "float32") for b in ("native", "mxnet"))
    for a, b, right in zip(found, plain, exact):
        assert np.abs(a - right).max() <= 1.5 * np.abs(b - right).max() + 1e-6 * np.abs(right).max()


@pytest.mark.parametrize("name", ["Sum", "Product"])
def test_a_compiled_kernel_has_one_operator_and_an_exported_one_has_none(name, tmp_path):
    kernel = ready(KERNELS[name](), static_alloc=True, static_shape=True)
    x = points(2, 6)
    compiled = value_and_gradients(kernel, [x], "native")
    assert_alike(compiled, value_and_gradients(ready(KERNELS[name]()), [x], "mxnet"), 1e-13)
    gl.export(kernel, str(tmp_path / "model"), mx.nd.array(x, dtype="float64"))
    assert "_gluon_linalg_" not in (tmp_path / "model-symbol.json").read_text()


def test_the_matrix_is_symmetric_and_its_diagonal_exact():
    x = mx.nd.array(points(2, 150), dtype="float64")
    for make in KERNELS.values():
        kernel = ready(make())
        matrix = kernel(x).asnumpy()
        assert np.array_equal(matrix, matrix.transpose(0, 2, 1))
        assert np.array_equal(matrix.diagonal(axis1=1, axis2=2), kernel.diag(x).asnumpy())


def test_elementary_functions_to_the_last_digits():
    """e^-t and (1 + t)^-1 over all magnitudes, against mpmath."""
    t = np.concatenate([[0.0], np.logspace(-20, 2.84, 400), np.linspace(600.0, 707.0, 50)])
    # Squares of numbers that are squares themselves, so that distances are exact.
    roots = np.sqrt(2.0 * t).astype("float32").astype("float64")
    z = mx.nd.array(roots[None, :, None], dtype="float64")
    x = mx.nd.zeros((1, 1, 1), dtype="float64")
    one = k.RBF(1.0), k.RationalQuadratic(1.0, 1.0, 1.0)
    values = [ready(kernel)(x, z).asnumpy()[0, 0] for kernel in one]
    variance = one[0].variance.value()[0]
    with mpmath.workdps(40):
        half = [mpmath.mpf(r) ** 2 / 2 for r in roots]
        expected = [[mpmath.exp(-h) for h in half], [1 / (1 + h) for h in half]]
        for number, (found, right) in enumerate(zip(values, expected)):
            for a, b in zip(found, right):
                # One unit of the function and half of one of the product, if t is exact.
                rounding = 3.4e-16 * (1 + abs(mpmath.log(b)) * (number == 1))
                assert abs(a / (b * mpmath.mpf(variance)) - 1) < rounding


class Shifted(k.Matern32):
    def profile(self, F, squared):
        return 1.0 / (1.0 + squared)


class Doubled(k.RBF):
    def __init__(self, **kwargs):
        super().__init__(variance=2.0, **kwargs)


def test_a_kernel_that_changes_its_formula_has_no_program():
    x = mx.nd.array(points(1, 4), dtype="float64")
    assert not Shifted().is_native(mx.nd, x)
    assert not (k.RBF() + 2.0 * Shifted()).is_native(mx.nd, x)
    assert Doubled().is_native(mx.nd, x)
    assert k.Batched(2.0 * k.RBF(), 1).is_native(mx.nd, x)
    squared = ((points(1, 4)[0][:, None] - points(1, 4)[0]) ** 2).sum(axis=2)
    total = ready(k.RBF() + Shifted())(x).asnumpy()[0]
    np.testing.assert_allclose(total, np.exp(-0.5 * squared) + 1.0 / (1.0 + squared), rtol=1e-11)
    layer = ready(gl.GPLikelihoodLayer(k.RBF() + Shifted()))
    arrays = [points(2, 6), np.random.RandomState(1).randn(2, 6)]
    found = value_and_gradients(layer, arrays, "native")
    assert_alike(found, value_and_gradients(layer, arrays, "mxnet"), 1e-12)


LAYERS = {
    "plain": {},
    "jitter": {"jitter": 0.05},
    "auto": {"jitter": "auto", "noise_variance": None},
    "mean": {"mean": "linear"},
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_gaussian_process_of_any_size(name):
    """From one point to several blocks."""
    options = {"noise_variance": 0.3, **LAYERS[name]}
    for batch, n in ((1, 1), (5, 3), (3, 24), (3, 25), (1, 160)):
        layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, **ARD) + k.White(0.1), **options))
        y = np.random.RandomState(n).randn(batch, n)
        arrays = [points(batch, n), y, np.full((batch, n), 0.2) + 0.1 * y**2]
        found = value_and_gradients(layer, arrays, "native")
        assert_alike(found, value_and_gradients(layer, arrays, "mxnet"), 1e-12)
        covariance = layer.kernel(mx.nd.array(arrays[0], dtype="float64")).asnumpy()[0]
        covariance = covariance + np.diag(arrays[2][0])
        if name in ("plain", "mean"):
            covariance = covariance + 0.3 * np.eye(n)
            expected = -multivariate_normal(np.zeros(n), covariance).logpdf(y[0])
            np.testing.assert_allclose(found[0][0], expected, rtol=1e-11)


def test_float64_in_a_float32_layer():
    arrays = [points(2, 30).astype("float32"), np.random.RandomState(1).randn(2, 30)]
    layer = gl.GPLikelihoodLayer(k.RBF(1.0, 3.0), noise_variance=1e-6, precision="float64")
    found = value_and_gradients(ready(layer, "float32"), arrays, "native", "float32")
    exact = value_and_gradients(
        ready(gl.GPLikelihoodLayer(k.RBF(1.0, 3.0), noise_variance=1e-6)),
        [a.astype("float32") for a in arrays],
        "mxnet",
    )
    assert_alike(found, exact, 1e-5)


def test_the_gradient_is_added_where_it_is_asked_for():
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8)))
    arrays = [points(2, 6), np.random.RandomState(1).randn(2, 6)]
    once = value_and_gradients(layer, arrays, "native")[3:]
    parameters = layer.collect_params()
    parameters.setattr("grad_req", "add")
    parameters.zero_grad()
    for _ in range(3):
        found = value_and_gradients(layer, arrays, "native")[3:]
    assert_alike(found, [3.0 * gradient for gradient in once], 1e-14)


def test_a_second_backward_pass():
    """The inverse lies where the factor was."""
    x = mx.nd.array(points(2, 40), dtype="float64")
    y = mx.nd.array(np.random.RandomState(1).randn(2, 40), dtype="float64")
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8)))
    x.attach_grad()
    with mx.autograd.record():
        loss = layer(x, y)
    loss.backward(retain_graph=True)
    first = x.grad.asnumpy()
    loss.backward()
    assert np.array_equal(first, x.grad.asnumpy()) and first.any()


@pytest.mark.parametrize("n", [5, 40])
def test_an_element_that_fails_in_a_graph_leaves_the_others(n):
    """NaN in all that is its own; as an error, the block and the element are named."""
    x, y = points(3, n), np.random.RandomState(1).randn(3, n)
    noise = np.full((3, n), 0.5)
    x[1], noise[1] = x[1, 0], 0.0
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=None))

    class Around(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def hybrid_forward(self, F, *arrays):
            return self.layer(*arrays)

    network = Around()
    network.hybridize()
    arrays = [mx.nd.array(a, dtype="float64") for a in (x, y, noise)]
    for array in arrays:
        array.attach_grad()
    with gl.use_backend("native"), mx.autograd.record():
        loss = network(*arrays)
    loss.backward()
    assert np.array_equal(np.isnan(loss.asnumpy()), [False, True, False])
    for array in arrays:
        gradient = array.grad.asnumpy().reshape(3, -1)
        assert np.isnan(gradient[1]).all() and np.isfinite(gradient[[0, 2]]).all()
    with gl.use_backend("native"), pytest.raises(
        gl.errors.NotPositiveDefiniteError, match="gplikelihoodlayer.*element 1 of 3"
    ):
        layer(*arrays)
    arrays[1][2, 0] = np.nan
    arrays[2][1] = 0.5
    with gl.use_backend("native"), pytest.raises(gl.errors.NonFiniteError, match="elements: 2"):
        layer(*arrays)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("n", [1, 7, 60])
def test_a_normal_likelihood(n, dtype, tolerance):
    """φ, ∂φ/∂A = ½(A⁻¹ - ααᵀ) and ∂φ/∂r = α in closed form."""
    random = np.random.RandomState(n)
    factor, residual = random.randn(4, n, n), random.randn(4, n)
    covariance = factor @ factor.transpose(0, 2, 1) + n * np.eye(n)
    arrays = [mx.nd.array(a, dtype=dtype) for a in (covariance, residual)]
    for array in arrays:
        array.attach_grad()
    with mx.autograd.record():
        value = native.gaussian_nll(mx.nd, *arrays)
    value.backward(mx.nd.array([1.0, 2.0, -1.0, 0.5], dtype=dtype))
    for i, weight in enumerate([1.0, 2.0, -1.0, 0.5]):
        expected = -multivariate_normal(np.zeros(n), covariance[i]).logpdf(residual[i])
        inverse = np.linalg.inv(covariance[i])
        alpha = inverse @ residual[i]
        np.testing.assert_allclose(value.asnumpy()[i], expected, rtol=tolerance)
        slope = 0.5 * weight * (inverse - np.outer(alpha, alpha))
        np.testing.assert_allclose(arrays[0].grad.asnumpy()[i], slope, atol=tolerance)
        np.testing.assert_allclose(arrays[1].grad.asnumpy()[i], weight * alpha, atol=tolerance)


def test_a_program_that_is_none():
    x, h = mx.nd.ones((2, 3, 1)), mx.nd.ones((2, 1))
    keywords = {"points": 1, "hyperparameters": 1, "cross": False}
    for text in (
        "",
        "rbf",
        "distance,0,0 rbf add",
        "distance,0,0 ones",
        "distance,0,1",
        "distance,1,0",
        "distance,0",
        "distance,0,0,0",
        "cubic,0,0",
        "ones rational",
    ):
        with pytest.raises(mx.base.MXNetError, match="kernel program"):
            native.call(mx.nd, "kernel_matrix", x, h, program=text, **keywords).asnumpy()
    with pytest.raises(mx.base.MXNetError, match="3 hyperparameters for 1 columns"):
        wrong = mx.nd.ones((1, 3))
        native.call(mx.nd, "kernel_matrix", x, wrong, program="linear,0,0", **keywords).asnumpy()


MEMORY = """
import sys, gluon_linalg as gl, mxnet as mx
n, dtype = 3000, sys.argv[1]
layer = gl.GPLikelihoodLayer(gl.kernels.RBF() * gl.kernels.Matern32() + gl.kernels.Linear())
layer.initialize()
layer.cast(dtype)
layer.hybridize(static_alloc=True, static_shape=True)

def run(n):
    x = mx.nd.random.uniform(shape=(1, n, 3), dtype=dtype)
    y = mx.nd.random.uniform(shape=(1, n), dtype=dtype)
    with mx.autograd.record():
        loss = layer(x, y)
    loss.backward()
    mx.nd.waitall()

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

run(200)
before = peak()
run(n)
print((peak() - before) / (n * n * (8 if dtype == "float64" else 4)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_of_a_likelihood(dtype):
    """One matrix, and packed parts of it."""
    out = subprocess.run(
        [sys.executable, "-c", MEMORY, dtype], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert float(out) < 1.5
