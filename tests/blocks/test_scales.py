"""Data of any size: the LQ family gives the right value and gradient, or a clear error."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg

import gluon_linalg as gl
from gluon_linalg.errors import NonFiniteError, SingularMatrixError
from harness.modes import MODES, arrays, build, in_mode

SIZES = {"float32": (1e-25, 1e-10, 1.0, 1e20), "float64": (1e-150, 1.0, 1e150)}
TOLERANCE = {"float32": 2e-4, "float64": 1e-8}
EVERY_SIZE = pytest.mark.parametrize(
    "dtype, size", [(dtype, size) for dtype, sizes in SIZES.items() for size in sizes]
)
COMPILED = pytest.mark.parametrize("compiled", [False, True])


def run(block, compiled, dtype, inputs, weights=None):
    """Outputs and input gradients of Σ weights ∘ the first output, as float64."""
    block.initialize()
    block.cast(dtype)
    block.hybridize(compiled)
    arrays = [mx.nd.array(value, dtype=dtype) for value in inputs]
    for array in arrays:
        array.attach_grad()
    with mx.autograd.record():
        outputs = block(*arrays)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        weights = np.ones(outputs[0].shape) if weights is None else np.asarray(weights)
        loss = (outputs[0] * mx.nd.array(weights, dtype=dtype)).sum()
    loss.backward()
    return (
        [output.asnumpy().astype("float64") for output in outputs],
        [array.grad.asnumpy().astype("float64") for array in arrays],
    )


def near(found, expected, dtype, size=1.0):
    """Relative to the largest element, in units of `size`."""
    found, expected = found / size, np.asarray(expected)
    assert np.abs(found - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()


def differences(function, x, step=1e-5):
    """Central differences of a function of a NumPy array."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = step
        gradient[index] = (function(x + move) - function(x - move)) / (2 * step)
    return gradient


@COMPILED
@pytest.mark.parametrize("wide", [False, True])
@EVERY_SIZE
def test_least_squares(dtype, size, wide, compiled):
    random = np.random.RandomState(0)
    a, b, c = random.randn(6, 3), random.randn(6), random.randn(3)
    if wide:
        a, b, c = a.T, b[:3], random.randn(6)
    inverse = np.linalg.pinv(a)
    x = inverse @ b
    by_b = inverse.T @ c
    within = c - inverse @ (a @ c)
    by_a = np.outer(b - a @ x, np.linalg.pinv(a.T @ a) @ c) - np.outer(by_b, x)
    by_a += np.outer(inverse.T @ x, within)
    for target in SIZES[dtype]:
        block = gl.LeastSquaresBlock(wide=wide)
        if target / size > np.finfo(dtype).max:
            with pytest.raises(NonFiniteError, match="too large"):
                run(block, compiled, dtype, [a[None] * size, b[None] * target], [c])
            continue
        (found,), gradients = run(block, compiled, dtype, [a[None] * size, b[None] * target], [c])
        if target / size > np.finfo(dtype).tiny:
            near(found[0], x, dtype, target / size)
        if np.finfo(dtype).tiny < target / size**2 < np.finfo(dtype).max:
            near(gradients[0][0], by_a, dtype, target / size / size)
        if 1.0 / size < np.finfo(dtype).max:
            near(gradients[1][0], by_b, dtype, 1.0 / size)


@EVERY_SIZE
def test_columns_of_different_sizes(dtype, size):
    random = np.random.RandomState(1)
    a, b = random.randn(6, 2), random.randn(6)
    columns = np.array([1.0, size])
    (found,), _ = run(gl.LeastSquaresBlock(), True, dtype, [a[None] * columns, b[None]])
    near(found[0] * columns, np.linalg.lstsq(a, b, rcond=None)[0], dtype)


@COMPILED
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype, size", [("float32", 1e-10), ("float32", 1e10), ("float64", 1e99)])
def test_least_squares_with_a_ridge_in_the_units_of_a(dtype, size, wide, compiled):
    random = np.random.RandomState(2)
    a, b, ridge = random.randn(5, 3), random.randn(5), 0.5
    normal = a.T @ a + ridge * np.eye(3)
    x = np.linalg.solve(normal, a.T @ b)
    block = gl.LeastSquaresBlock(ridge=ridge * size**2, wide=wide)
    (found,), gradients = run(block, compiled, dtype, [a[None] * size, b[None]])
    near(found[0], x, dtype, 1.0 / size)
    near(gradients[1][0], a @ np.linalg.solve(normal, np.ones(3)), dtype, 1.0 / size)
    # Stored as its logarithm.
    by_ridge = -ridge * np.linalg.solve(normal, x).sum()
    near(block.ridge.grad().asnumpy()[0], by_ridge, dtype, 1.0 / size)


@COMPILED
@pytest.mark.parametrize("wide", [False, True])
@EVERY_SIZE
def test_least_squares_with_a_ridge_of_1(dtype, size, wide, compiled):
    random = np.random.RandomState(2)
    a, b = random.randn(5, 3), random.randn(5)
    if wide:
        a = a.T
        b = b[:3]
    (found,), gradients = run(
        gl.LeastSquaresBlock(ridge=1.0, wide=wide), compiled, dtype, [a[None] * size, b[None]]
    )
    left, s, right = np.linalg.svd(a, full_matrices=False)
    expected = right.T @ (s / (s**2 * max(size, 1.0) + 1.0 / max(size, 1.0)) * (left.T @ b))
    if size < 1.0:
        expected = right.T @ (s / (s**2 * size**2 + 1.0) * (left.T @ b))
    near(found[0], expected, dtype, size if size < 1.0 else 1.0)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def lda_loss(x, labels, k=1):
    mean = x.mean(0)
    within, between = np.zeros((2, x.shape[1], x.shape[1]))
    for label in set(labels):
        rows = x[labels == label]
        within += (rows - rows.mean(0)).T @ (rows - rows.mean(0)) / len(x)
        between += len(rows) / len(x) * np.outer(rows.mean(0) - mean, rows.mean(0) - mean)
    return within, between


@COMPILED
@pytest.mark.parametrize("ridge", [0.0, 0.1])
@EVERY_SIZE
def test_lda(dtype, size, ridge, compiled):
    random = np.random.RandomState(3)
    labels = np.arange(9.0) % 2
    x = random.randn(9, 2) + labels[:, None]

    def loss(x):
        within, between = lda_loss(x, labels)
        within = within + ridge * np.trace(within) / 2 * np.eye(2)
        return -scipy.linalg.eigh(between, within, eigvals_only=True)[-1]

    block = gl.LDABlock(2, ridge=ridge, relative_ridge=True)
    (found,), gradients = run(block, compiled, dtype, [x[None] * size, labels[None]])
    near(found[0], loss(x), dtype)
    near(gradients[0][0], differences(loss, x), dtype, 1.0 / size)


@COMPILED
@pytest.mark.parametrize("ridge", [0.0, (0.1, 0.2)])
@EVERY_SIZE
def test_cca(dtype, size, ridge, compiled):
    random = np.random.RandomState(4)
    x, y = random.randn(9, 2), random.randn(9, 3)
    y[:, :2] += x
    pair = (ridge, ridge) if ridge == 0.0 else ridge

    def loss(joined):
        joined = joined - joined.mean(0)
        full = joined.T @ joined / 8
        views = full[:2, :2], full[2:, 2:]
        roots = [
            scipy.linalg.sqrtm(np.linalg.inv(s + r * np.trace(s) / len(s) * np.eye(len(s))))
            for s, r in zip(views, pair)
        ]
        return -np.linalg.svd(roots[0] @ full[:2, 2:] @ roots[1])[1].sum()

    other = 1.0 / size if 1.0 / size < np.finfo(dtype).max else 1.0
    inputs = [x[None] * size, y[None] * other]
    block = gl.CCABlock(2, ridge=ridge, relative_ridge=True)
    (found,), gradients = run(block, compiled, dtype, inputs)
    joined = np.concatenate([x, y], axis=1)
    expected = differences(loss, joined)
    near(found[0], loss(joined), dtype)
    near(gradients[0][0], expected[:, :2], dtype, 1.0 / size)
    near(gradients[1][0], expected[:, 2:], dtype, 1.0 / other)


@pytest.mark.parametrize("size", [1e-25, 1e20])
@pytest.mark.parametrize("mode", MODES)
def test_a_relative_ridge_in_every_mode(mode, size, tmp_path):
    """In float32, where an absolute ridge means something else in each unit."""
    random = np.random.RandomState(9)
    x, labels = random.randn(9, 2), np.arange(9.0) % 2
    y = x + random.randn(9, 2)
    within, between = lda_loss(x, labels)
    within = within + 0.1 * np.trace(within) / 2 * np.eye(2)
    joint = np.cov(np.concatenate([x, y], axis=1).T)
    views = [s + 0.1 * np.trace(s) / 2 * np.eye(2) for s in (joint[:2, :2], joint[2:, 2:])]
    roots = [scipy.linalg.sqrtm(np.linalg.inv(s)) for s in views]
    correlations = np.linalg.svd(roots[0] @ joint[:2, 2:] @ roots[1])[1]
    for factory, inputs, expected in (
        (
            lambda: gl.LDABlock(2, ridge=0.1, relative_ridge=True),
            [x * size, labels],
            -scipy.linalg.eigh(between, within, eigvals_only=True)[-1],
        ),
        (
            lambda: gl.CCABlock(2, ridge=0.1, relative_ridge=True),
            [x * size, y / size],
            -correlations.sum(),
        ),
    ):
        inputs = [value[None] for value in inputs]
        block = build(factory, "float32", inputs)
        block = in_mode(block, mode, arrays(inputs, "float32"), tmp_path)
        for _ in range(2):
            found = block(*arrays(inputs, "float32")).asscalar()
            assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", SIZES)
def test_dependent_features_of_any_size_are_refused(dtype):
    random = np.random.RandomState(5)
    x, labels = random.randn(9, 2), np.arange(9.0) % 2
    x = np.concatenate([x, x @ [[1.0], [2.0]]], axis=1)
    for size in SIZES[dtype]:
        inputs = [x[None] * size, labels[None]]
        for compiled in (False, True):
            with pytest.raises(SingularMatrixError, match="scatter singular"):
                run(gl.LDABlock(2), compiled, dtype, inputs)
            with pytest.raises(SingularMatrixError, match="'x' is singular"):
                run(gl.CCABlock(1), compiled, dtype, [inputs[0], random.randn(1, 9, 1)])
            with pytest.raises(SingularMatrixError, match="columns"):
                run(gl.LeastSquaresBlock(), compiled, dtype, [inputs[0], labels[None]])


def test_a_ridge_in_units_of_the_variance_is_that_of_the_formula():
    """relative_ridge r is the ridge r · mean(diag S), also in `fit`."""
    random = np.random.RandomState(6)
    x, labels = random.randn(12, 3) * [1.0, 2.0, 3.0], np.arange(12) % 3
    within, _ = lda_loss(x, labels)
    same = 0.3 * np.trace(within) / 3
    relative = gl.LDABlock(3, ridge=0.3, relative_ridge=True).fit(x, labels)
    np.testing.assert_allclose(
        relative.values, gl.LDABlock(3, ridge=same).fit(x, labels).values, rtol=1e-12
    )


@COMPILED
@EVERY_SIZE
def test_regression(dtype, size, compiled):
    """Features of any size: the dense likelihood of the scaled prior."""
    random = np.random.RandomState(7)
    phi, y = random.randn(5, 2), random.randn(5)
    layer = gl.BLRLikelihoodLayer(prior_variance=1.5, noise_variance=0.5)
    (found,), gradients = run(layer, compiled, dtype, [phi[None] * size, y[None]])
    # By singular values of Φ; the large ones as log s² + log(1.5 σ² + 0.5 / s²).
    left, singular, _ = np.linalg.svd(phi)
    large = max(size, 1.0)
    variances = np.append(1.5 * (singular * size / large) ** 2, np.zeros(3)) + 0.5 / large / large
    variances[2:] = 0.5
    power = np.array([2.0, 2.0, 0.0, 0.0, 0.0]) * np.log(large)
    weights = (left.T @ y) / variances * np.exp(-power)
    expected = 0.5 * ((left.T @ y) @ weights + (np.log(2 * np.pi * variances) + power).sum())
    near(found[0], expected, dtype)
    near(gradients[1][0], left @ weights, dtype)
    assert np.isfinite(gradients[0]).all()
    if dtype == "float32" and size > 1.0:
        with pytest.raises(NonFiniteError, match="likelihood is too large"):
            run(layer, compiled, dtype, [phi[None], y[None] * size])


@COMPILED
@EVERY_SIZE
def test_principal_components(dtype, size, compiled):
    random = np.random.RandomState(8)
    x = random.randn(9, 3) * [3.0, 1.0, 0.3]
    centred = x - x.mean(0)
    _, s, v = np.linalg.svd(centred, full_matrices=False)
    scores = centred @ v[:2].T
    for whiten in (False, True):
        block = gl.PCABlock(2, whiten=whiten, momentum=None)
        weights = random.randn(1, 9, 2)
        (found,), gradients = run(block, compiled, dtype, [x[None] * size], weights)
        expected = np.abs(scores / (s[:2] / np.sqrt(8)) if whiten else scores)
        near(np.abs(found[0]), expected, dtype, 1.0 if whiten else size)
        assert np.isfinite(gradients[0]).all() and np.abs(gradients[0]).max() > 0
    running = gl.PCABlock(2)
    if np.finfo(dtype).tiny < size**2 < np.finfo(dtype).max:
        with mx.autograd.train_mode():
            near(
                np.abs(run(running, compiled, dtype, [x[None] * size])[0][0][0]),
                np.abs(scores),
                dtype,
                size,
            )
    else:
        with pytest.raises(NonFiniteError, match="variances? .*too (large|small)"):
            run(running, compiled, dtype, [x[None] * size])


@COMPILED
@pytest.mark.parametrize("form", ["zca", "pca", "cholesky"])
@EVERY_SIZE
def test_whitening(dtype, size, form, compiled):
    random = np.random.RandomState(9)
    x = random.randn(9, 3) * [3.0, 1.0, 0.3]
    block = gl.WhiteningBlock(form, momentum=None, epsilon=0.0)
    (found,), gradients = run(block, compiled, dtype, [x[None] * size])
    near(found[0].T @ found[0] / 9, np.eye(3), dtype)
    assert np.isfinite(gradients[0]).all()
    if dtype == "float32" and size > 1.0:
        with pytest.raises(NonFiniteError, match="variance is too large"):
            run(gl.WhiteningBlock(form), compiled, dtype, [x[None] * size])


@COMPILED
@pytest.mark.parametrize("form", ["zca", "cholesky"])
def test_epsilon_of_whitening_has_the_units_of_the_variance(form, compiled):
    """Data far below √epsilon are divided by it."""
    x = np.random.RandomState(10).randn(9, 3)
    block = gl.WhiteningBlock(form, momentum=None, epsilon=1e-5)
    (found,), _ = run(block, compiled, "float32", [x[None] * 1e-25])
    near(found[0], x - x.mean(0), "float32", 1e-25 / 1e-5**0.5)


@COMPILED
def test_probabilistic_components(compiled):
    random = np.random.RandomState(11)
    x = random.randn(1, 6, 3)
    (found,), _ = run(gl.PPCALikelihoodLayer(1), compiled, "float32", [x * 1e-25])
    assert np.isfinite(found).all()
    with pytest.raises(NonFiniteError, match="likelihood is too large"):
        run(gl.PPCALikelihoodLayer(1), compiled, "float32", [x * 1e20])


@COMPILED
@pytest.mark.parametrize("dtype, size", [("float32", 1e-4), ("float32", 1e8), ("float64", 1e60)])
def test_several_outputs(dtype, size, compiled):
    """In other units the likelihood moves by the logarithm of the unit, and so do no gradients."""
    random = np.random.RandomState(8)
    x, y = random.randn(1, 6, 1), random.randn(1, 6, 2)
    found = []
    for unit in (1.0, size):
        shared = gl.Coregionalization(2, 1, np.array([[0.9], [-0.4]]) * unit, 0.3 * unit**2)
        layer = gl.MultiOutputGPLikelihoodLayer(
            gl.kernels.RBF(), 2, coregionalization=shared, noise_variance=0.2 * unit**2
        )
        (value,), gradients = run(layer, compiled, dtype, [x, y * unit])
        found.append((value[0] - 12 * np.log(unit), gradients[1] * unit))
    near(found[1][0], found[0][0], dtype)
    near(found[1][1], found[0][1], dtype)
