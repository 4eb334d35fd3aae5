"""Functions of symmetric matrices at and near repeated eigenvalues, against 60 digits."""

import mpmath as mp
import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import errors
from gluon_linalg.functional import spectral

EPSILON = {"float64": 2.0**-53, "float32": 2.0**-24}
BOTH = pytest.mark.parametrize("dtype", EPSILON)
GAPS = (1e-3, 1e-6, 1e-9, 1e-12, 0.0)
WEIGHTS = np.array([[1.0, 2.0, 0.5, -1], [2, 0, -0.25, 1], [0.5, -0.25, 1, 0.75], [-1, 1, 0.75, 2]])
GENERIC = np.linalg.qr(np.random.RandomState(0).randn(4, 4))[0]
# Its elements are dyadic, so that ties of eigenvalues survive in the matrix.
REFLECTION = np.eye(4) - 0.5

# The function, its value and its derivative in mpmath, and the scales it is tried at.
SCALES = (1.0, 1e4, 1e8)
FUNCTIONS = {
    "sqrt": (spectral.matrix_sqrt, mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), SCALES),
    "inverse sqrt": (
        spectral.matrix_inverse_sqrt,
        lambda x: 1 / mp.sqrt(x),
        lambda x: -1 / (2 * x * mp.sqrt(x)),
        SCALES,
    ),
    "log": (spectral.matrix_log, mp.log, lambda x: 1 / x, SCALES),
    "exp": (spectral.matrix_exp, mp.exp, mp.exp, (1.0, -20.0, 20.0)),
    "power 2.5": (
        lambda F, a: spectral.matrix_power(F, a, 2.5),
        lambda x: x**2 * mp.sqrt(x),
        lambda x: mp.mpf(2.5) * x * mp.sqrt(x),
        SCALES,
    ),
    "power -1.5": (
        lambda F, a: spectral.matrix_power(F, a, -1.5),
        lambda x: 1 / (x * mp.sqrt(x)),
        lambda x: -mp.mpf(1.5) / (x**2 * mp.sqrt(x)),
        SCALES,
    ),
    # Two eigenvalues below the floor, near to each other, and two above it; and the other way.
    "floor 1.5e-8": (
        lambda F, a: spectral.nearest_psd(F, a, 1.5e-8),
        lambda x: max(x, mp.mpf(1.5e-8)),
        lambda x: int(x > 1.5e-8),
        (1e-8,),
    ),
    "floor -1.5e8": (
        lambda F, a: spectral.nearest_psd(F, a, -1.5e8),
        lambda x: max(x, mp.mpf(-1.5e8)),
        lambda x: int(x > -1.5e8),
        (-1e8,),
    ),
}


def matrix(basis, eigenvalues, dtype):
    a = basis * np.asarray(eigenvalues) @ basis.T
    return (0.5 * (a + a.T)).astype(dtype).astype("float64")


def differentiate(function, a, dtype, weights=WEIGHTS):
    """f(A) and the gradient of Σ weights ∘ f(A), of one matrix, as float64."""
    array = mx.nd.array(a[None], dtype=dtype)
    array.attach_grad()
    with mx.autograd.record():
        result = function(mx.nd, array)
        loss = (result * mx.nd.array(weights[None], dtype=dtype)).sum()
    loss.backward()
    return (x.asnumpy()[0].astype("float64") for x in (result, array.grad))


def exact(a, value, derivative, weights=WEIGHTS):
    """The same by the quotients themselves, in 60 digits."""
    n = len(a)
    with mp.workdps(60):
        eigenvalues, vectors = mp.eigsy(mp.matrix(a.tolist()))
        tie = mp.mpf(10) ** -40 * max(abs(x) for x in eigenvalues)
        inner = vectors.T * mp.matrix(weights.tolist()) * vectors
        for i, x in enumerate(eigenvalues):
            for j, y in enumerate(eigenvalues):
                near = abs(x - y) < tie
                inner[i, j] *= derivative(x) if near else (value(x) - value(y)) / (x - y)
        result = vectors * mp.diag([value(x) for x in eigenvalues]) * vectors.T
        gradient = vectors * inner * vectors.T
        return (
            np.array([[float(m[i, j]) for j in range(n)] for i in range(n)])
            for m in (result, gradient)
        )


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@BOTH
@pytest.mark.parametrize("name", FUNCTIONS)
def test_near_ties(name, dtype):
    """A few ε at every gap and scale: nothing is lost where eigenvalues come near each other."""
    function, value, derivative, scales = FUNCTIONS[name]
    for scale in scales:
        for gap in GAPS:
            for basis in (GENERIC,) if gap else (GENERIC, REFLECTION):
                a = matrix(basis, scale * np.array([1.0, 1.0 + gap, 2.0, 3.0]), dtype)
                found, gradient = differentiate(function, a, dtype)
                expected, expected_gradient = exact(a, value, derivative)
                # exp turns the absolute error of an eigenvalue into a relative one.
                bound = 40.0 * EPSILON[dtype] * (abs(scale) if name == "exp" else 1.0)
                what = f"scale {scale:g}, gap {gap:g}"
                assert relative(found, expected) < bound, what
                assert relative(gradient, expected_gradient) < bound, what
                assert np.array_equal(found, found.T), what
                assert np.array_equal(gradient, gradient.T), what


@pytest.mark.parametrize("name", ["sqrt", "inverse sqrt", "log", "power 2.5", "power -1.5"])
def test_far_apart(name):
    """Eigenvalues from 1e-8 to 1e8, on the diagonal, where LAPACK has them to the last digit."""
    function, value, derivative, _ = FUNCTIONS[name]
    a = np.diag([1e-6, 1.0, 1e4, 1e8])
    found, gradient = differentiate(function, a, "float64")
    expected, expected_gradient = exact(a, value, derivative)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-14)


@pytest.mark.parametrize("power", [0, 1, 2, -1, 3, 0.5])
def test_powers_that_are_known(power):
    a = matrix(GENERIC, [0.5, 1.0, 2.0, 2.0], "float64")
    found, gradient = differentiate(lambda F, x: spectral.matrix_power(F, x, power), a, "float64")
    if power == 0.5:
        expected, expected_gradient = differentiate(spectral.matrix_sqrt, a, "float64")
    else:
        expected = np.linalg.matrix_power(a, power)
        steps = range(power) if power > 0 else range(-1, power - 1, -1)
        expected_gradient = np.sign(power) * sum(
            (
                np.linalg.matrix_power(a, k) @ WEIGHTS @ np.linalg.matrix_power(a, power - 1 - k)
                for k in steps
            ),
            np.zeros((4, 4)),
        )
    np.testing.assert_allclose(found, expected, atol=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-13)


@BOTH
@pytest.mark.parametrize("scale", SCALES)
def test_root_of_a_singular_matrix(scale, dtype):
    """A = x xᵀ, whose root x xᵀ / |x| has a gradient in x though not in A."""
    x = np.sqrt(scale) * np.array([[1.0], [2.0], [-0.5], [0.25]])
    array = mx.nd.array(x[None], dtype=dtype)
    array.attach_grad()
    with mx.autograd.record():
        a = mx.nd.batch_dot(array, array, transpose_b=True)
        root = spectral.matrix_sqrt(mx.nd, a)
        loss = (root * mx.nd.array(WEIGHTS[None], dtype=dtype)).sum()
    loss.backward()
    length = np.linalg.norm(x)
    expected = 2 * WEIGHTS @ x / length - (x.T @ WEIGHTS @ x) * x / length**3
    # An eigenvalue of ε instead of 0 has a root of √ε.
    bound = 8.0 * np.sqrt(EPSILON[dtype])
    assert relative(root.asnumpy()[0], x @ x.T / length) < bound
    assert relative(array.grad.asnumpy()[0], expected) < bound


def test_root_of_zero():
    found, gradient = differentiate(spectral.matrix_sqrt, np.zeros((4, 4)), "float64")
    assert not found.any() and not gradient.any()


def test_floor():
    """Whitening with a floor: closed forms above, at and below it."""
    floored = lambda F, a: spectral.matrix_inverse_sqrt(F, a, floor=0.01)  # noqa: E731
    eigenvalues = np.array([0.0, 0.005, 0.25, 1.0])
    a = matrix(GENERIC, eigenvalues, "float64")
    found, gradient = differentiate(floored, a, "float64")
    lifted = np.maximum(eigenvalues, 0.01)
    values = lifted**-0.5
    np.testing.assert_allclose(found, GENERIC * values @ GENERIC.T, atol=1e-13)
    gaps = eigenvalues[:, None] - eigenvalues + np.eye(4)
    quotients = (values[:, None] - values) / gaps
    quotients += np.diag(np.where(eigenvalues > 0.01, -0.5 * eigenvalues.clip(0.01) ** -1.5, 0.0))
    expected = GENERIC @ (quotients * (GENERIC.T @ WEIGHTS @ GENERIC)) @ GENERIC.T
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    # Nothing is below the floor: the plain inverse root, also at ties and of any scale.
    for scale in SCALES:
        a = matrix(REFLECTION, scale * np.array([0.5, 0.5, 0.5, 1.0]), "float64")
        plain = differentiate(spectral.matrix_inverse_sqrt, a, "float64")
        for x, y in zip(differentiate(floored, a, "float64"), plain):
            assert relative(x, y) < 1e-14


def test_a_function_of_ones_own():
    """A + 1/A by `symmetric_function`."""
    function = lambda F, a: spectral.symmetric_function(  # noqa: E731
        F, a, lambda F, x: x + 1.0 / x, lambda F, x, y: 1.0 - 1.0 / (x * y)
    )
    a = matrix(REFLECTION, [0.5, 1.0, 1.0, 2.0], "float64")
    found, gradient = differentiate(function, a, "float64")
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(found, a + inverse, atol=1e-13)
    np.testing.assert_allclose(gradient, WEIGHTS - inverse @ WEIGHTS @ inverse, atol=1e-13)


def test_overflow_is_told():
    """Of the value, 1/0, and of the derivative alone: 1e15 has slope 1e45 here."""
    with pytest.raises(errors.NonFiniteError, match="too large"):
        spectral.symmetric_function(
            mx.nd, mx.nd.zeros((1, 2, 2)), lambda F, x: 1.0 / x, lambda F, x, y: x + 1.0
        )
    tiny = mx.nd.array([1e-30 * np.eye(2)])
    with pytest.raises(errors.NonFiniteError, match="too large"):
        spectral.matrix_inverse_sqrt(mx.nd, tiny)


def test_only_the_lower_triangle_is_read():
    a = matrix(GENERIC, [1.0, 2.0, 3.0, 4.0], "float64")
    other = np.tril(a) + 7.0 * np.triu(np.ones((4, 4)), 1)
    for x, y in zip(*(differentiate(spectral.matrix_log, m, "float64") for m in (a, other))):
        np.testing.assert_array_equal(x, y)


@BOTH
@pytest.mark.parametrize("n", [2, 5, 30, 100])
def test_singular_matrices_are_told(n, dtype):
    """Whatever sign LAPACK gives to an eigenvalue that is 0, there is no logarithm."""
    for seed in range(5):
        x = np.random.RandomState(seed).randn(n, max(1, n // 2))
        a = mx.nd.array((x @ x.T)[None], dtype=dtype)
        with pytest.raises(errors.NotPositiveDefiniteError, match="not positive definite"):
            spectral.matrix_log(mx.nd, a)
        assert np.isfinite(spectral.matrix_sqrt(mx.nd, a).asnumpy()).all()
