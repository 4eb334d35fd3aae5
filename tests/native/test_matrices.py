"""Batches of matrices in C++: values, gradients, failures, and what must not matter for them."""

import shutil

import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import native
from gluon_linalg.native import library, matrices
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])
# The reference computes in these, by textbook algorithms; gradients are complex steps through it.
REAL, COMPLEX, STEP = np.longdouble, np.clongdouble, np.longdouble(1e-30)
ROUNDING = {"float32": 6.0e-8, "float64": 1.2e-16}


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


# ---- the reference: one matrix at a time


def cholesky(a):
    n = len(a)
    factor = np.zeros_like(a)
    for j in range(n):
        factor[j, j] = np.sqrt(a[j, j] - (factor[j, :j] ** 2).sum())
        below = a[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]
        factor[j + 1 :, j] = below / factor[j, j]
    return factor


def eliminated(a, b):
    """A⁻¹ B and det A by Gauss-Jordan with pivoting."""
    a, b, determinant = a.copy(), b.copy(), a.dtype.type(1)
    for k in range(len(a)):
        p = k + np.argmax(np.abs(a[k:, k]))
        if p != k:
            a[[k, p]], b[[k, p]] = a[[p, k]], b[[p, k]]
            determinant = -determinant
        determinant = determinant * a[k, k]
        b[k], a[k] = b[k] / a[k, k], a[k] / a[k, k]
        others = np.arange(len(a)) != k
        b[others] = b[others] - np.outer(a[others, k], b[k])
        a[others] = a[others] - np.outer(a[others, k], a[k])
    return b, determinant


def solved(a, b):
    return eliminated(a, b)[0]


def inverse(a):
    return solved(a, np.eye(len(a), dtype=a.dtype))


def lower_half(a):
    """The symmetric matrix with the lower triangle of a."""
    return np.tril(a) + np.tril(a, -1).T


def orthogonal_and_lower(a):
    factor = cholesky(a @ a.T)
    return solved(factor, a), factor


def triangle(a, lower, transpose):
    a = np.tril(a) if lower else np.triu(a)
    return a.T if transpose else a


# ---- the cases: inputs (random, n), the reference, keywords


def definite(random, n):
    a = random.randn(n, n)
    return a @ a.T / n + np.eye(n)


def factor(random, n):
    return np.tril(random.randn(n, n) / (n + 1), -1) + np.diag(random.uniform(0.5, 2.0, n))


def any_triangle(random, n):
    return random.randn(n, n) / (n + 1) + 2 * np.eye(n)


def general(random, n):
    return random.randn(n, n) / (2 * np.sqrt(n)) + np.eye(n)


def right_side(random, n):
    return random.randn(n, 3)


def solve_triangle(lower, transpose):
    return (
        (any_triangle, right_side),
        lambda a, b: [solved(triangle(a, lower, transpose), b)],
        {"lower": lower, "transpose": transpose},
    )


CASES = {
    "potrf": ((definite,), lambda a: [cholesky(lower_half(a))], {}),
    "potri": ((factor,), lambda a: [inverse(np.tril(a) @ np.tril(a).T)], {}),
    "potrs": ((factor, right_side), lambda a, b: [solved(np.tril(a) @ np.tril(a).T, b)], {}),
    "trsm": solve_triangle(True, False),
    "trsm transposed": solve_triangle(True, True),
    "trsm upper": solve_triangle(False, False),
    "trsm upper transposed": solve_triangle(False, True),
    "trmm": ((any_triangle, right_side), lambda a, b: [np.tril(a) @ b], {"transpose": False}),
    "trmm transposed": (
        (any_triangle, right_side),
        lambda a, b: [np.tril(a).T @ b],
        {"transpose": True},
    ),
    "log_det": (
        (definite,),
        lambda a: [2 * np.log(np.diagonal(cholesky(lower_half(a)))).sum()],
        {},
    ),
    "inverse_spd": ((definite,), lambda a: [inverse(lower_half(a))], {}),
    "solve_spd": ((definite, right_side), lambda a, b: [solved(lower_half(a), b)], {}),
    "inverse": ((general,), lambda a: [inverse(a)], {}),
    "det": ((general,), lambda a: [eliminated(a, a)[1]], {}),
    "gelqf": ((lambda random, n: random.randn(n, n + 4),), orthogonal_and_lower, {}),
}
SYMMETRIC = ("potrf", "log_det", "inverse_spd", "solve_spd")
# Sizes whose batch elements share registers, one of each kind, and those that do not.
SIZES = (1, 2, 5, 8, 23, 41)


def batch_of(name, n, count, dtype, seed=0):
    random = np.random.RandomState(seed)
    makers, reference, keywords = CASES[name]
    inputs = [np.stack([make(random, n) for _ in range(count)]).astype(dtype) for make in makers]
    return inputs, reference, keywords


def close(found, expected, tolerance, what):
    for i, (a, b) in enumerate(zip(found, expected)):
        error = np.abs(a - b).max() / np.abs(b).max()
        assert error <= tolerance, f"{what}, batch element {i}: off by {error:.3g}"


def check_value_and_gradient(door, name, n, count, dtype, tolerance):
    inputs, reference, keywords = batch_of(name, n, count, dtype)
    random = np.random.RandomState(1)
    node = door.call(name.split()[0], *inputs, **keywords)
    weights = [random.randn(*output.shape).astype(dtype) for output in node.outputs]
    directions = [random.randn(*array.shape) for array in inputs]
    if name in SYMMETRIC:
        directions[0] += directions[0].swapaxes(1, 2)
    gradients = node.backward(*weights)
    if name in SYMMETRIC:
        np.testing.assert_array_equal(gradients[0], gradients[0].swapaxes(1, 2))
    for i in range(count):
        moved = [
            a[i].astype(COMPLEX) + 1j * STEP * d[i].astype(REAL) for a, d in zip(inputs, directions)
        ]
        expected = [np.asarray(x) for x in reference(*moved)]
        for output, x in zip(node.outputs, expected):
            close([output[i]], [x.real.astype("float64")], tolerance, f"{name}, {n}")
        slope = sum((w[i] * x.imag).sum() for w, x in zip(weights, expected)) / STEP
        found = sum((g[i].astype(REAL) * d[i]).sum() for g, d in zip(gradients, directions))
        scale = sum(np.abs(g[i].astype(REAL) * d[i]).sum() for g, d in zip(gradients, directions))
        assert abs(found - slope) <= tolerance * scale, f"{name}, {n}: gradient"


@BOTH
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(door, name, dtype):
    for n in SIZES:
        # More than the registers of any width hold, and a rest.
        count = 19 if n < 6 else 2
        check_value_and_gradient(door, name, n, count, dtype, 400 * ROUNDING[dtype])


@pytest.mark.parametrize("level", ["plain", "avx2"])
def test_every_instruction_set(level, tmp_path, monkeypatch):
    monkeypatch.setenv("GLUON_LINALG_NATIVE_LEVEL", level)
    path = tmp_path / "operators.so"
    shutil.copy(library.PATH, path)
    own = Door(path)
    if own.level != level:
        pytest.skip(f"this processor has no {level}")
    for name in CASES:
        for n in (3, 41):
            check_value_and_gradient(own, name, n, 5, "float64", 400 * ROUNDING["float64"])
            check_value_and_gradient(own, name, n, 5, "float32", 400 * ROUNDING["float32"])


@pytest.mark.parametrize("threads", ["1", "3"])
def test_large_matrices_by_blocks_and_threads(door, threads, monkeypatch):
    """A factor of 300 rows is one by definition; the rest is compared with LAPACK."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    random = np.random.RandomState(0)
    a, wide, w = definite(random, 300), random.randn(130, 1500), random.randn(300, 300)
    node = door.call("potrf", a[None])
    factors = node.outputs[0][0]
    np.testing.assert_allclose(factors @ factors.T, a, atol=1e-13)
    assert (np.triu(factors, 1) == 0).all() and (np.diagonal(factors) > 0).all()
    # Murray 2016, equation 8.
    inner = np.tril(factors.T @ np.tril(w))
    inner = np.tril(inner, -1) + np.diag(np.diagonal(inner) / 2)
    expected = np.linalg.inv(factors).T @ inner @ np.linalg.inv(factors)
    close(node.backward(w[None])[0], [(expected + expected.T) / 2], 1e-12, "potrf")
    close(door.forward("inverse", w[None])[0], [np.linalg.inv(w)], 1e-10, "inverse")
    q, factors = (x[0] for x in door.forward("gelqf", wide[None]))
    np.testing.assert_allclose(factors @ q, wide, atol=1e-12)
    np.testing.assert_allclose(q @ q.T, np.eye(130), atol=1e-13)


@BOTH
@pytest.mark.parametrize("name", CASES)
def test_neighbours_and_threads_do_not_matter(door, name, dtype, monkeypatch):
    """Bit for bit, value and gradient, also beside what fails."""
    for n, count in ((3, 21), (8, 9), (41, 3)):
        inputs, _, keywords = batch_of(name, n, count, dtype)
        for array in inputs:
            array[1] = np.nan
        operator = name.split()[0]
        node = door.call(operator, *inputs, **keywords)
        weights = [np.random.RandomState(2).randn(*x.shape).astype(dtype) for x in node.outputs]
        for i in range(count):
            alone = door.call(operator, *(a[i : i + 1] for a in inputs), **keywords)
            for together, single in zip(node.outputs, alone.outputs):
                np.testing.assert_array_equal(together[i], single[0])
            gradients = alone.backward(*(w[i : i + 1] for w in weights))
            for together, single in zip(node.backward(*weights), gradients):
                np.testing.assert_array_equal(together[i], single[0])
            if i != 1:
                assert all(np.isfinite(x[i]).all() for x in node.outputs), f"{name}, {n}"
        for output in node.outputs:
            assert np.isnan(output[1]).all() or name.startswith("trsm") or "potr" in name
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        again = door.call(operator, *inputs, **keywords)
        monkeypatch.undo()
        for first, second in zip(node.outputs, again.outputs):
            np.testing.assert_array_equal(first, second)


@BOTH
@pytest.mark.parametrize("name", ["potrf", "log_det", "inverse_spd", "solve_spd"])
@pytest.mark.parametrize("n", [4, 30])
def test_what_is_not_definite_is_nan_alone(door, name, n, dtype):
    beside, last = np.eye(n), np.eye(n)
    beside[n - 1, 0], last[n - 1, n - 1] = np.inf, 0.0
    bad = {
        "negative": -np.eye(n),
        "singular": np.ones((n, n)),
        "last pivot": last,
        "infinite": np.diag([1.0] * (n - 1) + [1e999]),
        "infinite beside": beside,
        "not a number": np.diag([1.0] * (n - 1) + [np.nan]),
    }
    for name_of, matrix in bad.items():
        bad[name_of] = np.where(np.isnan(matrix) & (np.eye(n) == 0), 0.0, matrix)
    a = np.stack([np.eye(n), *bad.values(), 2 * np.eye(n)])
    inputs = [a.astype(dtype)] + [np.ones((len(a), n, 1), dtype)] * (name == "solve_spd")
    (found,) = door.forward(name, *inputs)
    for i, element in enumerate(found):
        if i in (0, len(a) - 1):
            assert np.isfinite(element).all()
        else:
            assert np.isnan(element).all(), list(bad)[i - 1]


def test_the_upper_triangle_is_not_read(door):
    for n in (5, 40):
        a = batch_of("potrf", n, 2, "float64")[0][0]
        spoilt = a + np.triu(np.full((n, n), np.nan), 1)
        for name in ("potrf", "log_det", "inverse_spd"):
            np.testing.assert_array_equal(door.forward(name, a)[0], door.forward(name, spoilt)[0])
        for name in ("potri", "trsm", "potrs"):
            b = [] if name == "potri" else [np.ones((2, n, 2))]
            first = door.call(name, np.tril(a), *b)
            second = door.call(name, np.tril(a) + np.triu(np.full((n, n), np.nan), 1), *b)
            np.testing.assert_array_equal(first.outputs[0], second.outputs[0])
            gradients = [x.backward(np.ones_like(x.outputs[0]))[0] for x in (first, second)]
            np.testing.assert_array_equal(*gradients)
            assert (np.triu(gradients[0], 1) == 0).all()


@pytest.mark.parametrize("power", [-83, 66])
def test_any_unit(door, power):
    """Powers of 2, about 1e-25 and 1e20 in float32, change nothing but the unit."""
    unit = np.float32(2.0**power)
    for n in (6, 41):
        a = batch_of("gelqf", n, 3, "float32")[0][0]
        for (q, lower), scaled in ((door.forward("gelqf", a), door.call("gelqf", a * unit)),):
            np.testing.assert_array_equal(scaled.outputs[0], q)
            np.testing.assert_array_equal(scaled.outputs[1], lower * unit)
            weights = np.random.RandomState(0).randn(*q.shape).astype("float32")
            zero = np.zeros_like(lower)
            np.testing.assert_array_equal(
                scaled.backward(weights, zero)[0] * unit,
                door.call("gelqf", a).backward(weights, zero)[0],
            )
        a = batch_of("inverse", n, 3, "float32")[0][0]
        found = door.forward("inverse", a * unit)[0]
        np.testing.assert_array_equal(found * unit, door.forward("inverse", a)[0])
        first, second = (door.forward("slogdet", x) for x in (a, a * unit))
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_allclose(second[1] - first[1], n * power * np.log(2.0), rtol=1e-5)
        a = batch_of("potrf", n, 3, "float32")[0][0]
        square = np.float32(2.0 ** (power // 2 * 2))
        found = door.forward("potrf", a * square)[0]
        np.testing.assert_array_equal(found, door.forward("potrf", a)[0] * np.sqrt(square))


# ---- jitter


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h


@BOTH
@pytest.mark.parametrize("n", [2, 8, 16, 64])
def test_the_smallest_jitter(door, n, dtype):
    """Of matrices H diag(λ) H / n, whose eigenvalues are λ, by the definition."""
    epsilon = 2.0**-24 if dtype == "float32" else 2.0**-53
    h, random = hadamard(n), np.random.RandomState(n)
    floor, bound = 16 * epsilon, 2 * np.sqrt(epsilon) + 16 * epsilon
    least = np.array(
        [1.0, 0.5, 1e-3, 8 * floor, 0.5 * floor, 0.0, -floor, -0.9 * bound, -1.1 * bound]
    )
    eigenvalues = random.randint(1, 5, (len(least), n)) / 4.0
    eigenvalues[:, -1], eigenvalues[:, 0] = 1.0, least
    for unit in (1.0, 2.0**-60, 2.0**40):
        a = (h * eigenvalues[:, None, :]) @ h.T / n * unit
        shift, state = (x[:, 0] for x in door.forward("jitter_shift", a.astype(dtype)))
        expected = np.maximum(0.0, floor - least)
        # A is rounded to its dtype, and eigenvalues move with it.
        np.testing.assert_allclose(shift[:-1] / unit, expected[:-1], atol=n**0.5 * 2 * epsilon)
        assert (shift[:3] == 0).all() and (shift[4:-1] > 0).all()
        assert np.isnan(shift[-1])
        np.testing.assert_array_equal(state, [0] * 8 + [2])


@BOTH
def test_jitter_lets_a_factor_exist(door, dtype):
    """Gram matrices of low rank, as they come: with the shift they have a factor."""
    random = np.random.RandomState(0)
    for n in (3, 20, 70):
        x = random.randn(8, n, max(1, n // 4))
        a = (x @ x.transpose(0, 2, 1)).astype(dtype)
        shift, state = door.forward("jitter_shift", a)
        assert (state == 0).all() and (shift > 0).all()
        assert np.isfinite(
            door.forward("potrf", a + shift[:, :, None] * np.eye(n, dtype=dtype))[0]
        ).all()


def test_what_jitter_cannot_repair_is_told(door):
    for n in (3, 40):
        a = np.stack([np.eye(n), np.full((n, n), np.nan), -np.eye(n), np.eye(n)])
        a[3, 0, n - 1] = np.inf
        shift, state = door.forward("jitter_shift", a)
        np.testing.assert_array_equal(state[:, 0], [0, 1, 2, 1])
        np.testing.assert_array_equal(np.isnan(shift[:, 0]), [False, True, True, True])


# ---- singular matrices


@pytest.mark.parametrize("n", [3, 20])
def test_the_determinant_of_singular_matrices(door, n):
    """Cofactors u vᵀ times a number at rank n - 1, and 0 below; integers, so it is exact."""
    random = np.random.RandomState(n)
    a = np.stack([np.eye(n)] * 3)
    a[0] = np.diag([2.0] * (n - 1) + [0.0])
    a[1] = np.diag([3.0] * (n - 2) + [0.0, 0.0])
    a[2] = np.diag([1.0] * (n - 1) + [2.0])
    expected = np.stack([np.diag([0.0] * (n - 1) + [2.0 ** (n - 1)]), np.zeros((n, n))])
    rows, columns = random.permutation(n), random.permutation(n)
    node = door.call("det", a[:, rows][:, :, columns])
    sign = np.linalg.det(np.eye(n)[rows]) * np.linalg.det(np.eye(n)[columns])
    np.testing.assert_allclose(node.outputs[0], [0.0, 0.0, 2.0 * sign], atol=1e-15)
    found = node.backward(np.ones(3))[0]
    np.testing.assert_allclose(found[:2], sign * expected[:, rows][:, :, columns], atol=1e-9)
    close([found[2]], [node.outputs[0][2] * np.linalg.inv(a[2][rows][:, columns]).T], 1e-13, "det")


@BOTH
def test_singular_matrices_among_others(door, dtype):
    a = np.array([[[1, 2], [3, 4]], [[1, 2], [2, 4]], [[0, 0], [0, 0]], [[0, 1], [1, 0]]], dtype)
    (found,) = door.forward("inverse", a)
    assert np.isnan(found[1:3]).all()
    close(found[[0, 3]], np.linalg.inv(a[[0, 3]].astype("float64")), 1e-6, "inverse")
    node = door.call("slogdet", a)
    np.testing.assert_array_equal(node.outputs[0], [-1, 0, 0, -1])
    np.testing.assert_allclose(node.outputs[1], [np.log(2.0), -np.inf, -np.inf, 0.0], rtol=1e-6)
    (gradient,) = node.backward(np.ones(4), np.array([1, 1, 0, 1]))
    assert np.isnan(gradient[1]).all() and (gradient[2] == 0).all()
    np.testing.assert_allclose(gradient[0], [[-2, 1.5], [1, -0.5]], rtol=1e-5)


def test_slogdet_has_the_gradient_of_the_logarithm(door):
    for n in (2, 9, 33):
        (a,), _, _ = batch_of("det", n, 5, "float64")
        a[0, 0] *= -1
        node = door.call("slogdet", a)
        sign, logarithm = np.linalg.slogdet(a)
        np.testing.assert_array_equal(node.outputs[0], sign)
        np.testing.assert_allclose(node.outputs[1], logarithm, rtol=1e-13)
        found = node.backward(np.ones(5), np.arange(1.0, 6.0))[0]
        expected = np.arange(1.0, 6.0)[:, None, None] * np.linalg.inv(a).swapaxes(1, 2)
        close(found, expected, 1e-12, "slogdet")


# ---- dependent rows


@BOTH
def test_dependent_rows_have_no_gradient_of_q(door, dtype):
    a = np.array([[[1, 2, 3], [2, 4, 6]], [[1, 2, 3], [1, 0, 1]], [[0, 0, 0], [1, 2, 2]]], dtype)
    node = door.call("gelqf", a)
    q, lower = node.outputs
    np.testing.assert_allclose(lower @ q, a, atol=1e-5)
    np.testing.assert_array_equal(door.forward("independent_rows", lower)[0], [[0], [1], [0]])
    (with_q,) = node.backward(np.ones_like(q), np.zeros_like(lower))
    np.testing.assert_array_equal(np.isnan(with_q).all((1, 2)), [True, False, True])
    # Σ L² = Σ A².
    (without,) = node.backward(np.zeros_like(q), 2 * lower)
    np.testing.assert_allclose(without, 2 * a, atol=1e-5 if dtype == "float32" else 1e-13)


# ---- shapes, and MXNet


def test_any_batch_axes_and_empty_arrays(door):
    for shape in ((), (2, 3), (0,), (2, 0)):
        for n in (0, 1, 4):
            a = np.broadcast_to(np.eye(n), (*shape, n, n))
            b, wide = np.ones((*shape, n, 2)), np.ones((*shape, n, n + 3))
            for name in ("potrf", "potri", "inverse_spd", "inverse"):
                node = door.call(name, a)
                np.testing.assert_array_equal(node.outputs[0], a)
                assert node.backward(a)[0].shape == a.shape
            for name in ("trsm", "potrs", "solve_spd"):
                node = door.call(name, a, b)
                np.testing.assert_array_equal(node.outputs[0], b)
                assert [g.shape for g in node.backward(b)] == [a.shape, b.shape]
            for name, value in (("log_det", 0.0), ("det", 1.0)):
                node = door.call(name, a)
                np.testing.assert_array_equal(node.outputs[0], np.full(shape, value))
                np.testing.assert_array_equal(node.backward(np.ones(shape))[0], a)
            sign, logarithm = door.forward("slogdet", a)
            assert sign.shape == shape and (sign == 1).all() and (logarithm == 0).all()
            q, lower = door.forward("gelqf", wide)
            assert q.shape == wide.shape and lower.shape == a.shape
            shift, state = door.forward("jitter_shift", a)
            assert shift.shape == (*shape, 1) and (state == 0).all()


def test_what_does_not_fit_is_refused(door):
    square, wide = np.ones((2, 3, 3)), np.ones((2, 3, 4))
    for name in ("potrf", "potri", "log_det", "inverse_spd", "inverse", "slogdet", "det"):
        with pytest.raises(ValueError, match="square"):
            door.forward(name, wide)
    for name in ("trsm", "potrs", "solve_spd"):
        for b in (np.ones((2, 4, 1)), np.ones((3, 3, 1)), np.ones((3, 1))):
            with pytest.raises(ValueError, match="right sides"):
                door.forward(name, square, b)
    with pytest.raises(ValueError, match="m <= n"):
        door.forward("gelqf", np.ones((2, 4, 3)))


@pytest.mark.parametrize("static", [None, True])
@pytest.mark.parametrize("name", ["trsm", "potrs", "solve_spd", "gelqf", "slogdet", "det"])
def test_gradients_are_added_and_left_out(name, static):
    """'add' over two calls is twice 'write'; nine uses are nine gradients; 'null' is none."""

    def result(F, a, b, i):
        if name in ("trsm", "potrs", "solve_spd"):
            return getattr(matrices, name)(F, a, (i + 1.0) * b)
        found = getattr(matrices, name)(F, (1.0 + 0.1 * i) * a)
        return {"gelqf": lambda: F.concat(*found, dim=2) ** 3, "slogdet": lambda: found[1]}.get(
            name, lambda: found
        )()

    class Net(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, a, b):
            total = F.sum(0 * b)
            for i in range(9):
                total = total + F.sum(result(F, a, b, i))
            return total

    random = np.random.RandomState(0)
    a = mx.nd.array(np.stack([definite(random, 3) for _ in range(2)]), dtype="float64")
    b = mx.nd.array(random.randn(2, 3, 2), dtype="float64")
    results = {}
    for request in ("write", "add", "null"):
        net = Net()
        if static:
            net.hybridize(static_alloc=True, static_shape=True)
        a.attach_grad(request)
        b.attach_grad()
        for _ in range(2):
            with native.native_tracing(True), mx.autograd.record():
                total = net(a, b)
            total.backward()
        results[request] = None if request == "null" else a.grad.asnumpy()
    np.testing.assert_allclose(results["add"], 2 * results["write"], rtol=1e-13)
    step = 1e-6
    direction = random.randn(*a.shape)
    direction += direction.swapaxes(1, 2)
    if name in ("trsm", "potrs"):
        direction = np.tril(direction)
    ahead, behind = (
        Net()(mx.nd.array(a.asnumpy() + s * step * direction, dtype="float64"), b).asscalar()
        for s in (1, -1)
    )
    slope = (ahead - behind) / (2 * step)
    np.testing.assert_allclose((results["write"] * direction).sum(), slope, rtol=1e-7)
