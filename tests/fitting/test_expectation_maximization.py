"""Expectation maximization: monotone, that of dynamax, and at its end a maximum."""

import json

import mxnet as mx
import numpy as np
import pytest
from dynamax_references import PATH, STEPS, problem

import gluon_linalg as gl
from gluon_linalg.errors import NonFiniteError, ShapeError

NOT_FIXED = {"fixed": ()}
STRUCTURES = {
    "all": {},
    "everything": NOT_FIXED,
    "fixed emission": {"fixed": ("emission", "prior_covariance")},
    "diagonal and scalar": {
        "structure": {"observation_covariance": "diagonal", "process_covariance": "scalar"}
    },
    "tied": {
        "structure": {
            "transition": [[1, 0], [2, 1]],
            "emission": [[True, False], [True, True], [False, True]],
            "observation_covariance": [1, 1, 0],
        }
    },
}


def data(missing=0.25):
    """Three series, of which single elements and whole observations are missing."""
    y, start = problem()
    y = y.reshape(3, 20, 3)
    y[np.random.RandomState(5).uniform(size=y.shape) < missing] = np.nan
    y[0, 4] = np.nan
    return y, start


@pytest.mark.parametrize("name", STRUCTURES)
def test_no_iteration_lowers_the_likelihood(name):
    y, start = data()
    found = gl.expectation_maximization(y, **start, iterations=40, **STRUCTURES[name])
    assert len(found.log_likelihoods) == 41 and not found.converged
    assert (np.diff(found.log_likelihoods) > 0).all()
    likelihood = -gl.KalmanFilterLayer(2, 3)(**found.arrays(y)).sum().asscalar()
    assert found.log_likelihood == pytest.approx(likelihood, rel=1e-12)


def test_what_is_fixed_or_tied():
    y, start = data()
    options = STRUCTURES["tied"]
    found = gl.expectation_maximization(y, **start, iterations=5, **options).parameters
    a, h, r = (found[name] for name in ("transition", "emission", "observation_covariance"))
    assert a[0, 0] == a[1, 1] != 0.5 and a[0, 1] == 0.0 != a[1, 0]
    assert h[0, 1] == start["emission"][0, 1] and h[2, 0] == start["emission"][2, 0]
    assert r[0, 0] == r[1, 1] != 1.0 and r[2, 2] == 1.0 and not np.triu(r, 1).any()
    np.testing.assert_array_equal(found["prior_covariance"], start["prior_covariance"])


def test_the_steps_of_dynamax():
    expected = json.loads(PATH.read_text())
    y, start = problem()
    found = gl.expectation_maximization(y, **start, fixed=(), iterations=STEPS, tolerance=0)
    likelihoods = expected.pop("log_likelihoods")
    # It adds 1e-9 to the matrices that it solves with.
    np.testing.assert_allclose(found.log_likelihoods[:STEPS], likelihoods, rtol=1e-8)
    for name, value in expected.items():
        np.testing.assert_allclose(found.parameters[name], value, atol=1e-7)


def test_the_end_is_a_maximum():
    """Where the gradient of the likelihood is 0, with correlated noise and missing elements."""
    y, start = data()
    options = {"fixed": ("prior_mean", "prior_covariance", "process_covariance", "transition")}
    names, sizes = ("emission", "observation_factor"), []
    for iterations in (1, 150):
        found = gl.expectation_maximization(
            y, **start, iterations=iterations, tolerance=0, **options
        )
        arrays = found.arrays(y)
        for name in names:
            arrays[name].attach_grad()
        with mx.autograd.record():
            loss = gl.KalmanFilterLayer(2, 3)(**arrays)
        loss.backward()
        sizes.append(max(np.abs(arrays[name].grad.asnumpy()).max() for name in names))
    assert sizes[1] < 1e-6 * sizes[0]


def test_nile():
    """Variances of maximum diffuse likelihood of a local level (Durbin & Koopman 2012)."""
    nile = np.genfromtxt("examples/data/nile.csv", delimiter=",", skip_header=1)[:, 1]
    found = gl.expectation_maximization(
        nile, 1.0, 1.0, 1465.0, 15000.0,
        diffuse_directions=[[100.0]], fixed=("transition", "emission"),
        iterations=60, tolerance=1e-10,
    )  # fmt: skip
    assert found.converged and found.log_likelihood == pytest.approx(-632.5456, abs=1e-4)
    assert found.parameters["process_covariance"].item() == pytest.approx(1469.1, abs=0.5)
    assert found.parameters["observation_covariance"].item() == pytest.approx(15098.5, abs=1.0)


def test_a_singular_covariance_stays_so():
    """A smooth trend: the level has no disturbance, and its row of the transition is kept."""
    y, _ = data()
    found = gl.expectation_maximization(
        y[..., :1], [[1.0, 1.0], [0.0, 0.9]], [1.0, 0.0], np.diag([0.0, 0.1]), 1.0,
        prior_covariance=np.eye(2), iterations=20, fixed=("emission", "prior_covariance"),
    )  # fmt: skip
    assert (np.diff(found.log_likelihoods) > 0).all()
    np.testing.assert_allclose(found.parameters["transition"][0], [1.0, 1.0], atol=1e-8)
    np.testing.assert_allclose(found.parameters["process_covariance"][0], 0.0, atol=1e-12)
    assert found.parameters["transition"][1, 1] != 0.9


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"fixed": ("transitoin",)}, ValueError, "transitoin is none of the parameters"),
        (
            {"structure": {"prior_mean": "full"}, "fixed": ()},
            ValueError,
            "prior_mean has no structure",
        ),
        (
            {"structure": {"emission": "diagonal"}},
            ValueError,
            "structure of emission is 'diagonal'",
        ),
        ({"structure": {"emission": [1, 2]}}, ValueError, r"expected booleans or whole .*\(3, 2\)"),
        (
            {"structure": {"transition": "full"}, "fixed": ("transition",)},
            ValueError,
            "transition is fixed and has a structure",
        ),
        (
            {
                "structure": {"process_covariance": "scalar"},
                "process_covariance": [[1, 0.5], [0.5, 1]],
            },
            ValueError,
            "process_covariance begins with covariances that its structure does not have",
        ),
        ({"emission": np.ones((2, 2))}, ShapeError, "emission"),
        ({"transition": np.ones((20, 2, 2))}, ShapeError, "transition"),
        ({"y": np.full((4, 3), np.inf)}, NonFiniteError, "'y' has infinity"),
    ],
)
def test_errors(changes, error, message):
    y, start = data()
    with pytest.raises(error, match=message):
        gl.expectation_maximization(**{"y": y, **start, **changes})
