"""Canonical correlation analysis in every mode."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA

import gluon_linalg as gl
from gluon_linalg import errors
from gluon_linalg.blocks.cca import CCABlock
from harness import check_block
from harness.modes import MODES, arrays, build, evaluate, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def views(batch, n, p, q, seed=0):
    """Two views of common causes, with a mean and different scales."""
    random = np.random.RandomState(seed)
    common = random.randn(batch, n, max(p, q))
    strength = np.linspace(1.0, 0.3, max(p, q))
    x = common[..., :p] * strength[:p] + 0.5 * random.randn(batch, n, p)
    y = common[..., :q] * strength[:q] + 0.5 * random.randn(batch, n, q)
    return x @ random.randn(p, p) + 2.0, 3.0 * y @ random.randn(q, q) - 1.0


def correlations(x, y, ridges=(0.0, 0.0)):
    """All of one pair of views, through matrix square roots."""
    p = x.shape[1]
    joint = np.cov(np.hstack([x, y]).T)
    x_root = scipy.linalg.sqrtm(joint[:p, :p] + ridges[0] * np.eye(p))
    y_root = scipy.linalg.sqrtm(joint[p:, p:] + ridges[1] * np.eye(y.shape[1]))
    t = np.linalg.solve(x_root, joint[:p, p:]) @ np.linalg.inv(y_root)
    return np.linalg.svd(t, compute_uv=False)


@pytest.mark.parametrize("k, ridge", [(2, 0.0), (1, (0.3, 0.1))])
def test_block(k, ridge, tmp_path):
    def oracle(x, y, _):
        ridges = ridge if isinstance(ridge, tuple) else (ridge, ridge)
        found = np.stack([correlations(a, b, ridges)[:k] for a, b in zip(x, y)])
        return [-found.sum(axis=1), found]

    factory = lambda: CCABlock(k, ridge, details=True)  # noqa: E731
    cases = [views(1, 6, 2, 2), views(2, 9, 3, 2), views(1, 9, 2, 4)]
    check_block(factory, cases[: 4 - k], tmp_path, oracle, float32=1e-3)


@EVERY_MODE
@BOTH
def test_correlations_are_not_squared(mode, dtype, tmp_path):
    """P8: 0.6 and not 0.36."""
    x, y = arrays([[[[1.0], [2], [3], [4]]], [[[2.0], [1], [4], [3]]]], dtype)
    block = in_mode(CCABlock(1, details=True), mode, [x, y], tmp_path)
    loss, found = block(x, y)
    np.testing.assert_allclose(found.asnumpy(), [[0.6]], rtol=1e-6)
    np.testing.assert_allclose(loss.asnumpy(), [-0.6], rtol=1e-6)


def test_order_of_columns_and_of_views():
    """P8: descending, and the same for permuted columns, exchanged views and mapped features."""
    x, y = views(1, 30, 3, 2)
    block = CCABlock(2, details=True)
    found = block(*arrays([x, y], "float64"))[1].asnumpy()
    assert found[0, 0] > found[0, 1]
    for a, b in ((x, y[..., ::-1]), (y, x), (x[..., [2, 0, 1]] @ np.diag([1, 1e4, -1e-4]), y)):
        again = block(*arrays([a, b], "float64"))[1].asnumpy()
        np.testing.assert_allclose(again, found, rtol=1e-10)


@EVERY_MODE
@BOTH
def test_equal_views(mode, dtype, tmp_path):
    """P10: all correlations tie at 1, the maximum: the gradient is finite, and 0."""
    x, _ = views(2, 9, 3, 3)
    example = arrays([x, x], dtype)
    for k in (1, 3):
        block = in_mode(CCABlock(k), mode, example, tmp_path)
        result = evaluate(block, arrays([x, x], dtype), arrays([np.ones(2)], dtype))
        rounding = 1e-12 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(result.outputs[0], [-k, -k], rtol=rounding)
        for gradient in result.gradients.values():
            assert np.abs(gradient).max() < rounding


@EVERY_MODE
@BOTH
def test_independent_views(mode, dtype, tmp_path):
    """P10: T = 0, where the sum of singular values has a kink: loss 0, and the gradient 0."""
    x = np.array([[[1.0], [-1], [1], [-1]]])
    y = np.array([[[1.0], [1], [-1], [-1]]])
    example = arrays([x, y], dtype)
    block = in_mode(CCABlock(1), mode, example, tmp_path)
    result = evaluate(block, example, arrays([np.ones(1)], dtype))
    np.testing.assert_allclose(result.outputs[0], [0.0], atol=1e-6)
    assert not any(gradient.any() for gradient in result.gradients.values())
    # One correlation 1, the other 0.
    example = arrays([np.dstack([x, x * y]), np.dstack([y, x + 0.5 * y])], dtype)
    block = in_mode(CCABlock(2), mode, example, tmp_path)
    result = evaluate(block, example, arrays([np.ones(1)], dtype))
    np.testing.assert_allclose(result.outputs[0], [-1.0], atol=1e-5)
    assert all(np.abs(gradient).max() < 1e-5 for gradient in result.gradients.values())


@EVERY_MODE
def test_gradient_at_a_tie(mode, tmp_path):
    """Both correlations 0.6: the trace norm is smooth there, whatever pairs LAPACK names."""
    x = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]] * 2)
    noise = np.array([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
    y = 0.6 * x + 0.8 * np.concatenate([noise, -noise]) * [1, 1]
    pair = [x[None], y[None]]
    random = np.random.RandomState(0)
    directions = [random.randn(1, 8, 2), random.randn(1, 8, 2)]
    gradients = {}
    for k in (1, 2):
        block = in_mode(CCABlock(k), mode, arrays(pair, "float64"), tmp_path)
        result = evaluate(block, arrays(pair, "float64"), arrays([np.ones(1)], "float64"))
        np.testing.assert_allclose(result.outputs[0], [-0.6 * k], rtol=1e-12)
        gradients[k] = result.gradients
    along = sum((gradients[2][i] * directions[i]).sum() for i in (0, 1))
    sides = [
        correlations(*(v[0] + h * d[0] for v, d in zip(pair, directions))).sum()
        for h in (1e-5, -1e-5)
    ]
    assert along == pytest.approx(-(sides[0] - sides[1]) / 2e-5, rel=1e-6)
    for i in (0, 1):
        np.testing.assert_allclose(2 * gradients[1][i], gradients[2][i], atol=1e-12)


@BOTH
def test_fit(dtype, tmp_path):
    """Scores of unit variance whose correlations are those of scikit-learn's scores."""
    x, y = (v[0].astype(dtype) for v in views(1, 60, 3, 4))
    x_block, y_block = CCABlock(2).fit(x, y)
    a = x_block(mx.nd.array(x[None], dtype=dtype))[0].asnumpy()
    b = y_block(mx.nd.array(y[None], dtype=dtype))[0].asnumpy()
    joint = np.cov(np.hstack([a, b]).T.astype("float64"))
    values = np.diag(x_block.values)
    expected = np.block([[np.eye(2), values], [values, np.eye(2)]])
    np.testing.assert_allclose(joint, expected, atol=1e-10 if dtype == "float64" else 1e-4)
    np.testing.assert_allclose(x_block.values, correlations(x, y)[:2], rtol=1e-6)
    peer = CCA(2, max_iter=10000, tol=1e-12).fit(x.astype("float64"), y.astype("float64"))
    scores = peer.transform(x.astype("float64"), y.astype("float64"))
    found = [np.corrcoef(u, v)[0, 1] for u, v in zip(scores[0].T, scores[1].T)]
    np.testing.assert_allclose(x_block.values, found, atol=1e-5)
    gl.export(x_block, str(tmp_path / "x"), mx.nd.array(x[None], dtype=dtype))


@pytest.mark.parametrize("seed", range(4))
def test_signs(seed):
    """The largest element of each direction of x is positive, and correlations are."""
    x, y = views(1, 20, 4, 4, seed)
    x_block, y_block = CCABlock(3).fit(x, y)
    matrix = x_block.matrix.data().asnumpy()
    assert (matrix[np.abs(matrix).argmax(axis=0), range(3)] > 0).all()
    scores = x_block(arrays([x], "float64")[0]) * y_block(arrays([y], "float64")[0])
    np.testing.assert_allclose(scores.sum(axis=1)[0].asnumpy() / 19, x_block.values, rtol=1e-9)


def test_fit_without_correlation():
    """Directions of unit variance also where the correlation is 0."""
    x = np.array([[1.0, 1], [-1, 1], [1, -1], [-1, -1]] * 2)
    y = np.repeat([[1.0], [-1.0]], 4, axis=0)
    for block in CCABlock(1).fit(x, y):
        matrix = block.matrix.data().asnumpy()
        assert abs((matrix**2).sum() * 8 / 7 - 1) < 1e-12 and abs(block.values[0]) < 1e-12


@BOTH
def test_singular_covariances(dtype):
    x, y = views(2, 9, 3, 2)
    x[1, :, 2] = x[1, :, 0] - x[1, :, 1]
    with pytest.raises(errors.SingularMatrixError, match="'x' is singular.*elements: 1 of 2"):
        CCABlock(2)(*arrays([x, y], dtype))
    with pytest.raises(errors.SingularMatrixError, match="'y' is singular"):
        CCABlock(2, ridge=(1e-3, 0.0))(*arrays([y, np.ones_like(y)], dtype))
    with pytest.raises(errors.SingularMatrixError, match="3 samples"):
        CCABlock(2)(*arrays(views(1, 3, 3, 2), dtype))
    wide = views(2, 3, 4, 5)
    result = evaluate(CCABlock(2, 0.1), arrays(wide, dtype), arrays([np.ones(2)], dtype))
    expected = [-correlations(a, b, (0.1, 0.1))[:2].sum() for a, b in zip(*wide)]
    np.testing.assert_allclose(result.outputs[0], expected, rtol=1e-4)
    assert all(np.isfinite(g).all() for g in result.gradients.values())


def test_ill_conditioned_views_in_float32():
    """Singular values of 1 to 1e-4, where float32 covariances would keep no digit."""
    x, y = views(1, 200, 4, 3)
    q, _ = np.linalg.qr(np.random.RandomState(1).randn(4, 4))
    x = (x - x.mean(axis=1)) @ np.diag([1, 1e-1, 1e-3, 1e-4]) @ q
    x, y = x.astype("float32"), y.astype("float32")
    found = CCABlock(3, details=True)(mx.nd.array(x), mx.nd.array(y))[1].asnumpy()[0]
    expected = build(lambda: CCABlock(3, details=True), "float64", [x, y])
    expected = expected(*arrays([x, y], "float64"))[1].asnumpy()[0]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_arguments():
    with pytest.raises(ValueError, match="k is 0"):
        CCABlock(0)
    with pytest.raises(ValueError, match="pair"):
        CCABlock(1, ridge=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="ridge"):
        CCABlock(1, ridge=-1.0)
    with pytest.raises(errors.ShapeError, match="at most 2"):
        CCABlock(3)(*arrays(views(1, 9, 3, 2), "float64"))
    x, y = views(1, 9, 3, 2)
    x[0, 0, 0] = np.inf
    with pytest.raises(errors.NonFiniteError, match="'x' contains"):
        CCABlock(2)(*arrays([x, y], "float64"))
