"""Products of matrices by blocks, in the operators that are made of them: at the borders of blocks,
of triangles, from behind and transposed, on one thread and on three."""

import numpy as np
import pytest
import scipy.linalg

from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24}
BOTH = pytest.mark.parametrize("dtype", ROUNDING)
THREADS = pytest.mark.parametrize("threads", ["1", "3"])


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


@pytest.fixture
def random():
    return np.random.RandomState(7)


def definite(random, n):
    a = random.randn(n, n)
    return a @ a.T / n + np.eye(n)


def close(found, expected, bound):
    found, expected = np.asarray(found, "float64"), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * max(np.abs(expected).max(), 1e-300)


@BOTH
@THREADS
def test_a_normal_likelihood_of_many_numbers(door, random, dtype, threads, monkeypatch):
    """Cholesky factor and inverse at the borders of their blocks."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    for n in (15, 33, 65, 193, 500):
        a, r = definite(random, n).astype(dtype), random.randn(n).astype(dtype)
        node = door.call("gaussian_nll", a[None], r[None])
        by_a, by_r = (g[0] for g in node.backward(np.ones(1, dtype)))
        inverse = np.linalg.inv(a.astype("float64"))
        alpha = inverse @ r
        value = 0.5 * (
            r @ alpha + np.linalg.slogdet(a.astype("float64"))[1] + n * np.log(2 * np.pi)
        )
        bound = 100 * ROUNDING[dtype]
        close(node.outputs[0][0], value, bound)
        close(by_r, alpha, bound)
        close(by_a, 0.5 * (inverse - np.outer(alpha, alpha)), bound)
        np.testing.assert_array_equal(by_a, by_a.T)


@BOTH
@THREADS
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [False, True])
def test_triangular_systems(door, random, dtype, threads, lower, transpose, monkeypatch):
    """What is on the other side of the diagonal is not read."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    for n, k in ((16, 40), (17, 1), (65, 33), (200, 8), (200, 1), (150, 131)):
        full = random.randn(n, n).astype(dtype) / n + 2 * np.eye(n, dtype=dtype)
        full[np.triu_indices(n, 1) if lower else np.tril_indices(n, -1)] = np.nan
        b = random.randn(n, k).astype(dtype)
        (x,) = door.forward("trsm", full[None], b[None], lower=lower, transpose=transpose)
        exact = full.astype("float64")
        expected = scipy.linalg.solve_triangular(
            np.tril(exact) if lower else np.triu(exact), b, trans=int(transpose), lower=lower
        )
        close(x[0], expected, 40 * ROUNDING[dtype])


def test_triangular_systems_of_any_size_of_pivots(door, random):
    """Pivots whose inverses are no numbers, or lose some, divide."""
    n = 40
    sizes = 10.0 ** np.linspace(-150, 150, n)
    lower = np.tril(random.randn(n, n) * 0.1 + 2 * np.eye(n)) * sizes[:, None]
    for scale in (1.0, 2.0**-510, 2.0**515):
        b = lower @ random.randn(n, 35)
        (x,) = door.forward("trsm", (lower * scale)[None], (b * scale)[None], lower=True)
        close(x[0], scipy.linalg.solve_triangular(lower, b, lower=True), 1e-14)
    tiny = 4e-310 * np.eye(30)
    (x,) = door.forward("trsm", tiny[None], 3.0 * tiny[None], lower=True)
    np.testing.assert_array_equal(x[0], 3.0 * np.eye(30))


@BOTH
@THREADS
def test_lq_and_its_gradient(door, random, dtype, threads, monkeypatch):
    """Of one matrix by blocks, of some in registers: by copyltu (Walter & Lehmann 2010)."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    for batch, m, n in ((1, 63, 63), (9, 33, 40), (17, 64, 80), (3, 65, 66), (1, 230, 300)):
        a = random.randn(batch, m, n) + 3 * np.eye(m, n) * np.sqrt(n)
        a = a.astype(dtype)
        node = door.call("gelqf", a)
        by_q, by_l = (
            random.randn(batch, m, n).astype(dtype),
            random.randn(batch, m, m).astype(dtype),
        )
        (gradient,) = node.backward(by_q, by_l)
        for i in range(batch):
            right, upper = np.linalg.qr(a[i].astype("float64").T)
            signs = np.sign(np.diagonal(upper))
            q, lower = (right * signs).T, (upper.T * signs)
            bound = 400 * ROUNDING[dtype]
            close(node.outputs[0][i], q, bound)
            close(node.outputs[1][i], lower, bound)
            inner = np.tril(lower.T @ np.tril(by_l[i]) - by_q[i] @ q.T)
            inner = inner + np.tril(inner, -1).T
            expected = np.linalg.solve(lower.T, by_q[i] + inner @ q)
            close(gradient[i], expected, bound)


def test_lq_of_rows_of_any_size_and_of_dependent_ones(door, random):
    """A = L Q and Q Qᵀ = 1 by rows, for batches in registers and for one matrix."""
    for batch, m, n in ((9, 40, 44), (1, 40, 44), (1, 150, 151)):
        graded = random.randn(batch, m, n) * 10.0 ** np.linspace(-150, 150, m)[:, None]
        dependent = random.randn(batch, m, m // 2) @ random.randn(batch, m // 2, n)
        repeated = np.repeat(random.randn(batch, 1, n), m, axis=1)
        for a in (graded, graded[:, ::-1], dependent, repeated, np.zeros((batch, m, n))):
            q, lower = door.forward("gelqf", np.ascontiguousarray(a))
            np.testing.assert_allclose(
                q @ q.transpose(0, 2, 1), np.tile(np.eye(m), (batch, 1, 1)), atol=1e-13
            )
            size = np.abs(a).max(axis=2, keepdims=True) + 1e-300
            np.testing.assert_allclose(lower / size @ q, a / size, rtol=0, atol=1e-13)
            assert (np.diagonal(lower, axis1=1, axis2=2) >= 0).all()


@THREADS
def test_a_regression_by_its_covariance(door, random, threads, monkeypatch):
    """φ and its gradients in closed form, with C = diag(σ²) + X diag(v) Xᵀ."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    # The last one in two parts.
    for batch, n, d in ((3, 9, 4), (1, 120, 70), (1, 60, 200), (1, 1000, 70)):
        x, y = random.randn(batch, n, d), random.randn(batch, n, 1)
        noise, prior = random.uniform(0.5, 1.5, (batch, n)), random.uniform(0.5, 1.5, (1, d))
        spoilt = [x.copy(), y.copy(), noise.copy()]
        spoilt[0][batch // 2, n - 1, 0] = np.nan
        node = door.call("regression", x, y, noise, prior)
        by_x, by_y, by_noise, by_prior = node.backward(np.ones(batch))
        total = 0.0
        for b in range(batch):
            covariance = np.diag(noise[b]) + x[b] * prior @ x[b].T
            inverse = np.linalg.inv(covariance)
            alpha = inverse @ y[b]
            value = 0.5 * (y[b, :, 0] @ alpha[:, 0] + np.linalg.slogdet(covariance)[1])
            slope = inverse - alpha @ alpha.T
            close(node.outputs[0][b], value, 1e-12)
            close(by_y[b], alpha, 1e-12)
            close(by_x[b], slope @ x[b] * prior, 1e-11)
            close(by_noise[b], 0.5 * np.diagonal(slope), 1e-11)
            total = total + 0.5 * ((slope @ x[b]) * x[b]).sum(axis=0)
        close(by_prior[0], total, 1e-11)
        again = door.call("regression", *spoilt, prior)
        gradients = again.backward(np.ones(batch))
        for b in range(batch):
            fails = b == batch // 2
            assert np.isnan(again.outputs[0][b]) == fails
            assert np.isnan(gradients[0][b]).all() == np.isnan(gradients[0][b]).any() == fails
