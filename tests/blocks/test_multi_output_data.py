"""The data of exact processes of several outputs: held out, more and fewer, against refits."""

import numpy as np
import pytest
import scipy.stats
from test_gp import nd, ready
from test_multi_output_gp import NEW, NOISE, SEEN, X, Y, close, covariances, layer, lmc

import gluon_linalg as gl
from plain_mxnet import run_plain

# By rows, (n k), so that folds of rows and of values are alike.
ORDER = np.arange(15).reshape(3, 5).T.reshape(-1)
EXTRA = np.random.RandomState(6).uniform(0.1, 0.4, Y.shape)
CASES = {
    "kronecker": (layer, {}),
    "mask": (layer, {"mask": SEEN}),
    "two kernels": (lmc, {"noise": EXTRA, "mask": SEEN}),
}


def refits(linear, folds, noise=0.0, mask=None):
    """Mean, variance and density (B, n, k) of each value by a regression on all other folds."""
    seen = np.ones_like(Y) if mask is None else mask
    found = np.zeros((3, 2, 15))
    for b in range(2):
        a = covariances(X[b : b + 1], X[b : b + 1], linear)[0][np.ix_(ORDER, ORDER)]
        a = a + np.diag((np.ones_like(Y) * NOISE + noise)[b].reshape(-1))
        y, known = Y[b].reshape(-1), seen[b].reshape(-1) == 1
        for i in np.flatnonzero(known):
            others = np.flatnonzero(known & (folds != folds[i]))
            solved = np.linalg.solve(a[np.ix_(others, others)], a[others, i])
            mean, variance = solved @ y[others], a[i, i] - solved @ a[others, i]
            density = scipy.stats.norm.logpdf(y[i], mean, np.sqrt(variance))
            found[:, b, i] = mean, variance, density
    return found.reshape(3, 2, 5, 3)


FOLDS = {
    "each value": (None, np.arange(15)),
    "each row": (5, np.repeat(np.arange(5), 3)),
    "rows": ([7, 1, 1, 7, 2], np.repeat([7, 1, 1, 7, 2], 3)),
    "values": (np.arange(15).reshape(5, 3) % 4, np.arange(15) % 4),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("which", FOLDS)
def test_held_out_values_are_those_of_refits(name, which):
    make, given = CASES[name]
    folds, flat = FOLDS[which]
    hidden = {**given, "y": Y if "mask" not in given else np.where(SEEN == 1, Y, np.nan)}
    predictor = ready(make()).condition(X, **hidden)
    right = refits(name == "two kernels", flat, given.get("noise", 0.0), given.get("mask"))
    for found, expected in zip(predictor.cross_validation(folds), right):
        close(found, expected)
    if folds is None:
        for found, expected in zip(predictor.leave_one_out(), right):
            close(found, expected)


@pytest.mark.slow
def test_a_view_of_folds_is_a_file(tmp_path):
    predictor = ready(layer()).condition(X, Y)
    block = predictor.view("cross_validation", folds=5)
    block.hybridize()
    other = Y[:, ::-1].copy()
    found = block(nd(other))
    for one, expected in zip(found, predictor.cross_validation(5, y=other)):
        close(one, expected.asnumpy())
    gl.export(block, str(tmp_path / "view"), nd(other))
    for plain, one in zip(run_plain(tmp_path / "view", [other], "float64", tmp_path), found):
        close(plain, one.asnumpy())
    with pytest.raises(ValueError, match="folds is 1"):
        predictor.cross_validation(1)
    with pytest.raises(ValueError, match=r"folds has shape \(1, 2\), expected \(5,\)"):
        predictor.cross_validation([[1, 2]])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-5)])
def test_updates_are_refits(name, dtype, tolerance):
    """Rows come, with hidden values among them, and rows go."""
    make, given = CASES[name]
    block = ready(make(), dtype)
    parts = [{key: value[:, s] for key, value in given.items()} for s in (np.s_[:3], np.s_[3:])]
    started = block.condition(X[:, :3], Y[:, :3], **parts[0])
    grown = started.with_observations(X[:, 3:], Y[:, 3:], **parts[1])
    kept = [0, 2, 4]
    shrunk = grown.without_observations([1, -2])
    fewer = {key: value[:, kept] for key, value in given.items()}
    pairs = (
        (grown, block.condition(X, Y, **given)),
        (shrunk, block.condition(X[:, kept], Y[:, kept], **fewer)),
    )
    for found, right in pairs:
        for view in ("mean", "variance", "covariance"):
            at = nd(NEW, dtype=dtype)
            close(getattr(found, view)(at), getattr(right, view)(at).asnumpy(), tolerance)
        for one, expected in zip(found.cross_validation(2), right.cross_validation(2)):
            close(one, expected.asnumpy(), tolerance)


def test_a_hidden_value_comes_later():
    """A mask in an update of data without one."""
    block = ready(layer())
    started = block.condition(X[:, :3], Y[:, :3])
    late = np.where(SEEN == 1, Y, np.nan)[:, 3:]
    grown = started.with_observations(X[:, 3:], late, mask=SEEN[:, 3:])
    mask = np.concatenate([np.ones((2, 3, 3)), SEEN[:, 3:]], axis=1)
    right = block.condition(X, Y, mask=mask)
    close(grown.covariance(nd(NEW)), right.covariance(nd(NEW)).asnumpy())
    close(grown.mean(nd(NEW)), right.mean(nd(NEW)).asnumpy())
    with pytest.raises(gl.errors.NonFiniteError, match="'y' contains NaN"):
        started.with_observations(X[:, 3:], late)
