"""Singular value decomposition: accuracy, signs, and gradients of matrices of any rank."""

import mpmath as mp
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import errors
from gluon_linalg.blocks.svd import SVDBlock
from harness import check_block
from harness.modes import MODES, evaluate, in_mode
from plain_mxnet import run_plain

EPSILON = {"float64": 2.0**-53, "float32": 2.0**-24}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", EPSILON)
TALL = pytest.mark.parametrize("tall", [False, True])
RANDOM = np.random.RandomState(0)
U3 = np.linalg.qr(RANDOM.randn(3, 3))[0]
V5 = np.linalg.qr(RANDOM.randn(5, 5))[0]
WEIGHTS = tuple(RANDOM.uniform(-1, 1, size=shape) for shape in ((3, 3), (3,), (3, 5)))


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def wide(singular_values, dtype="float64"):
    """(3, 5) as the dtype has it."""
    return ((U3 * singular_values) @ V5[:3]).astype(dtype).astype("float64")


def separated(batch, m, n, seed=0):
    """Singular values between 1 and 3."""
    random = np.random.RandomState(seed)
    k = min(m, n)
    left = np.stack([np.linalg.qr(random.randn(m, m))[0] for _ in range(batch)])
    right = np.stack([np.linalg.qr(random.randn(n, n))[0] for _ in range(batch)])
    return left[:, :, :k] * np.linspace(3.0, 1.0, k) @ right[:, :k]


def oracle(a, _):
    u, s, v = np.linalg.svd(a, full_matrices=False)
    for left, right in zip(u.transpose(0, 2, 1), v):
        for column, row in zip(left, right):
            large = [x for x in row if abs(x) >= 0.9990234375 * abs(row).max()]
            column *= np.sign(large[0])
            row *= np.sign(large[0])
    return u, s, v


@TALL
def test_block(tall, tmp_path):
    cases = [[separated(2, 2, 3)], [separated(3, 4, 4)], [separated(2, 1, 1)], [separated(1, 1, 5)]]
    if tall:
        cases = [[x.transpose(0, 2, 1)] for (x,) in cases]
    check_block(lambda: SVDBlock(tall=tall), cases, tmp_path, oracle)


def decompose(a, dtype="float64", **options):
    return [x.asnumpy()[0].astype("float64") for x in SVDBlock(**options)(nd(a[None], dtype))]


def gradient(a, weights, dtype="float64", tall=False, mode="imperative", folder=None):
    block = SVDBlock(tall=tall)
    block.initialize()
    array = nd(a[None], dtype)
    block = in_mode(block, mode, [array], folder)
    weights = [w if w is None else nd(w[None], dtype) for w in weights]
    return evaluate(block, [array], weights).gradients[0][0].astype("float64")


# Values.


@BOTH
@TALL
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_accuracy(scale, tall, dtype):
    """Singular values to ε s_max, orthonormal vectors also of singular values that are 0."""
    bound = 20.0 * EPSILON[dtype]
    for singular in ([1.0, 1e-3, 1e-6], [1.0, 1e-12, 0.0], [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]):
        a = scale * wide(singular, dtype)
        u, s, v = decompose(a.T if tall else a, dtype, tall=tall)
        largest = scale * singular[0]
        np.testing.assert_allclose(s, scale * np.array(singular), rtol=0, atol=bound * largest)
        np.testing.assert_allclose(u.T @ u, np.eye(3), rtol=0, atol=bound)
        np.testing.assert_allclose(v @ v.T, np.eye(3), rtol=0, atol=bound)
        np.testing.assert_allclose((u * s) @ v, a.T if tall else a, rtol=0, atol=bound * largest)
        assert (s >= 0).all() and (np.diff(s) <= 0).all()


@TALL
def test_signs_follow_permutations(tall):
    """Rows of A, as observations in any order, change no component."""
    a = separated(1, 4, 6, seed=5)[0]
    a = a.T if tall else a
    u, s, v = decompose(a, tall=tall)
    order = np.random.RandomState(1).permutation(len(a))
    moved = decompose(a[order], tall=tall)
    for found, expected in zip(moved, (u[order], s, v)):
        np.testing.assert_allclose(found, expected, atol=1e-14)
    for scale in (1e-8, 1e8):
        np.testing.assert_allclose(decompose(scale * a, tall=tall)[2], v, atol=1e-14)
    assert (v[np.arange(4), abs(v).argmax(axis=1)] > 0).all()


# Gradients.


def exact_gradient(a, weights):
    """By differences in 60 digits."""
    with mp.workdps(60):
        step = mp.mpf(10) ** -25 * abs(a).max()

        def loss(matrix):
            u, s, v = mp.svd_r(matrix)
            total = mp.mpf(0)
            for i in range(3):
                row = [v[i, j] for j in range(5)]
                top = max(abs(x) for x in row)
                sign = mp.sign(next(x for x in row if abs(x) >= top * mp.mpf(1023) / 1024))
                total += sum(sign * u[j, i] * weights[0][j, i] for j in range(3))
                total += s[i] * weights[1][i] + sum(
                    sign * x * w for x, w in zip(row, weights[2][i])
                )
            return total

        result = np.zeros(a.shape)
        for index in np.ndindex(a.shape):
            direction = mp.zeros(*a.shape)
            direction[index] = step
            up, down = (loss(mp.matrix(a.tolist()) + s * direction) for s in (1, -1))
            result[index] = float((up - down) / (2 * step))
    return result


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-6, 1e-9, 1e-12, 0.0])
@pytest.mark.parametrize("small", [1.0, 1e-3])
@BOTH
def test_near_ties(small, gap, dtype):
    """Exact down to the conditioning of the problem, and bounded where vectors are not unique."""
    a = wide([2.0 + gap, 2.0, small], dtype)
    found = gradient(a, WEIGHTS, dtype)
    turned = gradient(a.T, (WEIGHTS[2].T, WEIGHTS[1], WEIGHTS[0].T), dtype, tall=True)
    if gap > 256.0 * EPSILON[dtype]:
        expected = exact_gradient(a, WEIGHTS)
        bound = 40.0 * EPSILON[dtype] / min(gap, small) * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound)
    else:
        assert np.abs(found).max() < 10.0 / small
    # Signs go by V in both, so that they differ between a matrix and its transpose.
    assert np.isfinite(turned).all() and np.abs(turned).max() < 2.0 * np.abs(found).max() + 10


@pytest.mark.parametrize("scale", [1e-8, 1e4, 1e8])
@BOTH
def test_gradients_at_scales(scale, dtype):
    """U and V have gradients ∝ 1/scale, s has the same at every scale."""
    a = wide([3.0, 2.0, 1.0], dtype)
    for weights, factor in (
        ((WEIGHTS[0], None, WEIGHTS[2]), 1.0 / scale),
        ((None, WEIGHTS[1], None), 1.0),
    ):
        expected = factor * gradient(a, weights)
        bound = 100.0 * EPSILON[dtype] * np.abs(expected).max()
        found = gradient(scale * a, weights, dtype)
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@TALL
@EVERY_MODE
def test_singular_values_at_ties(tall, mode, tmp_path):
    """d Σ s is U V, also where all singular values are equal."""
    for a in (np.eye(3, 4), 2.0 * V5[:3], wide([2.0, 1.0, 0.5])):
        a = a.T if tall else a
        found = gradient(a, (None, np.ones(3), None), "float64", tall, mode, tmp_path)
        u, _, v = np.linalg.svd(a, full_matrices=False)
        np.testing.assert_allclose(found, u @ v, atol=1e-14)


@TALL
@EVERY_MODE
@BOTH
@pytest.mark.parametrize("singular", [[2.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1, 1, 0]])
def test_rank_deficient(singular, dtype, mode, tall, tmp_path):
    a = wide(np.array(singular), dtype)
    weights = WEIGHTS
    if tall:
        a, weights = a.T, (WEIGHTS[2].T, WEIGHTS[1], WEIGHTS[0].T)
    found = gradient(a, weights, dtype, tall, mode, tmp_path)
    assert np.isfinite(found).all() and np.abs(found).max() < 20.0


@BOTH
def test_rank_one_approximation(dtype):
    """d <W, s₁ u₁ v₁ᵀ>, of A of rank one with small noise singular values that do not matter."""
    a = wide([2.0, 0.0, 0.0], dtype)
    weights = RANDOM.uniform(-1, 1, size=(3, 5))
    array = nd(a[None], dtype)
    array.attach_grad()
    with mx.autograd.record():
        u, s, v = SVDBlock()(array)
        u, s, v = u[:, :, :1], s[:, :1], v[:, :1]
        loss = (mx.nd.batch_dot(u * s.expand_dims(1), v) * nd(weights[None], dtype)).sum()
    loss.backward()
    left, right = U3[:, :1], V5[:1]
    # At rank one: W without its part that is outside on both sides.
    outside = (np.eye(3) - left @ left.T) @ weights @ (np.eye(5) - right.T @ right)
    bound = 40.0 * EPSILON[dtype]
    np.testing.assert_allclose(array.grad.asnumpy()[0], weights - outside, rtol=0, atol=bound)


@TALL
def test_reconstruction(tall):
    """The gradient of <W, U diag(s) V> is W."""
    a = wide([3.0, 2.0, 1e-3])
    weights = RANDOM.uniform(-1, 1, size=(3, 5))
    if tall:
        a, weights = a.T, weights.T
    array = nd(a[None])
    array.attach_grad()
    with mx.autograd.record():
        u, s, v = SVDBlock(tall=tall)(array)
        loss = (mx.nd.batch_dot(u * s.expand_dims(1), v) * nd(weights[None])).sum()
    loss.backward()
    np.testing.assert_allclose(array.grad.asnumpy()[0], weights, atol=1e-13)


def test_runs_without_this_package(tmp_path):
    """The operator is one of MXNet's NumPy mode, which plain MXNet need not switch on."""
    a = separated(2, 3, 5)
    with gl.use_backend("mxnet"):
        expected = SVDBlock()(nd(a))
    gl.export(SVDBlock(), str(tmp_path / "model"), nd(a))
    for found, wanted in zip(run_plain(tmp_path / "model", [a], "float64", tmp_path), expected):
        np.testing.assert_array_equal(found, wanted.asnumpy())


# Input that does not fit.


@pytest.mark.parametrize("tall, shape", [(False, (1, 3, 2)), (True, (1, 2, 3))])
def test_tall_and_wide_are_told_apart(tall, shape):
    with pytest.raises(errors.ShapeError, match=f"{shape[1]} rows and {shape[2]} columns"):
        SVDBlock(tall=tall)(mx.nd.ones(shape))


@EVERY_MODE
@pytest.mark.parametrize("shape", [(2, 3), (3, 5), (20, 30)])
def test_nan_and_infinity(shape, mode, tmp_path):
    """A named error, or in an exported graph NaN for this batch element alone.

    MXNet's own gesvd fails for the whole batch at most sizes.
    """
    block = SVDBlock()
    block.initialize()
    good = separated(2, *shape)
    block = in_mode(block, mode, [nd(good)], tmp_path)
    for value in (np.nan, np.inf):
        bad = good.copy()
        bad[1, 0, 2] = value
        if mode == "exported":
            for output in block(nd(bad)):
                found = output.asnumpy()
                assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()
        else:
            with pytest.raises(errors.NonFiniteError, match="batch elements: 1 of 2"):
                block(nd(bad))[1].asnumpy()
