"""Determinants and inverses of general matrices, singular ones among them."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.errors import NonFiniteError, SingularMatrixError
from harness.modes import MODES, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])
FLAGS = (None, {}, {"static_alloc": True, "static_shape": True})


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def cofactors(a):
    """By the definition: signed determinants of the minors."""
    found = np.zeros_like(a)
    for i, j in np.ndindex(a.shape):
        minor = np.delete(np.delete(a, i, 0), j, 1)
        found[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return found


def value_and_gradient(block, a, output=0):
    a.attach_grad()
    with mx.autograd.record():
        outputs = block(a)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        total = outputs[output].sum()
    total.backward()
    return [x.asnumpy() for x in outputs], a.grad.asnumpy()


@EVERY_MODE
@BOTH
def test_determinants_of_every_rank(mode, dtype, tmp_path):
    """The gradient is the matrix of cofactors, at full rank, at rank n - 1 and 0 below."""
    random = np.random.RandomState(0)
    matrices = np.array([random.randn(4, k) @ random.randn(k, 4) for k in (4, 3, 2, 1)])
    block = in_mode(gl.DetBlock(), mode, [nd(matrices, dtype)], tmp_path)
    (found,), gradient = value_and_gradient(block, nd(matrices, dtype))
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(found, np.linalg.det(matrices), atol=tolerance, rtol=tolerance)
    expected = [cofactors(a) for a in matrices]
    np.testing.assert_allclose(gradient, expected, atol=20 * tolerance)
    assert np.abs(expected[1]).max() > 1.0


@BOTH
@pytest.mark.parametrize("flags", FLAGS)
def test_a_singular_matrix_by_hand(dtype, flags):
    a = nd([[[1.0, 3.0], [2.0, 6.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]], dtype)
    block = gl.DetBlock()
    block.hybridize(flags is not None, **(flags or {}))
    (found,), gradient = value_and_gradient(block, a)
    np.testing.assert_array_equal(found, [0.0, 0.0, -1.0])
    expected = [[[6, -2], [-3, 1]], [[0, 0], [0, 0]], [[0, -1], [-1, 0]]]
    np.testing.assert_allclose(gradient, expected, atol=2e-6 if dtype == "float32" else 1e-14)


@EVERY_MODE
@BOTH
def test_the_logarithm_of_a_singular_matrix(mode, dtype, tmp_path):
    """(0, -inf); its gradient is an error, or NaN for the batch element alone."""
    good, bad = [[0.0, 2.0], [1.0, 0.0]], [[1.0, 3.0], [2.0, 6.0]]
    a = nd([good, bad], dtype)
    block = in_mode(gl.SLogDetBlock(prefix="volume_"), mode, [nd([good, good], dtype)], tmp_path)
    sign, logarithm = (x.asnumpy() for x in block(a))
    np.testing.assert_array_equal(sign, [-1.0, 0.0])
    np.testing.assert_allclose(logarithm, [np.log(2.0), -np.inf], rtol=1e-6)
    if mode == "imperative":
        with pytest.raises(SingularMatrixError, match="volume: .*no gradient.* 1 of 2"):
            value_and_gradient(block, a, output=1)
    else:
        _, gradient = value_and_gradient(block, a, output=1)
        assert np.isnan(gradient[1]).all()
        np.testing.assert_allclose(gradient[0], [[0.0, 0.5], [1.0, 0.0]], atol=1e-6)
    _, gradient = value_and_gradient(block, nd([good, good], dtype), output=1)
    np.testing.assert_allclose(gradient, [[[0.0, 0.5], [1.0, 0.0]]] * 2, atol=1e-6)


@BOTH
def test_rank_deficient_to_rounding_is_singular(dtype):
    random = np.random.RandomState(1)
    for n in (2, 5, 40):
        a = nd([random.randn(n, n - 1) @ random.randn(n - 1, n)], dtype)
        sign, logarithm = gl.SLogDetBlock()(a)
        assert sign.asscalar() == 0.0 and logarithm.asscalar() == -np.inf
        for flags in FLAGS:
            block = gl.InverseBlock(prefix="inverse_")
            block.hybridize(flags is not None, **(flags or {}))
            with pytest.raises(SingularMatrixError, match="inverse: .*singular.* 0 of 1"):
                block(a)


@pytest.mark.parametrize("flags", FLAGS)
def test_sizes_and_units(flags):
    """What is out of range in between is not in the result: 300 large and 300 small factors."""
    n = 300
    random = np.random.RandomState(2)
    rows = 10.0 ** np.where(np.arange(n) % 2, 5.0, -5.0)
    a = np.linalg.qr(random.randn(n, n))[0] * rows[:, None]
    block, logarithm = gl.DetBlock(), gl.SLogDetBlock()
    for each in (block, logarithm):
        each.hybridize(flags is not None, **(flags or {}))
    expected = np.linalg.slogdet(a / rows[:, None])[0]
    np.testing.assert_allclose(block(nd([a])).asscalar(), expected, rtol=1e-11)
    sign, found = logarithm(nd([1e100 * a]))
    assert sign.asscalar() == expected
    np.testing.assert_allclose(found.asscalar(), n * np.log(1e100), rtol=1e-13)
    with pytest.raises(NonFiniteError, match="too large.*SLogDetBlock"):
        block(nd([1e100 * a]))


@BOTH
def test_graded_matrices(dtype):
    """Units of rows and columns change the determinant by their product, and nothing else."""
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    for units in ([1e-15, 1e15], [1e15, 1e-12], [1e-10, 1e-10]):
        for scaled in (a * np.array(units)[:, None], a * np.array(units)):
            (found,), gradient = value_and_gradient(gl.DetBlock(), nd([scaled], dtype))
            np.testing.assert_allclose(found, -2.0 * np.prod(units), rtol=1e-5)
            np.testing.assert_allclose(gradient[0], cofactors(scaled), rtol=1e-5)
            outputs, gradient = value_and_gradient(gl.SLogDetBlock(), nd([scaled], dtype), 1)
            assert outputs[0][0] == -1.0
            np.testing.assert_allclose(gradient[0], np.linalg.inv(scaled).T, rtol=1e-5)
            inverse = gl.InverseBlock()(nd([scaled], dtype)).asnumpy()
            np.testing.assert_allclose(inverse[0], np.linalg.inv(scaled), rtol=1e-5)


@pytest.mark.parametrize("kind", [gl.DetBlock, gl.SLogDetBlock, gl.InverseBlock])
@pytest.mark.parametrize("flags", FLAGS)
def test_nan_is_reported(kind, flags):
    block = kind(prefix="general_")
    block.hybridize(flags is not None, **(flags or {}))
    for bad in (np.nan, np.inf):
        with pytest.raises(NonFiniteError, match="general: .*NaN.* 1 of 2"):
            block(nd([np.eye(2), [[1.0, bad], [0.0, 1.0]]]))


@BOTH
@pytest.mark.parametrize("flags", FLAGS)
def test_a_singular_matrix_to_be_inverted_is_named(dtype, flags):
    """At the call, with the name of the block and the elements, whatever the kind of singular."""
    block = gl.InverseBlock(prefix="inverse_")
    block.hybridize(flags is not None, **(flags or {}))
    good = np.eye(2)
    for bad in (np.zeros((2, 2)), np.ones((2, 2)), [[0.1, 0.3], [0.7, 2.1]], [[1e-9, 0], [1, 0]]):
        for _ in range(2):
            with pytest.raises(SingularMatrixError, match="inverse: .*singular.* 1, 3 of 4"):
                block(nd([good, bad, good, bad], dtype))
        np.testing.assert_array_equal(block(nd([good] * 4, dtype)).asnumpy(), [good] * 4)


@BOTH
def test_ill_conditioned_matrices_are_inverted(dtype):
    """Digits are left: the Hilbert matrix, whose inverse consists of whole numbers."""
    n = 4 if dtype == "float32" else 9
    i = np.arange(n)
    hilbert = 1.0 / (i[:, None] + i + 1.0)
    found = gl.InverseBlock()(nd([hilbert], dtype)).asnumpy()[0, 0, 0]
    assert abs(found - n * n) < 1e-2 * n * n
