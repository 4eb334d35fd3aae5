"""Functions of symmetric matrices in every mode."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg

import gluon_linalg as gl
from gluon_linalg import errors
from gluon_linalg.blocks.matrix_function import (
    MatrixExpBlock,
    MatrixLogBlock,
    MatrixPowerBlock,
    MatrixSqrtBlock,
    NearestPSDBlock,
)
from harness import check_block
from harness.modes import MODES, evaluate, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def positive_definite(batch, n, seed=0):
    """Eigenvalues between 1 and 4, well separated."""
    random = np.random.RandomState(seed)
    q = np.stack([np.linalg.qr(random.randn(n, n))[0] for _ in range(batch)])
    return q * np.linspace(1.0, 4.0, n) @ q.transpose(0, 2, 1)


def lifted(a, floor):
    """½(B + (B²)^½) + φ I with B = A - φ I: the positive part by a root."""
    b = a - floor * np.eye(len(a))
    return 0.5 * (b + scipy.linalg.sqrtm(b @ b)) + floor * np.eye(len(a))


BLOCKS = {
    "sqrt": (MatrixSqrtBlock, scipy.linalg.sqrtm),
    "inverse sqrt": (
        lambda: MatrixSqrtBlock(inverse=True),
        lambda a: np.linalg.inv(scipy.linalg.sqrtm(a)),
    ),
    "log": (MatrixLogBlock, scipy.linalg.logm),
    "exp": (MatrixExpBlock, scipy.linalg.expm),
    "power": (
        lambda: MatrixPowerBlock(1.7),
        lambda a: scipy.linalg.fractional_matrix_power(a, 1.7),
    ),
    "negative power": (
        lambda: MatrixPowerBlock(-2),
        lambda a: np.linalg.inv(a @ a),
    ),
    "nearest psd": (
        lambda: NearestPSDBlock(floor=2.0),
        lambda a: lifted(a, 2.0),
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name, tmp_path):
    factory, function = BLOCKS[name]
    cases = [[positive_definite(2, 3)], [positive_definite(1, 1)], [positive_definite(3, 5)]]
    oracle = lambda a, _: np.stack([function(x) for x in a])  # noqa: E731
    check_block(factory, cases, tmp_path, oracle, symmetric=(0,))


@EVERY_MODE
@BOTH
def test_exponential_at_an_exact_tie(mode, dtype, tmp_path):
    """d tr(G exp A) at A = 2 I is e² G: MXNet's own syevd gives 0 beside the diagonal."""
    a = mx.nd.array([2.0 * np.eye(3)], dtype=dtype)
    weights = mx.nd.array([[[1, 2, 0], [2, 0, 0], [0, 0, 1]]], dtype=dtype)
    block = ready(MatrixExpBlock(), mode, a, tmp_path)
    found = evaluate(block, [a], [weights]).gradients[0]
    rounding = 1e-6 if dtype == "float32" else 1e-15
    np.testing.assert_allclose(found, np.exp(2.0) * weights.asnumpy(), rtol=rounding)


@EVERY_MODE
@BOTH
def test_values_and_gradients_at_ties(mode, dtype, tmp_path):
    """Of 4 I: f(4) I and f'(4) G."""
    a = mx.nd.array([4.0 * np.eye(2)] * 2, dtype=dtype)
    weights = mx.nd.array([[[1.0, 2.0], [2.0, 3.0]]] * 2, dtype=dtype)
    expected = {
        "sqrt": (2.0, 0.25),
        "inverse sqrt": (0.5, -0.0625),
        "log": (np.log(4.0), 0.25),
        "exp": (np.exp(4.0), np.exp(4.0)),
        "power": (4.0**1.7, 1.7 * 4.0**0.7),
        "negative power": (4.0**-2, -2 * 4.0**-3),
        "nearest psd": (4.0, 1.0),
    }
    rounding = 1e-6 if dtype == "float32" else 1e-15
    for name, (value, slope) in expected.items():
        block = ready(BLOCKS[name][0](), mode, a, tmp_path)
        result = evaluate(block, [a], [weights])
        np.testing.assert_allclose(result.outputs[0], value * np.stack([np.eye(2)] * 2), rounding)
        np.testing.assert_allclose(result.gradients[0], slope * weights.asnumpy(), rounding)


@pytest.mark.parametrize("mode", ["imperative", "hybridized", "static_shape"])
@BOTH
def test_matrices_that_have_no_value(mode, dtype, tmp_path):
    """The error names block and batch element, and the block goes on."""
    good = mx.nd.array([np.eye(2), 2 * np.eye(2)], dtype=dtype)
    singular, indefinite = np.ones((2, 2)), np.diag([3.0, -1.0])
    refused = {
        "sqrt": [indefinite],
        "inverse sqrt": [indefinite, singular],
        "log": [indefinite, singular, np.zeros((2, 2))],
        "power": [indefinite, singular],
    }
    for name, matrices in refused.items():
        block = ready(BLOCKS[name][0](), mode, good, tmp_path)
        for matrix in matrices:
            bad = mx.nd.array([np.eye(2), matrix], dtype=dtype)
            with pytest.raises(errors.NotPositiveDefiniteError) as caught:
                block(bad).asnumpy()
            assert block.name in str(caught.value)
            assert "batch elements: 1 of 2" in str(caught.value)
            assert np.isfinite(block(good).asnumpy()).all()
    block = ready(MatrixExpBlock(), mode, good, tmp_path)
    with pytest.raises(errors.NonFiniteError, match="too large"):
        block(mx.nd.array([np.eye(2), 1e3 * np.eye(2)], dtype=dtype)).asnumpy()


@EVERY_MODE
@pytest.mark.parametrize("name", BLOCKS)
def test_nan_and_infinity(name, mode, tmp_path):
    """A named error, or in an exported graph NaN for this batch element alone."""
    good = mx.nd.array([np.eye(2), 2 * np.eye(2)], dtype="float64")
    block = ready(BLOCKS[name][0](), mode, good, tmp_path)
    for matrix in ([[0, np.nan], [np.nan, np.inf]], [[np.inf, 0], [0, 1]]):
        bad = mx.nd.array([np.eye(2), matrix], dtype="float64")
        if mode == "exported":
            found = block(bad).asnumpy()
            assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()
        else:
            with pytest.raises(errors.NonFiniteError, match="NaN or infinity"):
                block(bad).asnumpy()


def test_an_exported_graph_marks_a_singular_matrix(tmp_path):
    good = mx.nd.array([np.eye(2), 2 * np.eye(2)], dtype="float64")
    block = ready(MatrixLogBlock(), "exported", good, tmp_path)
    found = block(mx.nd.array([np.ones((2, 2)), np.eye(2)], dtype="float64")).asnumpy()
    assert np.isnan(found[0]).all() and not found[1].any()


@pytest.mark.parametrize("power", ["2", None, np.nan, np.inf, True])
def test_a_power_is_a_number(power):
    with pytest.raises(ValueError, match="power is"):
        MatrixPowerBlock(power)
    with pytest.raises(ValueError, match="floor is"):
        NearestPSDBlock(power)


@EVERY_MODE
@BOTH
def test_the_nearest_correlation_has_a_cholesky_factor(mode, dtype, tmp_path):
    """Higham's 3 x 3 example, eigenvalues 1 ± √2 and 1; with a floor all else stays."""
    a = mx.nd.array([[[1, 1, 0], [1, 1, 1], [0, 1, 1]]], dtype=dtype)
    block = ready(NearestPSDBlock(floor=0.01), mode, a, tmp_path)
    found = block(a).asnumpy()[0].astype("float64")
    # The eigenvector of 1 - √2 is (1, -√2, 1) / 2.
    below = np.outer(*2 * [[0.5, -np.sqrt(0.5), 0.5]])
    expected = a.asnumpy()[0] + (0.01 - 1.0 + np.sqrt(2.0)) * below
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == "float32" else 1e-14)
    np.linalg.cholesky(found)


@BOTH
def test_an_eigenvalue_at_the_floor_counts_as_below(dtype):
    """Whatever sign LAPACK gives to those that are 0: A = x xᵀ, of which changes in x remain."""
    for seed in range(5):
        x = np.random.RandomState(seed).randn(5)
        weights = np.random.RandomState(9).randn(5, 5)
        a = mx.nd.array([np.outer(x, x)], dtype=dtype)
        a.attach_grad()
        with mx.autograd.record():
            loss = (NearestPSDBlock()(a) * mx.nd.array([weights], dtype=dtype)).sum()
        loss.backward()
        outside = np.eye(5) - np.outer(x, x) / (x @ x)
        symmetric = 0.5 * (weights + weights.T)
        expected = symmetric - outside @ symmetric @ outside
        rounding = 1e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(a.grad.asnumpy()[0], expected, atol=rounding)


def test_inverse_functions():
    a = mx.nd.array(positive_definite(2, 5), dtype="float64")
    again = MatrixExpBlock()(MatrixLogBlock()(a))
    np.testing.assert_allclose(again.asnumpy(), a.asnumpy(), atol=1e-13)
    root = MatrixSqrtBlock()(a)
    np.testing.assert_allclose(mx.nd.batch_dot(root, root).asnumpy(), a.asnumpy(), atol=1e-13)


def ready(block, mode, example, folder):
    block.initialize()
    return in_mode(block, mode, [example], folder)


@pytest.mark.parametrize("dtype, size", [("float32", 64), ("float32", 24), ("float64", 64)])
@pytest.mark.parametrize("flags", [None, {}])
def test_the_distance_of_equal_rank_deficient_covariances_is_0(dtype, size, flags):
    """tr(S + S - 2 (S^½ S S^½)^½), the Fréchet distance: the roots of rounding do not add up."""
    root = MatrixSqrtBlock()
    root.hybridize(flags is not None, **(flags or {}))
    for seed in range(5):
        random = np.random.RandomState(seed)
        x = random.randn(size // 4, size)
        s = mx.nd.array([np.cov(x.T)], dtype=dtype)
        half = root(s)
        inner = mx.nd.batch_dot(mx.nd.batch_dot(half, s), half)
        total, common = (np.trace(a.asnumpy()[0]) for a in (s, root(inner)))
        assert abs(2 * total - 2 * common) < 10 * np.finfo(dtype).eps * total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [100, 300])
def test_large_singular_matrices(dtype, size):
    """LAPACK leaves n/7 ε where eigenvalues are 0: no error, and no gradient from rounding."""
    a = mx.nd.array(np.ones((1, size, size)), dtype=dtype)
    found = MatrixSqrtBlock()(a).asnumpy()
    np.testing.assert_allclose(found, np.full((1, size, size), size**-0.5), atol=1e-6)
    a.attach_grad()
    weights = mx.nd.array(np.random.RandomState(0).randn(1, size, size), dtype=dtype)
    with mx.autograd.record():
        total = (gl.EigBlock()(a)[0] * weights).sum()
    total.backward()
    # Turns of the eigenvector of the eigenvalue n, gap n, are all that is left.
    assert np.abs(a.grad.asnumpy()).max() < 1.0


def test_small_eigenvalues_that_are_no_rounding_keep_their_roots():
    """A wide spectrum in float32, no eigenvalue of which is negative."""
    values = np.logspace(0, -6, 7)
    a = np.diag(values)
    found = MatrixSqrtBlock()(mx.nd.array([a], dtype="float32")).asnumpy()[0]
    np.testing.assert_allclose(np.diag(found), np.sqrt(values), rtol=1e-5)
