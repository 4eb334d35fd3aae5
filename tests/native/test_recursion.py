"""Recursions over time in C++ against loops in NumPy, gradients by complex step."""

import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.functional import recursion
from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

# T and B of the matrix, of the offset and of the initial state.
AXES = {
    "all over time and batch": ((4, 9), (4, 9), 9),
    "one matrix": ((1, 1), (4, 9), 1),
    "one offset": ((4, 1), (1, 3), 3),
    "one for each element": ((1, 3), (4, 1), 1),
    "one element": ((4, 1), (4, 1), 1),
    "one time": ((1, 3), (1, 3), 3),
}


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


def looped(kind, matrix, offset, initial, reverse):
    """x_1 = initial, x_{t+1} = Φ_t x_t + c_t, or Φ_t x_t Φ_tᵀ + c_t, of the arrays of an operator.

    Also for the extended and complex numbers of NumPy.
    """
    T, B = (max(matrix.shape[k], offset.shape[k]) for k in (1, 2))
    B = max(B, initial.shape[2])
    matrix = np.broadcast_to(matrix[0], (T, B, *matrix.shape[3:]))
    offset = np.broadcast_to(offset[0], (T, B, *offset.shape[3:]))
    state, states = np.broadcast_to(initial[0, 0], offset.shape[1:]), []
    for t in reversed(range(T)) if reverse else range(T):
        states.append(state)
        moved = np.einsum("bij,bjk->bik", matrix[t], state)
        if kind == "quadratic":
            moved = np.einsum("bij,bkj->bik", moved, matrix[t])
        state = moved + offset[t]
    return np.stack(states[::-1] if reverse else states)[None]


def arrays_of(kind, axes, random):
    (matrix_axes, offset_axes, batch), d = AXES[axes], 3
    columns = d if kind == "quadratic" else 2
    matrix = 0.6 * random.randn(1, *matrix_axes, d, d)
    return matrix, random.randn(1, *offset_axes, d, columns), random.randn(1, 1, batch, d, columns)


@pytest.mark.parametrize("kind", ["affine", "quadratic"])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("reverse", [False, True])
def test_states_and_gradients(door, kind, axes, reverse):
    random = np.random.RandomState(3)
    arrays = arrays_of(kind, axes, random)
    exact = [array.astype(np.longdouble) for array in arrays]
    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5)):
        given = [array.astype(dtype) for array in arrays]
        node = door.call(f"{kind}_recursion", *given, reverse=reverse)
        expected = looped(kind, *exact, reverse)
        np.testing.assert_allclose(node.outputs[0], expected, rtol=tolerance, atol=10 * tolerance)
        head = random.randn(*expected.shape)
        for position, gradient in enumerate(node.backward(head)):
            direction = random.randn(*arrays[position].shape)
            moved = list(arrays)
            moved[position] = arrays[position] + 1e-25j * direction
            terms = head * looped(kind, *moved, reverse).imag / 1e-25
            difference = abs((gradient * direction).sum() - terms.sum())
            assert difference <= tolerance * (1.0 + abs(terms).sum())


def test_failing_elements_leave_their_neighbours_alone(door):
    arrays = arrays_of("affine", "all over time and batch", np.random.RandomState(3))
    expected = door.call("affine_recursion", *arrays)
    arrays[1][0, 1, 4] = np.nan
    node = door.call("affine_recursion", *arrays)
    others = np.arange(9) != 4
    np.testing.assert_array_equal(node.outputs[0][:, :, others], expected.outputs[0][:, :, others])
    assert np.isnan(node.outputs[0][0, 2:, 4]).all()
    ones = np.ones_like(node.outputs[0])
    for found, gradient in zip(node.backward(ones), expected.backward(ones)):
        np.testing.assert_array_equal(found[:, :, others], gradient[:, :, others])


def test_what_follows_the_last_step_has_no_part(door):
    matrix, offset, initial = arrays_of(
        "affine", "all over time and batch", np.random.RandomState(3)
    )
    matrix[0, -1], offset[0, -1] = np.nan, np.nan
    node = door.call("affine_recursion", matrix, offset, initial)
    gradients = node.backward(np.ones_like(node.outputs[0]))
    assert np.isfinite(node.outputs[0]).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert not gradients[0][0, -1].any()


@pytest.mark.parametrize("batch", [1, 9])
def test_corrected(door, batch):
    random = np.random.RandomState(5)
    gain, matrix = random.randn(1, 4, batch, 2, 3), random.randn(1, 4, 1, 3, 2)
    target, initial = random.randn(1, 4, batch, 3, 2), random.randn(1, 1, 1, 2, 2)
    (found,) = door.forward("corrected_recursion", gain, matrix, target, initial)
    state = np.broadcast_to(initial[0, 0], (batch, 2, 2))
    for t in range(4):
        np.testing.assert_allclose(found[0, t], state, rtol=1e-12, atol=1e-12)
        state = gain[0, t] @ (target[0, t] - matrix[0, t] @ state)


def step_arrays(batch, random, d=3, p=2, r=2, times=4):
    """M, N = diag(D, G) and S."""
    noise = np.zeros((1, times, batch, p + d, p + r))
    noise[..., :p, :p] = np.tril(random.randn(1, times, batch, p, p))
    noise[..., p:, p:] = random.randn(1, times, batch, d, r)
    return random.randn(1, times, batch, p + d, d), noise, random.randn(1, 1, batch, d, d)


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
@pytest.mark.parametrize("batch", [1, 9])
def test_square_roots(door, batch, scale):
    d, p = 3, 2
    matrix, noise, factor = step_arrays(batch, np.random.RandomState(2))
    found = door.forward("square_root_recursion", matrix, scale * noise, scale * factor)
    lower, columns, free, roots = found
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_array_equal(roots[:, 0], scale * factor[:, 0])
    np.testing.assert_array_equal(roots[:, 1:], lower[:, :-1, :, p:, p:])
    lower, roots = lower / scale, roots / scale
    array = np.concatenate([matrix @ roots, noise], axis=-1)
    squares = array @ array.swapaxes(-1, -2)
    np.testing.assert_allclose(lower @ lower.swapaxes(-1, -2), squares, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(lower @ columns, array[..., :d], rtol=1e-12, atol=1e-12)
    whole = np.concatenate([columns, free], axis=-2)
    identity = np.broadcast_to(np.eye(d), (1, 4, batch, d, d))
    np.testing.assert_allclose(whole.swapaxes(-1, -2) @ whole, identity, atol=1e-14)


@pytest.mark.parametrize("batch", [1, 9])
def test_covariances(door, batch):
    d, p = 3, 2
    matrix, noise, factor = step_arrays(batch, np.random.RandomState(2))
    noise, prior = noise @ noise.swapaxes(-1, -2), factor @ factor.swapaxes(-1, -2)
    noise[0, 2, -1] -= 100.0 * np.eye(p + d)
    factors, gains, covariances = door.forward("covariance_recursion", matrix, noise, prior)
    covariance = prior[0, 0]
    for t in range(4):
        good = slice(None) if t < 2 else slice(0, batch - 1)
        spread = matrix[0, t] @ covariance @ matrix[0, t].swapaxes(-1, -2) + noise[0, t]
        spread = spread[good]
        expected = np.linalg.cholesky(spread[:, :p, :p])
        gain = np.linalg.solve(expected, spread[:, :p, p:]).swapaxes(-1, -2)
        np.testing.assert_allclose(factors[0, t, good], expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(gains[0, t, good], gain, rtol=1e-11, atol=1e-11)
        covariance = np.full((batch, d, d), np.nan)
        covariance[good] = spread[:, p:, p:] - gain @ gain.swapaxes(-1, -2)
        assert np.isnan(factors[0, t, -1]).any() == (t >= 2)
    np.testing.assert_allclose(
        covariances[0, 1], covariances[0, 1].swapaxes(-1, -2), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("batch", [0, 3])
def test_empty_arrays(door, batch):
    matrix, offset = np.ones((1, 4, batch, 2, 2)), np.ones((1, 4, 1, 2, 1))
    node = door.call("affine_recursion", matrix, offset, np.ones((1, 1, 1, 2, 1)))
    assert node.outputs[0].shape == (1, 4, batch, 2, 1)
    assert node.backward(np.ones_like(node.outputs[0]))[2].sum() == 30.0 * batch


def test_shapes_that_do_not_fit_are_refused(door):
    good = np.ones((1, 4, 3, 2, 2)), np.ones((1, 4, 3, 2, 1)), np.ones((1, 1, 3, 2, 1))
    for position, shape in ((0, (1, 5, 3, 2, 2)), (1, (1, 4, 2, 2, 1)), (2, (1, 1, 3, 3, 1))):
        arrays = list(good)
        arrays[position] = np.ones(shape)
        with pytest.raises(ValueError, match="do not fit|matrix"):
            door.call("affine_recursion", *arrays)


def test_gradients_are_added_or_left_out():
    import mxnet as mx

    random = np.random.RandomState(3)
    arrays = arrays_of("quadratic", "one matrix", random)
    with gl.use_backend("native"):
        matrix, offset, initial = (mx.nd.array(a, dtype="float64") for a in arrays)
        matrix.attach_grad("add")
        initial.attach_grad()
        for _ in range(2):
            with mx.autograd.record():
                found = recursion.quadratic_recursion(mx.nd, matrix, offset, initial)
            found.backward()
    with gl.use_backend("native"):
        node = Door(library.PATH).call("quadratic_recursion", *arrays)
    expected = node.backward(np.ones_like(node.outputs[0]))
    np.testing.assert_allclose(matrix.grad.asnumpy(), 2.0 * expected[0], rtol=1e-13)
    np.testing.assert_allclose(initial.grad.asnumpy(), expected[2], rtol=1e-13)
