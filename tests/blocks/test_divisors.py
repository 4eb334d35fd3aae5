"""The divisors of covariances, n or n - 1, as docs/numerics.md has them in a table."""

import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl

RANDOM = np.random.RandomState(4)
X, Y = RANDOM.randn(8, 2), RANDOM.randn(8, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1.0])
# Large: without a ridge LDA and CCA do not depend on the divisor.
RIDGE = 0.5


def array(values):
    return mx.nd.array(values[None], dtype="float64")


def pca(ddof):
    block = gl.PCABlock(2, momentum=None, details=True)
    block.initialize()
    found = block(array(X))[2].asnumpy()[0], gl.PCABlock(2).fit(X).values
    return found, 2 * [np.linalg.eigvalsh(np.cov(X.T, ddof=ddof))[::-1]]


def ppca(ddof):
    layer = gl.PPCALikelihoodLayer(1)
    layer.cast("float64")
    return layer.fit(X).noise_variance.value(), np.linalg.eigvalsh(np.cov(X.T, ddof=ddof))[:1]


def whitening(ddof):
    block = gl.WhiteningBlock(momentum=None, epsilon=1e-14)
    block.initialize()
    return np.cov(block(array(X)).asnumpy()[0].T, ddof=ddof), np.eye(2)


def lda(ddof):
    means = np.array([X[c == LABELS].mean(axis=0) for c in range(3)])[LABELS.astype(int)]
    residual, centred = X - means, means - X.mean(axis=0)
    within = residual.T @ residual / (len(X) - ddof) + RIDGE * np.eye(2)
    ratio = np.linalg.solve(within, centred.T @ centred / (len(X) - ddof))
    found = gl.LDABlock(3, ridge=RIDGE).fit(X, LABELS).values
    return found, np.sort(np.linalg.eigvals(ratio).real)[::-1]


def cca(ddof):
    joint = np.cov(np.concatenate([X, Y], axis=1).T, ddof=ddof)
    xx, xy, yy = joint[:2, :2] + RIDGE * np.eye(2), joint[:2, 2:], joint[2:, 2:] + RIDGE * np.eye(2)
    squares = np.linalg.eigvals(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T)).real
    return gl.CCABlock(2, ridge=RIDGE).fit(X, Y)[0].values, np.sqrt(np.sort(squares)[::-1])


CASES = {
    "PCABlock": pca,
    "PPCALikelihoodLayer": ppca,
    "WhiteningBlock": whitening,
    "LDABlock": lda,
    "CCABlock": cca,
}


def table():
    page = Path(__file__).resolve().parents[2] / "docs" / "numerics.md"
    rows = re.findall(r"^\| `(\w+)` *\| (n(?: - 1)?) *\|", page.read_text(encoding="utf-8"), re.M)
    return dict(rows)


def test_table_is_whole():
    assert set(table()) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_divisor(name):
    found, expected = CASES[name]({"n": 0, "n - 1": 1}[table()[name]])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    _, other = CASES[name]({"n": 1, "n - 1": 0}[table()[name]])
    if name != "WhiteningBlock":
        assert np.abs(np.subtract(expected, other)).max() > 1e-3
