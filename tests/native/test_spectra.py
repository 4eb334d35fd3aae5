"""Eigenvalues, functions of symmetric matrices and singular values by the operators in C++."""

import os
import subprocess
import sys

import mpmath as mp
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.native import library, spectra
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

EPSILON = {"float64": 2.0**-53, "float32": 2.0**-24}
BOTH = pytest.mark.parametrize("dtype", EPSILON)
# In lanes, one by one in the caches, and in blocks.
SYMMETRIC = [(9, 1), (10, 2), (11, 5), (3, 17), (1, 33), (7, 40), (2, 101), (1, 193)]
WIDE = [(9, 1, 1), (10, 1, 4), (11, 5, 5), (3, 12, 19), (7, 40, 41), (1, 45, 50), (2, 3, 90)]
# By a bidiagonal matrix.
WIDE += [(1, 66, 70), (1, 130, 130)]


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


def random(*shape, seed=0):
    return np.random.RandomState(seed).randn(*shape)


def symmetric(batch, n, seed=0):
    a = random(batch, n, n, seed=seed)
    return a + a.transpose(0, 2, 1)


def positive(batch, n, seed=0):
    a = random(batch, n, n, seed=seed)
    return a @ a.transpose(0, 2, 1) / n + 0.5 * np.eye(n)


def largest(x):
    return np.abs(x).max(initial=0.0)


def decisive(rows):
    """The first element of each row that is within 1/1024 of the largest."""
    large = np.abs(rows) >= np.abs(rows).max(axis=1, keepdims=True) * (1 - 2.0**-10)
    return rows[np.arange(len(rows)), large.argmax(axis=1)]


def directional(call, a, direction, weights):
    """d/dt Σ weights ∘ outputs at A + t direction, by central differences, and by the gradient."""
    step = 1e-6

    def loss(matrix):
        return sum((w * x).sum() for w, x in zip(weights, call(matrix).outputs))

    expected = (loss(a + step * direction) - loss(a - step * direction)) / (2 * step)
    (gradient,) = call(a).backward(*weights)
    return (gradient * direction).sum(), expected, gradient


# Symmetric eigendecompositions.


@BOTH
@pytest.mark.parametrize("batch, n", SYMMETRIC)
def test_eigenvectors(batch, n, dtype, door):
    a = symmetric(batch, n).astype(dtype)
    u, values = door.forward("eigh", a)
    plain, plain_values = door.forward("syevd", a)
    (alone,) = door.forward("eigvalsh", a)
    exact = a.astype("float64")
    expected = np.linalg.eigvalsh(exact)
    bound = 4 * (n + 4) * EPSILON[dtype]
    for vectors, found in ((u, values), (plain, plain_values)):
        vectors = vectors.astype("float64")
        product = vectors @ vectors.transpose(0, 2, 1)
        np.testing.assert_allclose(product, np.tile(np.eye(n), (batch, 1, 1)), atol=bound)
        rebuilt = vectors.transpose(0, 2, 1) * found[:, None] @ vectors
        np.testing.assert_allclose(rebuilt, exact, atol=bound * largest(expected))
        np.testing.assert_allclose(found, expected, atol=bound * largest(expected))
        assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(alone, expected, atol=bound * largest(expected))
    assert (decisive(u.reshape(-1, n)) > 0).all()


@pytest.mark.parametrize("batch, n", [(11, 5), (9, 40)])
def test_neighbours_change_no_bit(batch, n, door):
    """Whatever shares the registers: other matrices, the end of the batch, NaN."""
    a, wide = symmetric(batch, n, seed=1), random(batch, n, n + 1)
    for name, matrices in (("eigh", a), ("svd", wide), ("symmetric_function", positive(batch, n))):
        keywords = {"function": "sqrt"} if name == "symmetric_function" else {}
        call = door.call(name, matrices, **keywords)
        weights = [random(*x.shape, seed=2) for x in call.outputs]
        (gradient,) = call.backward(*weights)
        changed = matrices.copy()
        changed[1:] *= 7.0
        changed[2, n - 1, 0] = np.nan
        again = door.call(name, changed, **keywords)
        (moved,) = again.backward(*weights)
        for x, y in zip([*call.outputs, gradient], [*again.outputs, moved]):
            np.testing.assert_array_equal(x[0], y[0])
        results = again.outputs[:1] if keywords else again.outputs
        for x in [*results, moved]:
            assert np.isnan(x[2]).all() and np.isfinite(np.delete(x, 2, axis=0)).all()


def test_graded_and_tied_matrices(door):
    """To ε of the largest, by 50 digits: sizes from 1 to 1e-12, exact ties, rank 1, and zeros."""
    basis = np.eye(4) - 0.5
    scales = np.array([1.0, 1e-4, 1e-8, 1e-12])
    graded = symmetric(1, 4)[0] * scales * scales[:, None]
    cases = [graded, graded[::-1, ::-1], basis * [1, 1, 2, 4] @ basis, np.zeros((4, 4))]
    cases += [np.outer(scales, scales), np.diag([1e-12, 1.0, 1e-6, 3.0]), np.ones((4, 4))]
    cases += [np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])]
    a = np.stack(cases).astype("float64")
    u, values = door.forward("eigh", a)
    for i, matrix in enumerate(a):
        with mp.workdps(50):
            exact = np.array([float(x) for x in mp.eigsy(mp.matrix(matrix.tolist()))[0]])
        size = largest(exact) * EPSILON["float64"]
        np.testing.assert_allclose(values[i], np.sort(exact), rtol=0, atol=8 * size)
        np.testing.assert_allclose(u[i] @ u[i].T, np.eye(4), atol=2e-15)
        np.testing.assert_allclose(u[i].T * values[i] @ u[i], matrix, atol=20 * size)


@pytest.mark.parametrize("n", [3, 8, 24, 60, 100])
def test_eigenvalues_that_are_0(n, door):
    """Singular matrices are told by 8 ε of the largest eigenvalue, or n/4."""
    x = random(20, n, max(1, n // 2), seed=n)
    a = x @ x.transpose(0, 2, 1)
    _, values = door.forward("syevd", a)
    zeros = np.abs(values[:, : n - max(1, n // 2)]).max(axis=1) / values.max(axis=1)
    assert zeros.max() < max(8, n / 4) * EPSILON["float64"]


@pytest.mark.parametrize(
    "dtype, scale",
    [("float32", 1e-25), ("float32", 1e20), ("float64", 1e-200), ("float64", 1e200)],
)
def test_scales(dtype, scale, door):
    """Squares of elements are far out of range."""
    bound = 200 * EPSILON[dtype]
    for name, x in (("eigh", symmetric(3, 6)), ("svd", random(3, 6, 7))):
        scale = 2.0 ** np.round(np.log2(scale))
        plain = door.forward(name, x.astype(dtype))
        scaled = door.forward(name, (x.astype(dtype) * scale).astype(dtype))
        for i, (found, expected) in enumerate(zip(scaled, plain)):
            found = found.astype("float64") / (scale if i == 1 else 1.0)
            np.testing.assert_allclose(found, expected, rtol=0, atol=bound * largest(expected))


@pytest.mark.parametrize("case", ["clusters", "rank 1", "blocks", "identity"])
def test_large_matrices_with_equal_eigenvalues(case, door):
    """Where divide and conquer finds that most is done already, or little is left to reduce."""
    n = 200
    q = np.linalg.qr(random(n, n))[0]
    block = symmetric(1, 20)[0]
    a = {
        "clusters": (q * (np.arange(n) // 40)) @ q.T,
        "rank 1": np.ones((250, 250)),
        "blocks": np.kron(np.eye(10), block) + 1e-13 * symmetric(1, n)[0],
        "identity": np.eye(n),
    }[case]
    n = len(a)
    u, values = (x[0] for x in door.forward("eigh", a[None]))
    size = largest(values) * EPSILON["float64"]
    np.testing.assert_allclose(u @ u.T, np.eye(n), atol=2e-14)
    np.testing.assert_allclose(u.T * values @ u, a, rtol=0, atol=n * size)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), rtol=0, atol=n * size)


@pytest.mark.parametrize("keywords", [{}, {"descending": True, "top_k": 1}, {"top_k": 2}])
@pytest.mark.parametrize("batch, n", [(9, 4), (1, 36), (1, 170)])
def test_gradient_of_eigenvectors(batch, n, keywords, door):
    a, direction = symmetric(batch, n), symmetric(batch, n, seed=5)
    if n > 36:
        # Gaps as of small matrices: else the differences say little.
        vectors = np.linalg.qr(random(n, n))[0]
        a = (vectors * np.arange(n) @ vectors.T)[None]
        direction /= n
    call = lambda x: door.call("eigh", x, **keywords)  # noqa: E731
    weights = [random(*x.shape, seed=3) for x in call(a).outputs]
    found, expected, gradient = directional(call, a, direction, weights)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(gradient, gradient.transpose(0, 2, 1))


# Functions of symmetric matrices.

FUNCTIONS = {
    "sqrt": ({}, np.sqrt),
    "inverse_sqrt": ({}, lambda x: x**-0.5),
    "inverse_sqrt, lifted": (
        {"lifted": True, "parameter": 0.2},
        lambda x: np.maximum(x, 0.2 * x.max(axis=-1, keepdims=True)) ** -0.5,
    ),
    "log": ({}, np.log),
    "exp": ({}, np.exp),
    "power": ({"parameter": -1.7}, lambda x: x**-1.7),
    "nearest": ({"parameter": 0.9}, lambda x: np.maximum(x, 0.9)),
}


@BOTH
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("batch, n", [(9, 5), (1, 36), (1, 170)])
def test_functions(batch, n, name, dtype, door):
    keywords, function = FUNCTIONS[name]
    keywords = {"function": name.split(",")[0], **keywords}
    a = positive(batch, n).astype(dtype)
    call = lambda x: door.call("symmetric_function", x, **keywords)  # noqa: E731
    result, status = call(a).outputs
    values, vectors = np.linalg.eigh(a.astype("float64"))
    expected = vectors * function(values)[:, None] @ vectors.transpose(0, 2, 1)
    bound = 20 * EPSILON[dtype] * np.sqrt(n) * largest(expected)
    np.testing.assert_allclose(result, expected, atol=bound)
    np.testing.assert_array_equal(result, result.transpose(0, 2, 1))
    np.testing.assert_array_equal(status, np.zeros(batch))
    if dtype == "float64" and name != "inverse_sqrt, lifted":
        weights = [random(batch, n, n, seed=3), np.zeros(batch)]
        direction = symmetric(batch, n, seed=5) / np.sqrt(n)
        found, exact, gradient = directional(call, a, direction, weights)
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(gradient, gradient.transpose(0, 2, 1))


def test_what_has_no_value(door):
    good = np.eye(2)
    refused = {
        "sqrt": [np.diag([3.0, -1.0])],
        "inverse_sqrt": [np.diag([3.0, -1.0]), np.ones((2, 2))],
        "log": [np.zeros((2, 2)), np.diag([3.0, -1e-20])],
        "power": [np.ones((2, 2))],
    }
    for name, matrices in refused.items():
        a = np.stack([good, *matrices, np.full((2, 2), np.inf)])
        call = door.call("symmetric_function", a, function=name, parameter=2.0)
        (gradient,) = call.backward(np.ones_like(a), np.zeros(len(a)))
        result, status = call.outputs
        expected = [spectra.COMPUTED, *len(matrices) * [spectra.NOT_POSITIVE], spectra.NOT_FINITE]
        assert status.tolist() == expected, name
        for x in (result, gradient):
            assert np.isfinite(x[0]).all() and np.isnan(x[1:]).all()
    for dtype, exponent in (("float32", 100.0), ("float64", 1000.0)):
        a = np.stack([good, exponent * good]).astype(dtype)
        _, status = door.forward("symmetric_function", a, function="exp")
        assert status.tolist() == [spectra.COMPUTED, spectra.TOO_LARGE]
    with pytest.raises(ValueError, match="'cosine'"):
        door.forward("symmetric_function", good[None], function="cosine")


# Singular values.


def check_singular(door, a, tall=False):
    dtype = a.dtype.name
    u, s, v = door.forward("svd", a, tall=tall)
    exact, k = a.astype("float64"), s.shape[1]
    expected = np.linalg.svd(exact, compute_uv=False)
    bound = 4 * (k + 4) * EPSILON[dtype]
    u, v = u.astype("float64"), v.astype("float64")
    one = np.tile(np.eye(k), (len(a), 1, 1))
    np.testing.assert_allclose(u.transpose(0, 2, 1) @ u, one, atol=bound)
    np.testing.assert_allclose(v @ v.transpose(0, 2, 1), one, atol=bound)
    size = largest(expected)
    np.testing.assert_allclose(u * s[:, None] @ v, exact, rtol=0, atol=bound * size)
    np.testing.assert_allclose(s, expected, rtol=0, atol=bound * size)
    assert (s >= 0).all() and (np.diff(s) <= 0).all()
    assert (decisive(v.reshape(-1, v.shape[2])) > 0).all()


@BOTH
@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("batch, m, n", WIDE)
def test_singular_vectors(batch, m, n, tall, dtype, door):
    a = random(batch, m, n).astype(dtype)
    check_singular(door, np.ascontiguousarray(a.transpose(0, 2, 1)) if tall else a, tall)
    if not tall:
        u, s, v = door.forward("gesvd", a)
        np.testing.assert_allclose(u * s[:, None] @ v, a, atol=40 * (m + 4) * EPSILON[dtype])


@BOTH
def test_singular_vectors_where_there_is_little_or_nothing(dtype, door):
    """Rank 0, 1 and 2, graded rows, and ties."""
    left, right = np.linalg.qr(random(4, 4))[0], np.linalg.qr(random(6, 6))[0][:4]
    cases = [np.zeros((4, 6)), np.ones((4, 6)), np.eye(4, 6), random(4, 6)]
    cases += [left * [1.0, 1.0, 0.0, 0.0] @ right, left * [1.0, 1e-7, 1e-14, 1e-21] @ right]
    cases += [random(4, 6) * 10.0 ** -np.array([[0], [30], [10], [20]])]
    cases += [np.vstack([random(2, 6), np.zeros((2, 6))]), np.full((4, 6), 1e-30)]
    a = np.stack(cases).astype(dtype)
    check_singular(door, a)
    check_singular(door, np.ascontiguousarray(a.transpose(0, 2, 1)), tall=True)


@pytest.mark.parametrize(
    "case", ["clusters", "rank 1", "blocks", "shift", "bidiagonal", "graded", "zeros"]
)
def test_singular_vectors_of_large_matrices_with_equal_values(case, door):
    """Where divide and conquer finds that most is done already, or is 0."""
    m, n = 150, 157
    left, right = np.linalg.qr(random(m, m))[0], np.linalg.qr(random(n, n))[0][:m]
    a = {
        "clusters": (left * (np.arange(m) // 40)) @ right,
        "rank 1": np.ones((m, n)),
        "blocks": np.kron(np.eye(10), random(15, 15)) + 1e-13 * random(m, m),
        "shift": np.eye(m, n, k=1),
        "bidiagonal": np.eye(m) + np.eye(m, k=1),
        "graded": (left * 10.0 ** -np.linspace(0, 300, m)) @ right,
        "zeros": np.zeros((m, n)),
    }[case]
    check_singular(door, a[None])


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("batch, m, n", [(9, 3, 3), (4, 4, 6), (1, 36, 38), (1, 70, 71)])
def test_gradient_of_singular_vectors(batch, m, n, tall, door):
    swap = lambda x: np.ascontiguousarray(x.transpose(0, 2, 1)) if tall else x  # noqa: E731
    left = np.linalg.qr(random(batch, m, m)[0])[0]
    right = np.linalg.qr(random(n, n))[0][:m]
    a = swap(np.stack([(left * np.arange(m + i, i, -1.0)) @ right for i in range(batch)]))
    direction = random(*a.shape, seed=5) / m
    call = lambda x: door.call("svd", x, tall=tall)  # noqa: E731
    weights = [random(*x.shape, seed=3) for x in call(a).outputs]
    found, expected, _ = directional(call, a, direction, weights)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


# In MXNet, and everywhere.


@pytest.mark.parametrize("flags", [None, {}, {"static_alloc": True, "static_shape": True}])
def test_gradients_add_up(flags):
    """Of several uses, with `add`, and without any for what is constant."""
    a = mx.nd.array(positive(3, 4), dtype="float64")
    blocks = [gl.EigBlock(), gl.SVDBlock(), gl.MatrixLogBlock()]
    for block in blocks:
        block.hybridize(flags is not None, **(flags or {}))
        expected = 0
        for repeats in (1, 2):
            a.attach_grad("write" if repeats == 1 else "add")
            for _ in range(repeats):
                with mx.autograd.record():
                    outputs = block(a)
                    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
                    loss = sum((x * x * x).sum() for x in outputs)
                loss.backward()
            if repeats == 1:
                expected = a.grad.asnumpy()
        np.testing.assert_allclose(a.grad.asnumpy(), 2 * expected, rtol=1e-13, atol=1e-13)
        assert largest(expected) > 0.1


def test_constants_have_no_gradient():
    from gluon_linalg.functional import lapack

    a = mx.nd.array(positive(3, 4), dtype="float64")
    a.attach_grad()
    with mx.autograd.record():
        total = a.sum()
        for x in (*lapack.syevd(mx.nd, a), *lapack.gesvd(mx.nd, a)):
            total = total + (x * a.slice_like(x) if x.ndim == 3 else x).sum() * 0.0
    total.backward()
    np.testing.assert_array_equal(a.grad.asnumpy(), np.ones((3, 4, 4)))


def test_nothing(door):
    for shape in ((0, 3, 3), (2, 0, 0)):
        a = np.zeros(shape)
        for name in ("eigh", "svd", "symmetric_function"):
            keywords = {"function": "sqrt"} if name == "symmetric_function" else {}
            call = door.call(name, a, **keywords)
            assert call.outputs[0].shape == shape
            (gradient,) = call.backward(*call.outputs)
            assert gradient.shape == shape


LEVEL = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np
from door import Door
door = Door(sys.argv[1])
random = np.random.RandomState(0)
for batch, n in ((5, 7), (3, 40), (1, 170)):
    a = random.randn(batch, n, n)
    s = a @ a.transpose(0, 2, 1)
    u, values = door.forward("eigh", s)
    assert abs(u.transpose(0, 2, 1) * values[:, None] @ u - s).max() < 1e-11
    root, _ = door.forward("symmetric_function", s, function="sqrt")
    assert abs(root @ root - s).max() < 1e-11
    if batch > 1:
        u, values, v = door.forward("svd", a)
        assert abs(u * values[:, None] @ v - a).max() < 1e-12
a = np.random.RandomState(0).randn(9, 40, 41)
changed = a * np.r_[1.0, 8 * [7.0]][:, None, None]
for x, y in zip(door.forward("svd", a), door.forward("svd", changed)):
    assert (x[0] == y[0]).all()
print(door.level)
"""


@pytest.mark.parametrize("level", ["plain", "avx2"])
def test_lesser_processors(level):
    environment = {**os.environ, "GLUON_LINALG_NATIVE_LEVEL": level}
    arguments = [sys.executable, "-c", LEVEL, str(library.PATH), os.path.dirname(__file__)]
    found = subprocess.run(
        arguments, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    assert found in (level, "plain")
