"""What all blocks share: parameters, casts, errors far from the cause, devices."""

import contextlib

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg.blocks.parameters import positive_parameter


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def network(*names):
    """Three layers, each a Cholesky factorization of the one before."""
    net = mx.gluon.nn.HybridSequential()
    for name in names:
        net.add(gl.CholeskyBlock(prefix=name))
    return net


@pytest.mark.parametrize("flags", [{}, {"static_alloc": True, "static_shape": True}])
def test_an_error_inside_a_compiled_network(flags):
    """Another's compiled network: the error says what to do, `explain` names the block.

    Operators in C++ give NaN for the batch element alone, in place of an error for all.
    """
    net = network("first_", "second_", "third_")
    net.hybridize(**flags)
    good, bad = nd([np.eye(2), np.eye(2)]), nd([np.eye(2), np.diag([1.0, -1.0])])
    net(good).wait_to_read()
    for _ in range(2):
        if gl.backend_status().native:
            found = net(bad).asnumpy()
            assert np.isnan(found[1]).all() and (found[0] == np.eye(2)).all()
        else:
            with pytest.raises(gl.errors.NotPositiveDefiniteError, match="explain"):
                net(bad).asnumpy()
        with pytest.raises(gl.errors.NotPositiveDefiniteError, match="first.*element 1 of 2"):
            gl.explain(net, bad)
        assert net[0]._active
        np.testing.assert_array_equal(net(good).asnumpy(), good.asnumpy())


def test_an_error_met_in_training_does_not_stop_the_next_step():
    net = network("only_")
    net.hybridize(static_alloc=True, static_shape=True)
    a = nd([np.diag([1.0, -1.0])])
    a.attach_grad()
    native = gl.backend_status().native
    error = pytest.raises(gl.errors.NotPositiveDefiniteError)
    with contextlib.nullcontext() if native else error:
        with mx.autograd.record():
            loss = net(a).sum()
        loss.backward()
        a.grad.wait_to_read()
    assert not native or np.isnan(a.grad.asnumpy()).all()
    b = nd([np.diag([4.0, 9.0])])
    b.attach_grad()
    with mx.autograd.record():
        loss = net(b).sum()
    loss.backward()
    np.testing.assert_allclose(b.grad.asnumpy()[0].diagonal(), [1 / 4, 1 / 6], rtol=1e-14)


def test_explain_returns_the_outputs_when_nothing_fails():
    net = network("fine_")
    net.hybridize()
    np.testing.assert_array_equal(gl.explain(net, nd([4 * np.eye(2)])).asnumpy(), [2 * np.eye(2)])


def test_errors_are_what_mxnet_users_catch():
    for error in (gl.errors.NotPositiveDefiniteError, gl.errors.NonFiniteError):
        assert issubclass(error, (mx.base.MXNetError, ValueError))
        assert issubclass(error, mx.base.MXNetError)
    with pytest.raises(mx.base.MXNetError, match="No square matrix"):
        mx.nd.linalg.potrf(mx.nd.ones((2, 3))).wait_to_read()


# Positive parameters.


@pytest.mark.parametrize("value", [1e-6, 0.0361, 1.0, 4356.0, 1e9])
def test_initial_values_are_exact(value):
    kernel = k.RBF(variance=value)
    assert kernel.variance.value() == pytest.approx(value, rel=1e-14)
    kernel.initialize()
    assert kernel.variance.value() == pytest.approx(value, rel=2e-6)
    kernel.cast("float64")
    assert kernel.variance.value() == pytest.approx(value, rel=1e-14)
    kernel.variance.set_value(2.0 * value)
    assert kernel.variance.value() == pytest.approx(2.0 * value, rel=1e-14)


def test_values_before_initialization():
    kernel = k.RBF(lengthscale=[1.0, 2.0])
    kernel.lengthscale.set_value([3.0, 4.0])
    kernel.initialize(mx.init.Xavier())
    np.testing.assert_allclose(kernel.lengthscale.value(), [3.0, 4.0], rtol=1e-6)
    with pytest.raises(gl.errors.ShapeError, match="lengthscale"):
        kernel.lengthscale.set_value(1.0)
    with pytest.raises(ValueError, match="lengthscale"):
        kernel.lengthscale.set_value([1.0, -1.0])


def test_training_survives_a_cast():
    """A trained number is cast, not set back to what it was given."""
    kernel = k.RBF()
    kernel.initialize()
    kernel.variance.set_data(mx.nd.array([0.5]))
    kernel.cast("float64")
    assert kernel.variance.data().asscalar() == 0.5


def test_shared_parameters_are_one():
    first = k.RBF(prefix="shared_")
    second = k.RBF(prefix="shared_", params=first.collect_params())
    assert first.lengthscale is second.lengthscale
    assert positive_parameter(first, "lengthscale", 5.0) is first.lengthscale


def test_values_never_reach_zero():
    kernel = k.RBF()
    kernel.initialize()
    kernel.lengthscale.set_data(mx.nd.array([-1e4]))
    kernel.variance.set_data(mx.nd.array([-1e4]))
    matrix = kernel(mx.nd.array([[[0.0], [1.0]]])).asnumpy()
    assert np.isfinite(matrix).all()
    assert (matrix[0].diagonal() > 0).all()


def test_parameters_save_and_load(tmp_path):
    layer = gl.GPLikelihoodLayer(k.RBF(3.0) + k.Linear(), mean="constant", noise_variance=0.2)
    layer.initialize()
    layer.save_parameters(str(tmp_path / "file.params"))
    other = gl.GPLikelihoodLayer(k.RBF() + k.Linear(), mean="constant", noise_variance=1.0)
    other.load_parameters(str(tmp_path / "file.params"))
    assert other.kernel.kernels[0].variance.value() == pytest.approx(3.0, rel=1e-6)
    assert other.noise_variance.value() == pytest.approx(0.2, rel=1e-6)


# dtype and device.


@pytest.mark.parametrize("first_call", [False, True])
def test_cast_before_and_after_the_first_call(first_call):
    layer = gl.GPLikelihoodLayer(k.RBF(), mean="linear", noise_variance=0.1)
    layer.initialize()
    layer.hybridize()
    x, y = np.random.RandomState(0).randn(1, 5, 2), np.ones((1, 5))
    if first_call:
        assert layer(nd(x, "float32"), nd(y, "float32")).dtype == np.float32
    layer.cast("float64")
    value = layer(nd(x), nd(y))
    assert value.dtype == np.float64
    layer.cast("float32")
    assert layer(nd(x, "float32"), nd(y, "float32")).dtype == np.float32
    assert abs(layer(nd(x, "float32"), nd(y, "float32")).asscalar() / value.asscalar() - 1) < 1e-5


def test_wrong_device_names_both():
    kernel = k.RBF()
    kernel.initialize(ctx=mx.cpu(0))
    x = mx.nd.array(np.zeros((1, 2, 1)), ctx=mx.cpu(1))
    for hybridize in (False, True):
        kernel.hybridize(hybridize)
        with pytest.raises(gl.errors.ContextError, match=r"cpu\(1\).*cpu\(0\)"):
            kernel(x)
    kernel.collect_params().reset_ctx(mx.cpu(1))
    assert kernel(x).context == mx.cpu(1)


def test_several_devices_hold_copies():
    kernel = k.RBF()
    kernel.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    for device in (mx.cpu(0), mx.cpu(1)):
        x = mx.nd.array(np.zeros((1, 2, 1)), ctx=device)
        assert (kernel(x).asnumpy() == 1.0).all()


def test_optional_arguments_may_change_from_call_to_call():
    x, y = mx.nd.array([[[0.0], [1.0]]]), mx.nd.array([[0.5, -0.5]])
    noise = mx.nd.array([[0.1, 0.2]])
    layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1)
    layer.initialize()
    expected = [layer(x, y).asscalar(), layer(x, y, noise).asscalar()]
    layer.hybridize(static_alloc=True, static_shape=True)
    for _ in range(2):
        found = [layer(x, y).asscalar(), layer(x, y, noise).asscalar()]
        assert abs(found[0] - expected[0]) < 1e-6 and abs(found[1] - expected[1]) < 1e-6


# Arguments by name.


def kalman_system():
    one = mx.nd.ones((1, 1, 1, 1), dtype="float64")
    return [one, one, one, one, nd([[0.0]]), nd([[[1.0]]])]


def by_name():
    """name: (block, required arguments, what may be given by name)"""
    x, y = np.random.RandomState(2).randn(2, 5, 2), np.random.RandomState(3).randn(2, 5)
    mask = np.ones((2, 5))
    mask[0, 2] = 0
    x, y, mask, noise = nd(x), nd(y), nd(mask), nd(0.1 + np.abs(y))
    gp = gl.GPLikelihoodLayer(k.RBF(), noise_variance=0.1)
    structural = gl.StructuralModel(
        gl.structural.LocalLevel(0.1) + gl.structural.Regression(2, prior=(0.0, 1.0))
    )
    model = gl.StructuralModel(gl.structural.LocalLevel(0.1))
    blocks = {
        "gp": (gp, [x, y], {"noise": noise}),
        "kernel": (k.RBF(), [x], {"z": -x}),
        "blr": (gl.BLRLikelihoodLayer(), [x, y], {"mask": mask}),
        "least squares": (gl.LeastSquaresBlock(), [x, y], {"weights": noise}),
        "kalman": (
            gl.KalmanFilterLayer(1),
            [y.expand_dims(axis=2), *kalman_system()],
            {"mask": mask.expand_dims(axis=2), "emission_offset": nd(np.ones((1, 1, 1)))},
        ),
        "model": (model, [y], {"mask": mask}),
        "regression": (structural, [y, x], {"mask": mask}),
        "solve": (gl.TriangularSolveBlock(), [nd([[[2.0]]]), nd([[[1.0]]])], {}),
    }
    for block, _, _ in blocks.values():
        block.initialize()
        block.cast("float64")
    return blocks


@pytest.mark.parametrize("flags", [None, {}, {"static_alloc": True, "static_shape": True}])
@pytest.mark.parametrize("name", by_name())
def test_every_argument_by_its_name(name, flags, tmp_path):
    block, required, options = by_name()[name]
    names = [argument for argument, _ in block.arguments]
    positions = required + [options.get(argument) for argument in names[len(required) :]]
    expected = block(*positions).asnumpy()
    assert not options or abs(expected - block(*required).asnumpy()).max() > 1e-3
    if flags is not None:
        block.hybridize(**flags)
    keywords = {**dict(zip(names, required)), **options}
    for found in (
        block(*required, **options),
        block(**dict(reversed(list(keywords.items())))),
        gl.explain(block, *required, **options),
    ):
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-12)
    gl.export(block, str(tmp_path / "model"), *required, **options)
    loaded = gl.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded(**keywords).asnumpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", by_name())
def test_wrong_arguments_by_name(name):
    block, required, _ = by_name()[name]
    first = block.arguments[0][0]
    with pytest.raises(TypeError, match=f"{block.name}: there is no argument 'nosie'"):
        block(*required, nosie=required[0])
    with pytest.raises(TypeError, match=f"{block.name}.*'{first}' is given twice"):
        block(*required, **{first: required[0]})
    with pytest.raises(TypeError, match=f"{block.name}.*without '{first}'"):
        block(**dict(zip([argument for argument, _ in block.arguments][1:], required[1:])))
    symbols = [mx.sym.var(f"input{i}") for i in range(len(required))]
    with pytest.raises(TypeError, match="no argument 'nosie'"):
        block(*symbols, nosie=symbols[0])


def test_methods_of_structural_models_take_names():
    block, (y,), options = by_name()["model"]
    expected = block.smooth(y, options["mask"])[0].asnumpy()
    assert abs(expected - block.smooth(y)[0].asnumpy()).max() > 1e-3
    np.testing.assert_array_equal(block.smooth(y=y, **options)[0].asnumpy(), expected)
    level, _ = block.decompose(y, **options)["level"]
    np.testing.assert_array_equal(level.asnumpy(), expected[:, :, 0])
    forecaster = block.forecaster(2)
    for own in (forecaster, forecaster):
        np.testing.assert_array_equal(
            own(y, **options)[0].asnumpy(), own(y, options["mask"])[0].asnumpy()
        )
        own.hybridize()
    with pytest.raises(TypeError, match="no argument 'covariates'; expected one of y, mask"):
        block.decompose(y, covariates=y)


# Axes that are missing or too many.


@pytest.mark.parametrize(
    "shapes, remedy",
    [
        (((2, 3, 3), (2, 3)), r"'b' .*an axis with array.expand_dims\(axis=2\)"),
        (((3, 3), (3, 3, 2)), r"'a' has shape \(3, 3\), expected 3 axes \(B, n, n\)\."),
        (((3, 3), (3, 2)), r"'a' .*batch axis with array.expand_dims\(axis=0\)"),
        (((1, 3, 3), (3, 2)), r"'b' .*batch axis with array.expand_dims\(axis=0\)"),
        (((2, 3, 3), (2, 3, 1, 1)), r"'b' .*array.squeeze\(axis=2\)"),
        (((1, 3, 3), (3, 1, 2, 1)), r"'b' has shape \(3, 1, 2, 1\), expected 3 axes \(B, n, k\)\."),
        (((2, 3, 3), (4, 2)), r"'b' has shape \(4, 2\), expected 3 axes \(B, n, k\)\."),
    ],
)
def test_the_remedy_for_axes_fits_the_other_arguments(shapes, remedy):
    with pytest.raises(gl.errors.ShapeError, match=remedy):
        gl.CholeskySolveBlock()(*(mx.nd.ones(shape) for shape in shapes))
