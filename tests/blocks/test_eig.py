"""Eigendecomposition: signs, order, and gradients at every distance of eigenvalues."""

import mpmath as mp
import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import errors
from gluon_linalg.blocks.eig import EigBlock
from harness import check_block
from harness.modes import MODES, evaluate, in_mode

EPSILON = {"float64": 2.0**-53, "float32": 2.0**-24}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", EPSILON)
Q3 = np.linalg.qr(np.random.RandomState(0).randn(3, 3))[0]
WEIGHTS = np.array([[1.0, 2.0, -0.5], [0.25, -1.0, 3.0], [2.0, 0.5, 1.0]])
REFLECTION = np.eye(4) - 0.5


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def separated(batch, n, seed=0):
    """Eigenvalues between 1 and 4, well separated."""
    random = np.random.RandomState(seed)
    q = np.stack([np.linalg.qr(random.randn(n, n))[0] for _ in range(batch)])
    return q * np.linspace(1.0, 4.0, n) @ q.transpose(0, 2, 1)


def oracle(descending, top_k):
    """By NumPy, with the rule for signs in words: the first that is as large as the largest."""

    def decompose(a, _):
        eigenvalues, vectors = np.linalg.eigh(a)
        u = vectors.transpose(0, 2, 1).copy()
        for row in u.reshape(-1, u.shape[2]):
            large = [x for x in row if abs(x) >= 0.9990234375 * abs(row).max()]
            row *= np.sign(large[0])
        keep = slice(-top_k if top_k else None, None)
        u, eigenvalues = u[:, keep], eigenvalues[:, keep]
        return (u[:, ::-1], eigenvalues[:, ::-1]) if descending else (u, eigenvalues)

    return decompose


@pytest.mark.parametrize("top_k", [None, 1, 2])
@pytest.mark.parametrize("descending", [False, True])
def test_block(descending, top_k, tmp_path):
    cases = [[separated(2, 3)], [separated(3, 6)]] + ([] if top_k == 2 else [[separated(2, 1)]])
    check_block(
        lambda: EigBlock(descending=descending, top_k=top_k),
        cases,
        tmp_path,
        oracle(descending, top_k),
        symmetric=(0,),
    )


# Signs.


def vectors(a, dtype="float64", **options):
    return EigBlock(**options)(nd(a[None], dtype))[0].asnumpy()[0]


@BOTH
def test_signs_follow_permutations_and_not_the_scale(dtype):
    a = separated(1, 7, seed=3)[0]
    u = vectors(a, dtype)
    tolerance = 100.0 * EPSILON[dtype]
    for scale in (1e-8, 3.0, 1e8):
        np.testing.assert_allclose(vectors(scale * a, dtype), u, atol=tolerance)
    order = np.random.RandomState(1).permutation(7)
    permuted = vectors(a[np.ix_(order, order)], dtype)
    np.testing.assert_allclose(permuted, u[:, order], atol=tolerance)
    np.testing.assert_allclose(vectors(a, "float32"), u, atol=100.0 * EPSILON["float32"])


@BOTH
def test_equal_magnitudes_go_by_the_first(dtype):
    """Rounding must not choose: each of these differs from the others in the last digits."""
    exact = np.array([[2.0, 1.0], [1.0, 2.0]])
    for noise in (0.0, 8.0, -8.0):
        for scale in (1.0, 1 / 3, 1e8):
            changed = exact + noise * EPSILON[dtype] * np.array([[1.0, 0.0], [0.0, -1.0]])
            expected = np.sqrt(0.5) * np.array([[1.0, -1.0], [1.0, 1.0]])
            found = vectors(scale * changed, dtype)
            np.testing.assert_allclose(found, expected, atol=20.0 * EPSILON[dtype])


def test_signs_of_large_matrices():
    a = np.random.RandomState(5).randn(150, 150)
    u = vectors(a + a.T)
    np.testing.assert_array_equal(u[np.arange(150), abs(u).argmax(axis=1)] > 0, True)


# Gradients.


def gradient(a, weights, dtype, mode="imperative", folder=None, **options):
    """Of Σ weights ∘ (U, λ) in one matrix."""
    block = EigBlock(**options)
    block.initialize()
    array = nd(a[None], dtype)
    block = in_mode(block, mode, [array], folder)
    weights = [w if w is None else nd(w[None], dtype) for w in weights]
    return evaluate(block, [array], weights).gradients[0][0].astype("float64")


def exact_gradient(a, weights):
    """By differences in 60 digits, with the convention of symmetric matrices."""
    n = len(a)
    with mp.workdps(60):
        step = mp.mpf(10) ** -25 * abs(a).max()

        def loss(matrix):
            eigenvalues, columns = mp.eigsy(matrix)
            total = mp.mpf(0)
            for i in range(n):
                column = [columns[j, i] for j in range(n)]
                top = max(abs(x) for x in column)
                sign = mp.sign(next(x for x in column if abs(x) >= top * mp.mpf(1023) / 1024))
                total += sum(sign * x * w for x, w in zip(column, weights[0][i]))
                total += eigenvalues[i] * weights[1][i]
            return total

        result = np.zeros((n, n))
        for i, j in np.ndindex(n, n):
            direction = mp.zeros(n)
            direction[i, j] += mp.mpf(0.5)
            direction[j, i] += mp.mpf(0.5)
            up, down = (loss(mp.matrix(a.tolist()) + s * step * direction) for s in (1, -1))
            result[i, j] = float((up - down) / (2 * step))
    return result


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e8])
@BOTH
def test_near_ties(scale, gap, dtype):
    """Exact down to the conditioning, ε / gap, of the problem itself."""
    a = scale * (Q3 * [1.0, 1.0 + gap, 3.0]) @ Q3.T
    a = (0.5 * (a + a.T)).astype(dtype).astype("float64")
    weights = (WEIGHTS, np.array([1.0, -2.0, 0.5]))
    found = gradient(a, weights, dtype)
    if gap > 128.0 * 3.0 * EPSILON[dtype]:
        expected = exact_gradient(a, weights)
        bound = 40.0 * EPSILON[dtype] / gap * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound)
    else:
        # No rotation within the pair: nothing grows as the gap shrinks.
        assert np.abs(found).max() < 10.0
    assert np.array_equal(found, found.T)


@EVERY_MODE
@BOTH
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e8])
def test_exact_ties(scale, dtype, mode, tmp_path):
    """Pairs of equal eigenvalues are left out, the others are exact."""
    eigenvalues = np.array([1.0, 1.0, 2.0, 4.0])
    a = scale * (REFLECTION * eigenvalues) @ REFLECTION
    weights = np.random.RandomState(2).uniform(-1, 1, size=(4, 4))
    block = EigBlock()
    block.initialize()
    array = nd(a[None], dtype)
    block = in_mode(block, mode, [array], tmp_path)
    result = evaluate(block, [array], [nd(weights[None], dtype), None])
    u = result.outputs[0][0].astype("float64")
    gaps = scale * (eigenvalues[:, None] - eigenvalues)
    coefficients = np.divide(1.0, gaps, where=gaps != 0, out=np.zeros_like(gaps))
    expected = u.T @ (coefficients * (weights @ u.T)) @ u
    expected = 0.5 * (expected + expected.T)
    tolerance = 40.0 * EPSILON[dtype] * np.abs(expected).max()
    np.testing.assert_allclose(result.gradients[0][0], expected, atol=tolerance)


@BOTH
@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-9, 1e-4])
def test_projector_onto_a_tied_pair(gap, dtype):
    """What does not depend on the basis within the pair is exact, whatever the gap."""
    a = (REFLECTION * np.array([3.0, 3.0 + gap, 1.0, 2.0])) @ REFLECTION
    weights = separated(1, 4, seed=8)[0]
    array = nd(a[None], dtype)
    array.attach_grad()
    with mx.autograd.record():
        u, _ = EigBlock(top_k=2)(array)
        loss = (mx.nd.batch_dot(u, u, transpose_a=True) * nd(weights[None], dtype)).sum()
    loss.backward()
    inner = REFLECTION @ weights @ REFLECTION
    values = np.array([3.0, 3.0 + gap, 1.0, 2.0])
    cross = np.zeros((4, 4))
    for i in (0, 1):
        for j in (2, 3):
            cross[i, j] = cross[j, i] = inner[i, j] / (values[i] - values[j])
    expected = REFLECTION @ cross @ REFLECTION
    # The rotation within the pair cancels, but for rounding times 1 / gap.
    rounding = EPSILON[dtype] * (100.0 + (20.0 / gap if gap > 400.0 * EPSILON[dtype] else 0.0))
    np.testing.assert_allclose(array.grad.asnumpy()[0], expected, atol=rounding)


@EVERY_MODE
def test_eigenvalues_only(mode, tmp_path):
    """d Σ log λ is the inverse; at a tie the gradients of both eigenvalues have their trace."""
    block = EigBlock()
    block.initialize()
    a = nd([[[2.0, 1.0], [1.0, 3.0]]])
    block = in_mode(block, mode, [a], tmp_path)
    a.attach_grad()
    with mx.autograd.record():
        _, eigenvalues = block(a)
        loss = eigenvalues.log().sum()
    loss.backward()
    np.testing.assert_allclose(a.grad.asnumpy()[0], [[0.6, -0.2], [-0.2, 0.4]], rtol=1e-14)
    found = gradient(np.eye(3), (None, np.array([1.0, 2.0, 3.0])), "float64", mode, tmp_path)
    np.testing.assert_allclose(np.trace(found), 6.0, rtol=1e-14)


def test_zeros():
    found = gradient(np.zeros((3, 3)), (WEIGHTS, np.ones(3)), "float64")
    np.testing.assert_allclose(found, np.eye(3), atol=1e-15)


# Input that has no decomposition.


@EVERY_MODE
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [2, 8, 30])
def test_nan_and_infinity(n, value, mode, tmp_path):
    """A named error, or in an exported graph NaN for this batch element alone.

    MXNet's own syevd fails for the whole batch at n = 8 and gives some finite numbers at n = 30.
    """
    block = EigBlock()
    block.initialize()
    good = np.stack([np.diag(np.arange(1.0, n + 1)) + 0.1] * 2)
    block = in_mode(block, mode, [nd(good)], tmp_path)
    bad = good.copy()
    bad[0, n - 1, 0] = bad[0, 0, n - 1] = value
    if mode == "exported":
        for output in block(nd(bad)):
            assert np.isnan(output.asnumpy()[0]).all() and np.isfinite(output.asnumpy()[1]).all()
        return
    with pytest.raises(errors.NonFiniteError, match="batch elements: 0 of 2"):
        block(nd(bad))[1].asnumpy()
    assert np.isfinite(block(nd(good))[0].asnumpy()).all()


def test_nan_beside_infinity():
    with pytest.raises(errors.NonFiniteError, match="NaN or infinity"):
        EigBlock()(nd([[[0.0, np.nan], [np.nan, np.inf]]]))


def test_top_k_must_fit():
    with pytest.raises(errors.ShapeError, match="top_k is 3, but 'a' has 2 eigenvalues"):
        EigBlock(top_k=3)(nd(np.eye(2)[None]))
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="expected an integer of at least 1"):
            EigBlock(top_k=wrong)
