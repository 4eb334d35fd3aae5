"""The stationary covariance of a linear system against SciPy, value and gradient."""

import mxnet as mx
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from gluon_linalg.errors import LinearAlgebraError
from gluon_linalg.functional.lyapunov import stationary_factor

RANDOM = np.random.RandomState(3)


def with_radius(matrix, radius):
    return matrix * (radius / np.abs(np.linalg.eigvals(matrix)).max())


SQUARE, UNITS = RANDOM.normal(size=(4, 4)), np.diag([1e6, 1.0, 1e-3, 1e-6])
STABLE = with_radius(SQUARE, 0.9)
SHIFT = np.eye(4, k=-1)
# name: (A, G, tolerance)
CASES = {
    "regular": (STABLE, RANDOM.normal(size=(4, 4)), 1e-13),
    "one disturbance": (STABLE, RANDOM.normal(size=(4, 1)), 1e-12),
    "near a unit root": (with_radius(SQUARE, 1 - 1e-5), RANDOM.normal(size=(4, 2)), 1e-9),
    "moving average": (SHIFT, np.eye(4)[:, :1], 1e-13),
    # Of rank 1, and a change of A makes it rank 4.
    "rank one": (np.zeros((4, 4)), np.eye(4)[:, :1], 1e-13),
    "other units": (
        UNITS @ STABLE @ np.linalg.inv(UNITS),
        UNITS @ RANDOM.normal(size=(4, 2)),
        1e-12,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name):
    a, g, tolerance = CASES[name]
    weights = np.random.RandomState(1).normal(size=(4, 4))
    weights = weights + weights.T
    arrays = [mx.nd.array(x[None], dtype="float64") for x in (a, g)]
    for array in arrays:
        array.attach_grad()
    with mx.autograd.record():
        factor = stationary_factor(mx.nd, *arrays)
        covariance = mx.nd.batch_dot(factor, factor, transpose_b=True)
        total = (covariance * mx.nd.array(weights[None], dtype="float64")).sum()
    total.backward()
    # In units of the states, for SciPy solves a dense system.
    units = UNITS if name == "other units" else np.eye(4)
    back = np.linalg.inv(units)
    plain = back @ a @ units, back @ g
    expected = solve_discrete_lyapunov(plain[0], plain[1] @ plain[1].T)
    adjoint = solve_discrete_lyapunov(plain[0].T, units @ weights @ units)
    found = back @ covariance.asnumpy()[0] @ back
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    slopes = 2 * adjoint @ plain[0] @ expected, 2 * adjoint @ plain[1]
    gradients = [array.grad.asnumpy()[0] for array in arrays]
    for own, slope in zip((units @ gradients[0] @ back, units @ gradients[1]), slopes):
        np.testing.assert_allclose(own, slope, atol=10 * tolerance * max(np.abs(slope).max(), 1.0))


@pytest.mark.parametrize(
    "transition", [np.eye(2), [[1.5, 1.0], [0.0, 0.2]], [[0.0, -1.0], [1.0, 0]]]
)
def test_a_process_that_is_not_stationary(transition):
    arrays = [mx.nd.array([x], dtype="float64") for x in (transition, np.eye(2))]
    with pytest.raises(LinearAlgebraError, match="not stationary.*Failing batch elements: 0"):
        stationary_factor(mx.nd, *arrays)
