"""GPLikelihoodLayer: the shared harness, published figures, laws and hard inputs."""

import gp_reference as reference
import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block


def data(batch, n, d, seed=0):
    random = np.random.RandomState(seed)
    return random.uniform(-2, 2, size=(batch, n, d)), random.randn(batch, n)


def nd(*values, dtype="float64"):
    arrays = [mx.nd.array(value, dtype=dtype) for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def ready(block, dtype="float64"):
    block.initialize()
    block.cast(dtype)
    return block


def rbf_covariance(x, noise=0.3):
    return reference.rbf(1.7, 0.8)(x, x) + noise * np.eye(x.shape[1])


def simple_layer(**options):
    return gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=0.3, **options)


def test_simple(tmp_path):
    def oracle(x, y, _):
        return reference.negative_log_likelihood(rbf_covariance(x), y)

    check_block(simple_layer, [data(2, 5, 2), data(3, 8, 1)], tmp_path, oracle)


KERNELS = {
    "sum": lambda: k.RBF(1.7, [0.8, 1.9]) + k.Linear([0.5, 0.2]),
    "product": lambda: k.RBF(1.7, 0.8) * k.Periodic(1.2, 0.9, [1.5, 2.5]) + k.White(0.1),
    "scaled": lambda: 2.0 * k.Matern12(1.3, 0.8) + k.Constant(0.4),
}
# Their own gradients are those of test_kernels.py, and the layer's those of the three above.
FURTHER_KERNELS = {
    "active": lambda: k.Matern32(1.3, 0.8) + k.RBF(0.5, 1.1, active_dims=[1]),
    "polynomial": lambda: k.Matern52(1.3, [0.8, 1.1]) * k.Polynomial(2, 0.6),
    "rq": lambda: k.RationalQuadratic(1.3, 0.8, 0.7),
    "periodic": lambda: k.Periodic(1.2, [0.9, 1.3], [1.5, 2.5]),
}


@pytest.mark.parametrize(
    "kernel",
    [pytest.param(kernel, id=name) for name, kernel in KERNELS.items()]
    + [
        pytest.param(kernel, id=name, marks=pytest.mark.slow)
        for name, kernel in FURTHER_KERNELS.items()
    ],
)
def test_gradient_through_every_kind_of_kernel(kernel, tmp_path):
    def oracle(x, y, layer):
        matrix = layer.kernel(nd(x)).asnumpy() + 0.2 * np.eye(x.shape[1])
        return reference.negative_log_likelihood(matrix, y)

    # Of these data no gradient is a difference of large numbers.
    check_block(
        lambda: gl.GPLikelihoodLayer(kernel(), noise_variance=0.2),
        [data(2, 5, 2), data(1, 7, 2, seed=5)],
        tmp_path,
        oracle,
    )


def test_mean_functions(tmp_path):
    def oracle(mean):
        return lambda x, y, _: reference.negative_log_likelihood(rbf_covariance(x), y - mean(x))

    cases = [data(2, 5, 2), data(1, 7, 2)]
    check_block(lambda: simple_layer(mean="constant"), cases, tmp_path, oracle(lambda x: 0.0))
    check_block(lambda: simple_layer(mean="linear"), cases, tmp_path, oracle(lambda x: 0.0))

    def network():
        network = mx.gluon.nn.HybridSequential()
        network.add(mx.gluon.nn.Dense(3, flatten=False, activation="tanh", in_units=2))
        network.add(mx.gluon.nn.Dense(1, flatten=False, in_units=3))
        return network

    check_block(lambda: simple_layer(mean=network()), cases, tmp_path)


def test_fixed_mean_values():
    layer = ready(simple_layer(mean="constant"))
    layer.mean.constant.set_data(nd([0.7]))
    x, y = data(2, 5, 2)
    expected = reference.negative_log_likelihood(rbf_covariance(x), y - 0.7)
    np.testing.assert_allclose(layer(*nd(x, y)).asnumpy(), expected, rtol=1e-12)


def test_noise_for_each_observation_as_input(tmp_path):
    noise = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]])

    def oracle(x, y, noise, _):
        covariance = rbf_covariance(x) + np.stack([np.diag(v) for v in noise])
        return reference.negative_log_likelihood(covariance, y)

    cases = [[*data(2, 5, 2), noise], [*data(1, 4, 2), np.full((1, 4), 0.7)]]
    check_block(simple_layer, cases, tmp_path, oracle)


def test_noise_for_each_observation_as_parameter():
    noise = [0.1, 0.2, 0.3, 0.4, 0.5]
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=noise))
    x, y = data(2, 5, 2)
    expected = reference.negative_log_likelihood(rbf_covariance(x, 0.0) + np.diag(noise), y)
    np.testing.assert_allclose(layer(*nd(x, y)).asnumpy(), expected, rtol=1e-11)
    with pytest.raises(gl.errors.ShapeError, match="5"):
        layer(*nd(*data(2, 4, 2)))


def test_jitter_is_relative_and_differentiated(tmp_path):
    def oracle(x, y, _):
        covariance = rbf_covariance(x)
        shift = 0.05 * (1.7 + 0.3) * np.eye(x.shape[1])
        return reference.negative_log_likelihood(covariance + shift, y)

    cases = [data(2, 5, 2), data(1, 7, 2, seed=5)]
    check_block(lambda: simple_layer(jitter=0.05), cases, tmp_path, oracle)


def test_float64_inside_a_float32_layer(tmp_path):
    check_block(lambda: simple_layer(precision="float64"), [data(2, 5, 2), data(1, 7, 2)], tmp_path)


class DeepKernel(gl.blocks.LinearAlgebraBlock):
    """A network whose features feed the Gaussian process."""

    arguments = (("x", "B n d"), ("y", "B n"))

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Weights of order 1: with Gluon's small ones the gradients drown in differences' rounding.
        options = {"flatten": False, "weight_initializer": mx.init.Normal(0.7)}
        with self.name_scope():
            self.features = mx.gluon.nn.HybridSequential()
            self.features.add(mx.gluon.nn.Dense(4, activation="tanh", in_units=2, **options))
            # A bias here would only shift what a stationary kernel sees.
            self.features.add(mx.gluon.nn.Dense(2, in_units=4, use_bias=False, **options))
            self.gp = gl.GPLikelihoodLayer(k.RBF(1.0, 0.7), noise_variance=0.2)

    def hybrid_forward(self, F, x, y):
        return self.gp(self.features(x), y)


def test_deep_kernel_learning(tmp_path):
    check_block(DeepKernel, [data(2, 5, 2), data(1, 7, 2)], tmp_path)


# Missing targets.


def hidden_kernel():
    """One whose diagonal is not constant, which the mean of a jitter is of."""
    return k.RBF(1.7, 0.8) + k.Linear(0.5)


def masked(x, y, seen, **options):
    """Value and gradients with rows hidden, of parameters and of both arrays."""
    layer = ready(gl.GPLikelihoodLayer(hidden_kernel(), mean="linear", **options))
    given = [None if a is None else nd(a) for a in (x, y, None, seen)]
    layer(*given)
    layer.mean.weight.set_data(nd([[0.3, -0.2]]))
    for array in given[:2]:
        array.attach_grad()
    with mx.autograd.record():
        loss = layer(*given)
    loss.backward()
    parameters = [p.grad().asnumpy() for p in layer.collect_params().values()]
    return loss.asnumpy(), parameters, [array.grad.asnumpy() for array in given[:2]]


@pytest.mark.parametrize("jitter", [0.0, 0.02, "auto"])
def test_a_mask_is_as_leaving_out(jitter):
    """Where hidden rows hold NaN, infinity or another planet, in value, gradients and posterior."""
    x, y = data(2, 7, 2)
    seen = np.ones((2, 7))
    seen[:, [1, 4]] = 0
    kept = seen[0] == 1
    options, rough = {"jitter": jitter, "noise_variance": 0.3}, 1e-11
    expected = masked(x[:, kept], y[:, kept], None, **options)
    for other in (np.nan, np.inf, -1e150):
        hidden = [np.where(kept.reshape(1, -1, *[1] * (a.ndim - 2)), a, other) for a in (x, y)]
        found = masked(*hidden, seen, **options)
        np.testing.assert_allclose(found[0], expected[0], rtol=rough)
        for a, b in zip(found[1], expected[1]):
            assert np.abs(a - b).max() <= rough * max(1.0, np.abs(b).max())
        for a, b in zip(found[2], expected[2]):
            assert np.abs(a[:, kept] - b).max() <= rough * np.abs(b).max()
            assert not a[:, ~kept].any()
        layer = ready(gl.GPLikelihoodLayer(hidden_kernel(), **options))
        right = layer.condition(x[:, kept], y[:, kept])
        for a, b in zip(layer.condition(*hidden, mask=seen)(nd(x + 0.3)), right(nd(x + 0.3))):
            np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=rough, atol=rough)


def test_automatic_jitter_of_what_is_seen():
    """Two rows are one; a hidden row counts no more than in the smallest units of y."""
    x, y = data(1, 6, 2)
    x[:, 3] = x[:, 2]
    layer = ready(gl.GPLikelihoodLayer(k.RBF(1e-8, 0.8), noise_variance=None, jitter="auto"))
    seen = np.array([[1.0, 1, 1, 1, 0, 0]])
    found = layer.condition(x, y, mask=seen)._from_aside("jitter").asscalar()
    expected = layer.condition(x[:, :4], y[:, :4])._from_aside("jitter").asscalar()
    assert 0 < expected < 1e-21
    assert abs(found / expected - 1) < 0.2


def test_masks_in_all_modes(tmp_path):
    seen = [np.array([[1.0, 0, 1, 1, 1], [1, 1, 1, 0, 0]]), np.ones((1, 7))]
    noise = [np.full((2, 5), 0.2), np.full((1, 7), 0.4)]
    cases = [[*data(2, 5, 2), noise[0], seen[0]], [*data(1, 7, 2, seed=5), noise[1], seen[1]]]

    def oracle(x, y, noise, mask, _):
        found = []
        for b, m in enumerate(mask == 1):
            a = reference.rbf(1.7, 0.8)(x[b : b + 1, m], x[b : b + 1, m])
            a = a + np.diag(0.3 + noise[b, m])
            found.append(reference.negative_log_likelihood(a, y[b : b + 1, m])[0])
        return np.array(found)

    check_block(lambda: HiddenMask(simple_layer()), [case[:3] for case in cases], tmp_path)
    for case in cases:
        found = ready(simple_layer())(*nd(*case)).asnumpy()
        np.testing.assert_allclose(found, oracle(*case, None), rtol=1e-12)


class HiddenMask(gl.blocks.LinearAlgebraBlock):
    """A layer with a mask that is no input: of those the harness takes differences."""

    arguments = (("x", "B n d"), ("y", "B n"), ("noise", "B n"))

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def hybrid_forward(self, F, x, y, noise):
        # The second row of each batch element.
        ones = F.ones_like(F.BlockGrad(F.slice_axis(y, axis=1, begin=1, end=None)))
        first = F.slice_axis(ones, axis=1, begin=0, end=1)
        rest = F.slice_axis(ones, axis=1, begin=1, end=None)
        return self.layer(x, y, noise, F.concat(first, 0.0 * first, rest, dim=1))


def test_all_hidden_is_nothing():
    x, y = data(2, 4, 2)
    seen = np.array([[0.0] * 4, [1.0, 1.0, 0.0, 1.0]])
    loss, gradients, _ = masked(x, np.where(seen == 1, y, np.nan), seen, noise_variance=0.3)
    assert abs(loss[0]) < 1e-14
    assert all(np.isfinite(g).all() for g in gradients)
    predictor = ready(simple_layer()).condition(x, y, mask=seen)
    mean, variance = (a.asnumpy() for a in predictor(nd(x)))
    np.testing.assert_allclose(mean[0], 0.0, atol=1e-15)
    np.testing.assert_allclose(variance[0], 1.7, rtol=1e-14)


def test_what_no_mask_hides_names_its_row():
    x, y = data(2, 6, 2)
    seen = np.ones((2, 6))
    seen[1, 4] = 0
    x[1, 4] = y[1, 4] = np.nan
    layer = ready(simple_layer())
    assert np.isfinite(layer(*nd(x, y), None, nd(seen)).asnumpy()).all()
    for broken in (x, y):
        kept = broken[1, 2].copy()
        broken[1, 2] = np.nan
        with pytest.raises(gl.errors.NonFiniteError, match="Row 2 of batch element 1"):
            layer(*nd(x, y), None, nd(seen))
        with pytest.raises(gl.errors.NonFiniteError, match="Row 2 of batch element 1"):
            layer.condition(x, y, mask=seen)
        broken[1, 2] = kept
    with pytest.raises(ValueError, match="other than 0 and 1"):
        layer(*nd(x, y), None, nd(0.5 * seen))


# Published figures.


def co2_kernel():
    return (
        k.RBF(66.0**2, 67.0)
        + k.RBF(2.4**2, 90.0) * k.Periodic(1.0, 1.3, 1.0)
        + k.RationalQuadratic(0.66**2, 1.2, 0.78)
        + k.RBF(0.18**2, 0.134)
    )


def co2_layer(**options):
    return gl.GPLikelihoodLayer(co2_kernel(), noise_variance=0.0361, **options)


def value_and_gradient(layer, x, y):
    dtype = layer.dtype
    x, y = nd(x[None, :, None], dtype=dtype), nd(y[None], dtype=dtype)
    with mx.autograd.record():
        loss = layer(x, y)
    loss.backward()
    gradients = [p.grad().asnumpy() for p in layer.collect_params().values()]
    return loss.asscalar(), np.concatenate(gradients).astype("float64")


def test_mauna_loa():
    """Rasmussen & Williams, section 5.4.3, at scikit-learn's hyperparameters."""
    x, y = reference.co2()
    assert len(x) == 521
    loss, _ = value_and_gradient(ready(co2_layer()), x, y)
    assert abs(loss - 117.0227) < 1e-3


def test_mauna_loa_in_float32():
    """Condition number 1e8: float32 says so, and `precision` is the remedy."""
    x, y = reference.co2()
    x = x - x.mean()  # years themselves are rounded to 1e-4 by float32
    exact, gradient = value_and_gradient(ready(co2_layer()), x, y)
    loss, found = value_and_gradient(ready(co2_layer(precision="float64"), "float32"), x, y)
    assert abs(loss / exact - 1.0) < 1e-5
    assert np.abs(found - gradient).max() < 1e-5 * np.abs(gradient).max()
    np.testing.assert_allclose(found, gradient, rtol=1e-3)
    with pytest.raises(gl.errors.NotPositiveDefiniteError, match="float64"):
        value_and_gradient(ready(co2_layer(), "float32"), x, y)


def test_olympic_marathon():
    x, y = reference.olympic_marathon()
    layer = gl.GPLikelihoodLayer(k.RBF(1.0, 35.5265313636), noise_variance=0.00285998869872)
    loss, _ = value_and_gradient(ready(layer), x, y)
    assert abs(loss - 145.3328) < 1e-3


# Laws.


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.01, 100.0))
def test_scaling_the_targets(seed, factor):
    """y -> c y with variances c² larger adds n log c."""
    x, y = data(1, 6, 2, seed)
    base = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=0.3))
    scaled = ready(
        gl.GPLikelihoodLayer(k.RBF(1.7 * factor**2, 0.8), noise_variance=0.3 * factor**2)
    )
    difference = scaled(*nd(x, factor * y)).asscalar() - base(*nd(x, y)).asscalar()
    assert abs(difference - 6 * np.log(factor)) < 1e-9 * max(1.0, abs(difference))


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(7)))
def test_order_does_not_matter(order):
    x, y = data(1, 7, 2)
    layer = ready(simple_layer())
    permuted = layer(*nd(x[:, order], y[:, order])).asscalar()
    assert abs(permuted - layer(*nd(x, y)).asscalar()) < 1e-11


@settings(deadline=None, max_examples=20)
@given(st.floats(-1e3, 1e3), st.floats(0.01, 100.0))
def test_stationary_kernels_ignore_shifts_and_units(shift, unit):
    x, y = data(1, 7, 1)
    moved = gl.GPLikelihoodLayer(k.Matern32(1.7, 0.8 * unit), noise_variance=0.3)
    still = gl.GPLikelihoodLayer(k.Matern32(1.7, 0.8), noise_variance=0.3)
    a = ready(moved)(*nd(unit * (x + shift), y)).asscalar()
    assert abs(a - ready(still)(*nd(x, y)).asscalar()) < 1e-9


# Hard inputs.


def test_one_point():
    layer = ready(gl.GPLikelihoodLayer(k.RBF(), noise_variance=0.5))
    x, y = nd([[[0.0]]], [[2.0]])
    assert abs(-layer(x, y).asscalar() - -2.4550044206) < 1e-9
    mean, variance = layer.condition(x, y)(x)
    assert abs(mean.asscalar() - 4.0 / 3.0) < 1e-12
    assert abs(variance.asscalar() - 1.0 / 3.0) < 1e-12


def test_target_shapes():
    layer = ready(simple_layer())
    x, y = data(1, 3, 1)
    assert layer(*nd(x, y)).shape == (1,)
    for wrong in (y[0], y[..., None], y[:, :2], np.concatenate([y, y])):
        with pytest.raises(gl.errors.ShapeError, match="'y'"):
            layer(*nd(x, wrong))


def test_float32_at_large_offset():
    """The same decision and value as in float64, 300 lengthscales from the origin."""
    x = np.linspace(300.0, 301.0, 60)
    y = np.sin(6.0 * (x - 300.0))
    layer = gl.GPLikelihoodLayer(k.RBF(1.0, 0.2), noise_variance=0.01)
    loss, _ = value_and_gradient(ready(layer), x, y)
    assert abs(-loss - 60.9050698070) < 1e-8
    layer = gl.GPLikelihoodLayer(k.RBF(1.0, 0.2), noise_variance=0.01)
    loss32, _ = value_and_gradient(ready(layer, "float32"), x, y)
    assert abs(loss32 / loss - 1.0) < 1e-4


def test_semidefinite_by_rounding_only():
    x = np.linspace(0.0, 1.0, 60)
    y = np.sin(6.0 * x)
    plain = ready(gl.GPLikelihoodLayer(k.RBF(), noise_variance=None), "float32")
    for hybridize in (False, True):
        plain.hybridize(hybridize)
        with pytest.raises(gl.errors.NotPositiveDefiniteError, match="jitter.*float64"):
            value_and_gradient(plain, x, y)
    repaired = ready(gl.GPLikelihoodLayer(k.RBF(), noise_variance=None, jitter="auto"), "float32")
    loss, gradient = value_and_gradient(repaired, x, y)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


def test_nan_is_named_in_every_mode(tmp_path):
    x, y = data(3, 5, 2)
    for broken in ("x", "y"):
        inputs = {"x": x.copy(), "y": y.copy()}
        inputs[broken][1, 2] = np.nan
        for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
            layer = ready(simple_layer(prefix="broken_gp_"))
            if flags is not None:
                layer.hybridize(**flags)
            with pytest.raises(gl.errors.NonFiniteError, match="broken_gp.*1 of 3"):
                layer(*nd(inputs["x"], inputs["y"]))
            assert np.isfinite(layer(*nd(x, y)).asnumpy()).all()


def test_dtypes_and_devices_are_checked():
    layer = ready(simple_layer())
    x, y = data(2, 5, 2)
    with pytest.raises(gl.errors.DtypeError, match="float16"):
        layer(*nd(x, y, dtype="float16"))
    with pytest.raises(gl.errors.DtypeError, match="cast"):
        layer(*nd(x, y, dtype="float32"))
    with pytest.raises(gl.errors.DtypeError, match="mixed"):
        layer(nd(x), nd(y, dtype="float32"))
    with pytest.raises(TypeError, match="ndarray"):
        layer(x, y)
    other = mx.nd.array(y, dtype="float64", ctx=mx.Context("cpu", 1))
    with pytest.raises(gl.errors.ContextError, match="mixed"):
        layer(nd(x), other)
    with pytest.raises(gl.errors.DtypeError, match="float16"):
        layer.cast("float16")


def test_refuses_bad_arguments():
    for arguments in (
        {"noise_variance": -1.0},
        {"jitter": "always"},
        {"jitter": -1e-6},
        {"mean": "quadratic"},
        {"precision": "float16"},
    ):
        with pytest.raises(ValueError):
            gl.GPLikelihoodLayer(k.RBF(), **arguments)
    with pytest.raises(TypeError):
        gl.GPLikelihoodLayer("rbf")


def test_deferred_shapes_settle_with_and_without_optional_inputs():
    """A Dense mean whose input size is not given, in a layer that may get known noise."""
    x, y = data(2, 5, 3)
    noise = np.full((2, 5), 0.2)
    values = []
    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        for inputs in ((x, y), (x, y, noise)):
            layer = simple_layer(mean="linear")
            layer.initialize()
            layer.cast("float64")
            if flags is not None:
                layer.hybridize(**flags)
            values.append(layer(*nd(*inputs)).asnumpy())
    for without, with_noise in zip(values[2::2], values[3::2]):
        np.testing.assert_allclose(without, values[0], rtol=1e-13)
        np.testing.assert_allclose(with_noise, values[1], rtol=1e-13)


def test_frozen_parameters_stay():
    layer = ready(gl.GPLikelihoodLayer(k.Periodic(1.0, 1.0, 2.0), noise_variance=0.1))
    layer.kernel.period.grad_req = "null"
    trainer = mx.gluon.Trainer(layer.collect_params(), "adam", {"learning_rate": 0.1})
    x, y = data(1, 8, 1)
    losses = []
    for _ in range(5):
        with mx.autograd.record():
            loss = layer(*nd(x, y))
        loss.backward()
        trainer.step(1)
        losses.append(loss.asscalar())
    assert losses[-1] < losses[0]
    assert layer.kernel.period.value() == pytest.approx(2.0, rel=1e-15)
    assert layer.kernel.lengthscale.value() != 1.0


def test_formula_module_is_not_the_package():
    """The oracle must stay independent of what it checks."""
    for module in (reference, formulas):
        with open(module.__file__) as file:
            assert "gluon_linalg" not in file.read()
