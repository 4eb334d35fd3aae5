"""LQ and QR of dependent rows: gradients that exist are right, others are refused."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.errors import NonFiniteError, SingularMatrixError
from harness.modes import MODES, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])
KINDS = pytest.mark.parametrize("kind", [gl.LQBlock, gl.QRBlock])

GOOD = [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
DEPENDENT = {
    "to rounding": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]],
    "tenths": [[0.1, 0.7, 0.3], [0.3, 2.1, 0.9]],
    "equal": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]],
    "zero row": [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]],
    "zero first": [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]],
    "zero": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
}


def prepared(kind, mode, a, folder):
    block = kind(prefix="factors_")
    return in_mode(block, mode, [a], folder)


def stacked(kind, *matrices, dtype="float64"):
    values = np.array(matrices)
    if kind is gl.QRBlock:
        values = values.transpose(0, 2, 1)
    return mx.nd.array(values, dtype=dtype)


def gradient(block, a, loss):
    a.attach_grad()
    with mx.autograd.record():
        value = loss(*block(a)).sum()
    value.backward()
    return a.grad.asnumpy()


@EVERY_MODE
@BOTH
@KINDS
def test_the_sum_of_squares_has_its_gradient(kind, dtype, mode, tmp_path):
    """Σ L² = Σ A², with gradient 2 A, whatever the rank; nothing is raised."""
    block = prepared(kind, mode, stacked(kind, GOOD, GOOD, dtype=dtype), tmp_path)
    for matrix in DEPENDENT.values():
        a = stacked(kind, matrix, GOOD, dtype=dtype)
        found = gradient(block, a, lambda q, factor: factor * factor)
        np.testing.assert_allclose(
            found, 2 * a.asnumpy(), atol=1e-5 if dtype == "float32" else 1e-13
        )


@EVERY_MODE
def test_a_dependent_row_before_an_independent_one(mode, tmp_path):
    a = stacked(gl.LQBlock, [[1.0, 2, 3, 4], [2.0, 4, 6, 8], [1.0, 0, 1, 0], [3.0, 2, 1, 5]])
    found = gradient(prepared(gl.LQBlock, mode, a, tmp_path), a, lambda q, factor: factor * factor)
    np.testing.assert_allclose(found, 2 * a.asnumpy(), atol=1e-12)


@EVERY_MODE
@pytest.mark.parametrize("rank", [1, 2])
def test_functions_of_the_gram_matrix(rank, mode, tmp_path):
    """Σ W∘(L Lᵀ) = Σ W∘(A Aᵀ), with gradient (W + Wᵀ) A, where the last rows are dependent."""
    random = np.random.RandomState(rank)
    matrix = random.randn(4, rank) @ random.randn(rank, 6)
    weights = random.randn(4, 4)
    a = stacked(gl.LQBlock, matrix)
    w = mx.nd.array(weights[None], dtype="float64")
    # Q is not unique here, and an export wants what both backends agree on.
    example = stacked(gl.LQBlock, random.randn(4, 6))
    found = gradient(
        prepared(gl.LQBlock, mode, example, tmp_path),
        a,
        lambda q, factor: mx.nd.batch_dot(factor, factor, transpose_b=True) * w,
    )
    np.testing.assert_allclose(found[0], (weights + weights.T) @ matrix, rtol=1e-11, atol=1e-11)


@EVERY_MODE
@BOTH
@KINDS
def test_the_gradient_of_an_arbitrary_q_is_refused(kind, dtype, mode, tmp_path):
    """An error that names block and batch element, or NaN for that element alone."""
    weights = stacked(kind, [[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]], dtype=dtype)
    block = prepared(kind, mode, stacked(kind, GOOD, GOOD, dtype=dtype), tmp_path)

    def loss(q, factor):
        return mx.nd.broadcast_mul(q, weights)

    for matrix in DEPENDENT.values():
        a = stacked(kind, GOOD, matrix, dtype=dtype)
        if mode == "imperative":
            with pytest.raises(SingularMatrixError, match="factors: .*dependent.* 1 of 2"):
                gradient(block, a, loss)
        else:
            found = gradient(block, a, loss)
            assert np.isnan(found[1]).all() and np.isfinite(found[0]).all()
        # The process, the block and the well-posed gradient are still there.
        found = gradient(block, stacked(kind, GOOD, GOOD, dtype=dtype), loss)
        assert np.isfinite(found).all() and (found != 0).any()


@EVERY_MODE
@BOTH
def test_near_dependence_is_not_refused(dtype, mode, tmp_path):
    """Rows at an angle t: d q_2 / d a_2 = n nᵀ / t with n, the direction that neither spans."""
    t = 1e-3 if dtype == "float32" else 1e-8
    a = stacked(gl.LQBlock, [[1.0, 0.0, 0.0], [1.0, t, 0.0]], dtype=dtype)
    weights = stacked(gl.LQBlock, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=dtype)
    found = gradient(prepared(gl.LQBlock, mode, a, tmp_path), a, lambda q, _: q * weights)
    expected = np.array([[0.0, 0.0, -1.0 / t], [0.0, 0.0, 1.0 / t]])
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-5 / t)


@KINDS
def test_nan_is_reported(kind):
    for bad in (np.nan, np.inf):
        a = stacked(kind, GOOD, [[1.0, bad, 3.0], [2.0, 4.0, 1.0]])
        for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
            block = kind(prefix="factors_")
            block.hybridize(flags is not None, **(flags or {}))
            with pytest.raises(NonFiniteError, match="factors: .*NaN.* 1 of 2"):
                block(a)


def test_without_recording_nothing_is_refused():
    q, factor = gl.LQBlock()(stacked(gl.LQBlock, DEPENDENT["equal"]))
    rebuilt = mx.nd.batch_dot(factor, q).asnumpy()
    np.testing.assert_allclose(rebuilt[0], DEPENDENT["equal"], atol=1e-14)
