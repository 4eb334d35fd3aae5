"""Arguments of Kalman layers from plain matrices: against statsmodels, and what is refused."""

import mxnet as mx
import numpy as np
import pytest
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

import gluon_linalg as gl

A = np.array([[1.0, 1.0, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, -0.5]])
H = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, -1.0]])
# Of rank 1, and of rank 2.
Q = np.outer([0.5, 0.1, -0.2], [0.5, 0.1, -0.2])
P = np.array([[4.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.3]])
R = np.array([[0.5, 0.1], [0.1, 0.3]])
M = np.array([1.0, -0.5, 0.0])
MATRICES = (A, H, Q, R, M, P)


def observed(steps=12):
    y = np.random.RandomState(3).randn(steps, 2).cumsum(axis=0)
    y[2, 0] = y[5] = np.nan
    return y


def reference(y, steps=0):
    """What statsmodels says of the same matrices."""
    model = KalmanSmoother(k_endog=2, k_states=3, k_posdef=3)
    model.bind(np.concatenate([y, np.full((steps, 2), np.nan)]))
    model["transition"], model["design"], model["selection"] = A, H, np.eye(3)
    model["state_cov"], model["obs_cov"] = Q, R
    model.initialize_known(M, P)
    return model.smooth()


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-4)])
def test_layers_on_plain_matrices_are_statsmodels(dtype, tolerance):
    y = observed()
    arrays = gl.kalman_arrays(y, *MATRICES, dtype=dtype)
    assert {str(np.dtype(array.dtype)) for array in arrays.values()} == {dtype}
    expected = reference(y, 4)
    loss = gl.KalmanFilterLayer(3, 2)(**arrays).asnumpy()
    np.testing.assert_allclose(loss, [-expected.llf], rtol=tolerance)
    mean, covariance = gl.KalmanSmootherLayer(3, 2)(**arrays)
    np.testing.assert_allclose(
        mean[0].asnumpy(), expected.smoothed_state.T[:12], rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        covariance[0].asnumpy(),
        expected.smoothed_state_cov.transpose(2, 0, 1)[:12],
        rtol=tolerance,
        atol=tolerance,
    )
    _, _, mean, spread = gl.KalmanForecastLayer(3, 2, steps=4)(**arrays)
    np.testing.assert_allclose(mean[0].asnumpy(), expected.forecasts.T[12:], rtol=tolerance)
    np.testing.assert_allclose(
        spread[0].asnumpy(), expected.forecasts_error_cov.transpose(2, 0, 1)[12:], rtol=tolerance
    )
    noise = {"prior_noise": (1, 3), "process_noise": (1, 12, 3), "observation_noise": (1, 12, 2)}
    noise = {name: mx.nd.zeros(shape, dtype=dtype) for name, shape in noise.items()}
    draw = gl.KalmanSamplerLayer(3, 2)(**arrays, **noise)
    assert draw.shape == (1, 12, 3) and np.isfinite(draw.asnumpy()).all()


COVARIANCES = {
    "nothing": (np.zeros((2, 2)), 0),
    "diagonal": (np.diag([4.0, 0.0, 1e-30]), 2),
    "rank one": (Q, 1),
    "of many units": (np.array([[1e16, 9.9e-1, 0], [9.9e-1, 1e-16, 0], [0, 0, 1e-300]]), 3),
    "singular in many units": (np.outer([1e8, 1e-8, 3.0], [1e8, 1e-8, 3.0]), 1),
    "two of three": (np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), 2),
    "of float32": (np.outer([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).astype("float32"), 1),
}


@pytest.mark.parametrize("name", COVARIANCES)
def test_factors_are_exact(name):
    covariance, rank = COVARIANCES[name]
    size = len(covariance)
    given = (np.zeros(3), np.eye(size), np.eye(size)[0], covariance, 1.0, None, np.eye(size))
    factor = gl.kalman_arrays(*given)["process_factor"].asnumpy()[0, 0]
    assert factor.shape == (size, size)
    deviations = np.sqrt(np.diag(covariance.astype("float64")))
    rounding = 4e-15 if covariance.dtype == "float64" else 4e-7
    difference = np.abs(factor @ factor.T - covariance)
    assert (difference <= rounding * np.outer(deviations, deviations)).all()
    assert (np.abs(factor).max(axis=0) > 0).sum() == rank


def test_axes_of_time_and_of_series_are_added():
    y = np.arange(5.0)
    arrays = gl.kalman_arrays(y, 1.0, 1.0, 2.0, 3.0, prior_covariance=4.0, transition_offset=0.5)
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        "y": (1, 5, 1),
        "transition": (1, 1, 1, 1),
        "emission": (1, 1, 1, 1),
        "process_factor": (1, 1, 1, 1),
        "observation_factor": (1, 1, 1, 1),
        "prior_mean": (1, 1),
        "prior_factor": (1, 1, 1),
        "transition_offset": (1, 1, 1),
    }
    assert arrays["prior_factor"].asscalar() == 2.0
    over_time = np.stack([Q * (t + 1) for t in range(6)])
    series = np.random.RandomState(0).randn(4, 6, 2)
    arrays = gl.kalman_arrays(
        series, A, np.stack([[H] * 6] * 4), over_time, R, np.tile(M, (4, 1)), [P] * 4
    )
    assert arrays["emission"].shape == (4, 6, 2, 3) and arrays["prior_factor"].shape == (4, 3, 3)
    factors = arrays["process_factor"].asnumpy()
    np.testing.assert_allclose(factors[0] @ factors[0].transpose(0, 2, 1), over_time, rtol=1e-12)
    assert "mask" not in arrays


def test_nothing_known_in_some_directions():
    """A random walk: the changes are independent, and nothing is known of its beginning."""
    y = np.random.RandomState(1).randn(20).cumsum()
    arrays = gl.kalman_arrays(y, 1.0, 1.0, 0.7, 0.0, diffuse_directions=1.0)
    loss = gl.KalmanFilterLayer(1, diffuse=1)(**arrays).asscalar()
    expected = 0.5 * np.sum(np.diff(y) ** 2 / 0.7 + np.log(2 * np.pi * 0.7))
    assert loss == pytest.approx(expected, rel=1e-12)


def test_arrays_stay_on_the_device_of_y():
    given = [mx.nd.array(value, ctx=mx.cpu(1)) for value in (observed(), *MATRICES)]
    assert {a.context for a in gl.kalman_arrays(*given).values()} == {mx.cpu(1)}
    assert gl.kalman_arrays(*given, device=mx.cpu(0))["y"].context == mx.cpu(0)


def changed(name, value):
    names = ("transition", "emission", "process_covariance", "observation_covariance")
    names += ("prior_mean", "prior_covariance")
    return {"y": observed(), **dict(zip(names, MATRICES)), name: value}


@pytest.mark.parametrize(
    "name, value, error, message",
    [
        ("transition", A[0], gl.errors.ShapeError, r"'transition' has shape \(3,\), expected \(d,"),
        ("emission", H[:, :2], gl.errors.ShapeError, "'emission' has shape .* d is 3 in 'transi"),
        ("process_covariance", np.eye(2), gl.errors.ShapeError, "'process_covariance' has shape"),
        ("observation_covariance", 1.0, gl.errors.ShapeError, "'observation_covariance' has shape"),
        (
            "prior_mean",
            [[M]],
            gl.errors.ShapeError,
            r"shape \(1, 1, 3\), expected \(d\) or \(B, d\)",
        ),
        ("y", "abc", gl.errors.ShapeError, "'y' is not an array of numbers"),
        ("mask", np.ones(12), gl.errors.ShapeError, "'mask' has shape"),
        (
            "transition",
            np.full((3, 3), np.inf),
            gl.errors.NonFiniteError,
            "'transition' has NaN or infinity",
        ),
        (
            "prior_covariance",
            np.diag([1.0, -1e-9, 1.0]),
            gl.errors.NotPositiveDefiniteError,
            "'prior_covariance' is no covariance: it is not positive semidefinite.*eigenvalue -1e",
        ),
        (
            "observation_covariance",
            [[1.0, 2.0], [2.0, 1.0]],
            gl.errors.NotPositiveDefiniteError,
            "eigenvalue -1",
        ),
        (
            "observation_covariance",
            [[1.0, 0.2], [0.1, 1.0]],
            gl.errors.NotPositiveDefiniteError,
            "not symmetric",
        ),
        ("prior_covariance", None, TypeError, "give prior_covariance, or diffuse_directions"),
        ("dtype", "float16", gl.errors.DtypeError, "dtype is 'float16'"),
    ],
)
def test_what_is_refused_is_named(name, value, error, message):
    with pytest.raises(error, match=f"kalman_arrays: .*{message}"):
        gl.kalman_arrays(**changed(name, value))
