"""The filter as a recurrent cell: one by one equals the whole, in Gluon's networks and files."""

import mxnet as mx
import numpy as np
import pytest
from kalman_reference import ARGUMENTS, random_system
from test_kalman_diffuse import diffuse_system

import gluon_linalg as gl
from plain_mxnet import run_plain

SIZES = dict(B=2, T=6, d=3, p=2, time_varying=False, shared=True)
OUTPUTS = ("log_likelihood", "filtered", "innovations", "forecast", "forecast_variance")
# The views that these are part of.
WHOLE = ("log_likelihood", "filtered", "innovations", "predicted_observation")
MODES = [None, {}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}]


def system_of(q=0, **sizes):
    sizes = {**SIZES, **sizes}
    return diffuse_system(3, q, **sizes) if q else random_system(3, **sizes)


def cell_of(system, **options):
    arrays = {}
    for name in (*ARGUMENTS[1:7], "diffuse_directions", *ARGUMENTS[8:]):
        if name in system:
            array = system[name][0]
            is_prior = name.startswith(("prior", "diffuse"))
            arrays[name] = array if is_prior else array[0]
    cell = gl.KalmanCell(**arrays, **options)
    cell.initialize()
    cell.cast("float64")
    return cell


def inputs_of(system):
    """y and the mask beside each other, (B, T, 2 p), NaN where y is missing."""
    y = np.where(system["mask"] > 0, system["y"], np.nan)
    return mx.nd.array(np.concatenate([y, system["mask"]], axis=2), dtype="float64")


def unrolled(cell, inputs, **options):
    return cell.unroll(inputs.shape[1], inputs, merge_outputs=True, **options)


@pytest.mark.parametrize("flags", MODES, ids=str)
@pytest.mark.parametrize("q", [0, 2])
def test_one_by_one_equals_the_whole(q, flags):
    """Values and gradients, of parameters and of y, with missing elements."""
    system = system_of(q)
    cell, inputs = cell_of(system, outputs=OUTPUTS, masked=True), inputs_of(system)
    if flags is not None:
        cell.hybridize(**flags)
    names = [n for n in (*ARGUMENTS[:7], "diffuse_directions", *ARGUMENTS[7:]) if n in system]
    arrays = [mx.nd.array(system[name], dtype="float64") for name in names]
    for array in (*arrays, inputs):
        array.attach_grad()
    # With diffuse directions what is known at first is infinite, or nothing.
    later = slice(q, None)
    with mx.autograd.record():
        output, _ = unrolled(cell, inputs)
        parts = dict(
            zip(OUTPUTS, mx.nd.split_v2(output, tuple(np.cumsum(cell.sizes)[:-1].tolist()), 2))
        )
        loss = sum((parts[k][:, later] ** 2).sum() for k in OUTPUTS)
    loss.backward()
    with mx.autograd.record():
        found = gl.KalmanViewsLayer(3, 2, WHOLE, steps=1, diffuse=q).named(*arrays)
        right = {
            "log_likelihood": found["log_likelihood"][:, :-1].expand_dims(2),
            "filtered": found["filtered_mean"][:, :-1],
            "innovations": found["innovations"][:, :-1],
            "forecast": found["predicted_observation_mean"][:, 1:],
            "forecast_variance": mx.nd.stack(
                *(found["predicted_observation_covariance"][:, 1:, i, i] for i in range(2)), axis=2
            ),
        }
        total = sum((right[k][:, later] ** 2).sum() for k in OUTPUTS)
    total.backward()
    for name in OUTPUTS:
        a, b = parts[name].asnumpy()[:, later], right[name].asnumpy()[:, later]
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)
    for name, array in zip(names, arrays):
        if name == "mask":
            continue
        gradient = array.grad.asnumpy()
        own = inputs.grad.asnumpy()[:, :, :2] if name == "y" else getattr(cell, name).grad()
        own = np.asarray(own if name == "y" else own.asnumpy()).reshape(gradient.shape)
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(own, gradient, rtol=0, atol=1e-8 * scale, err_msg=name)


def test_backends_agree():
    system = system_of(2)
    inputs, found = inputs_of(system), []
    for backend in ("mxnet", "auto"):
        with gl.use_backend(backend):
            cell = cell_of(system, outputs=OUTPUTS, masked=True)
            output, states = unrolled(cell, inputs)
            found.append([a.asnumpy() for a in (output[:, 2:], states[0], states[2])])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_float32():
    system = system_of(1)
    inputs = inputs_of(system)
    right, _ = unrolled(cell_of(system, masked=True), inputs)
    cell = cell_of(system, masked=True)
    cell.cast("float32")
    found, _ = unrolled(cell, inputs.astype("float32"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.asnumpy(), right.asnumpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("flags", [None, MODES[-1]], ids=str)
def test_stacks_with_lstm_cells(flags):
    """In one network that is trained as a whole, the cell giving the likelihood of its input."""
    network = mx.gluon.rnn.HybridSequentialRNNCell()
    with network.name_scope():
        network.add(mx.gluon.rnn.LSTMCell(2, input_size=3))
        network.add(
            gl.KalmanCell(0.9 * np.eye(2), np.eye(2), np.eye(2), np.eye(2), prior_factor=np.eye(2))
        )
        network.add(mx.gluon.rnn.LSTMCell(1, input_size=2))
    mx.random.seed(1)
    network.initialize(mx.init.Normal(0.5))
    if flags is not None:
        network.hybridize(**flags)
    x = mx.nd.array(np.random.RandomState(0).randn(4, 5, 3))
    with mx.autograd.record():
        output, states = network.unroll(5, x, merge_outputs=True)
        loss = output.square().sum()
    loss.backward()
    assert output.shape == (4, 5, 1)
    assert len(states) == len(network.state_info())
    for name in ("transition", "emission", "process_factor", "prior_factor"):
        gradient = network[1].collect_params().get(name).grad().asnumpy()
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0
    single = [network(x[:, 0], network.begin_state(batch_size=4))[0].asnumpy()]
    np.testing.assert_allclose(output[:, 0].asnumpy(), single[0], rtol=1e-5, atol=1e-6)


def test_unrolls_inside_a_compiled_network():
    """Where the cell gets symbols, and states of which nobody knows the batch."""

    class Network(mx.gluon.HybridBlock):
        def __init__(self, cell):
            super().__init__()
            self.cell = cell

        def hybrid_forward(self, F, x):
            return self.cell.unroll(6, x, merge_outputs=True)[0]

    system = system_of()
    cell, inputs = cell_of(system, masked=True), inputs_of(system)
    right, _ = unrolled(cell, inputs)
    network = Network(cell)
    network.hybridize()
    np.testing.assert_allclose(network(inputs).asnumpy(), right.asnumpy(), rtol=1e-12)


@pytest.mark.parametrize("q", [0, 2])
def test_one_step_runs_without_this_package(q, tmp_path):
    system = system_of(q)
    cell, inputs = cell_of(system, outputs=("filtered", "forecast"), masked=True), inputs_of(system)
    states = cell.begin_state(2, dtype="float64")
    path = str(tmp_path / "step")
    gl.export(cell, path, inputs[:, 0], *states)
    step, right = gl.load(path), unrolled(cell, inputs)[0].asnumpy()
    for t in range(3):
        arrays = [inputs[:, t], *states]
        if t == 2:
            plain = run_plain(path, [a.asnumpy() for a in arrays], "float64", tmp_path)
            np.testing.assert_allclose(plain[0], right[:, t], rtol=1e-9, atol=1e-9)
        output, *states = step(*arrays)
        np.testing.assert_allclose(output.asnumpy(), right[:, t], rtol=1e-9, atol=1e-9)


def test_bad_arguments():
    eye = np.eye(2)
    with pytest.raises(TypeError, match="what is known of the first state is missing"):
        gl.KalmanCell(eye, eye, eye, eye)
    with pytest.raises(gl.errors.ShapeError, match="'emission' has shape .* but d is 2"):
        gl.KalmanCell(eye, np.eye(3), eye, eye, prior_factor=eye)
    with pytest.raises(ValueError, match="no output 'filterd'; did you mean 'filtered'"):
        gl.KalmanCell(eye, eye, eye, eye, prior_factor=eye, outputs="filterd")
    cell = gl.KalmanCell(eye, eye, eye, eye, prior_factor=eye)
    cell.initialize()
    with pytest.raises(TypeError, match="got 1 states, expected 4"):
        cell(mx.nd.zeros((1, 2)), mx.nd.zeros((1, 2)))
    with pytest.raises(gl.errors.NonFiniteError, match="y has NaN"):
        cell(mx.nd.full((1, 2), np.nan), cell.begin_state(1))
    cell.transition.set_value(np.nan)
    with pytest.raises(gl.errors.NonFiniteError, match="transition has NaN"):
        cell(mx.nd.zeros((1, 2)), cell.begin_state(1))


@pytest.mark.parametrize("flags", MODES, ids=str)
def test_what_is_not_finite_or_does_not_fit_is_named_in_each_mode(flags):
    eye = np.eye(2)
    cell = gl.KalmanCell(eye, eye, eye, eye, prior_factor=eye)
    cell.initialize()
    if flags is not None:
        cell.hybridize(**flags)
    y = mx.nd.ones((3, 2))
    with pytest.raises(gl.errors.NonFiniteError, match="y has NaN .*batch element 1"):
        cell(mx.nd.array([[1, 2], [np.nan, 1], [1, 2]]), cell.begin_state(3))
    output, _ = cell(y, cell.begin_state(3))  # (1 + 1)⁻¹ of the way to y
    np.testing.assert_allclose(output.asnumpy(), 0.5, rtol=1e-6)
    for given in (mx.nd.ones((3, 3)), mx.nd.ones((2,)), mx.nd.ones((3, 1, 2))):
        with pytest.raises(gl.errors.ShapeError, match=r"the input has shape .*here \(B, 2\)"):
            cell(given, cell.begin_state(3))
    with pytest.raises(gl.errors.ShapeError, match=r"state 1 of 4 has shape \(1, 2, 1\)"):
        cell(y, cell.begin_state(1))
    cell.observation_factor.set_value(0.0)
    cell.prior_factor.set_value(0.0)
    with pytest.raises(gl.errors.LinearAlgebraError, match="batch element 0"):
        cell(y, cell.begin_state(3))
