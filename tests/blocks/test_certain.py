"""`singular='skip'`: which elements of an observation are certain, where rounding makes it hard."""

import mpmath
import mxnet as mx
import numpy as np
import pytest
from kalman_reference import log_likelihood

import gluon_linalg as gl

DIGITS = 60
ROUNDOFF = 2.0**-53


def system_of(y, A, H, G, D, S):
    arrays = {
        "y": y,
        "transition": A[None],
        "emission": H[None],
        "process_factor": G[None],
        "observation_factor": D[None],
        "prior_mean": np.zeros(len(A)),
        "prior_factor": S,
    }
    return {name: array[None] for name, array in arrays.items()}


def loss_of(system, **options):
    d, p = system["emission"].shape[3], system["emission"].shape[2]
    layer = gl.KalmanFilterLayer(d, p, **options)
    layer.cast("float64")
    arrays = {name: mx.nd.array(array, dtype="float64") for name, array in system.items()}
    return layer(**arrays).asscalar()


def test_a_companion_matrix_of_many_steps_makes_nothing_certain():
    """Its entries are above 1, its powers are not."""
    random = np.random.RandomState(0)
    A = np.array([[2.5, -2.2, 0.65], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    d = len(A)
    H, G = np.eye(1, d), np.eye(d, 1)
    x, y = np.zeros(d), []
    for _ in range(60):
        y.append(H @ x)
        x = A @ x + G @ random.randn(1)
    system = system_of(np.array(y), A, H, G, np.zeros((1, 1)), np.eye(d))
    right = -log_likelihood(system)
    np.testing.assert_allclose(loss_of(system, singular="skip"), right, rtol=1e-9)


def unmoved(seed, decades, steps=8):
    """Sensors of which some repeat others, of states that nothing moves."""
    random = np.random.RandomState(seed)
    d, p = random.randint(1, 5), random.randint(1, 5)
    H = random.randint(-2, 3, (p, d)).astype("float64")
    D = np.diag([10.0 ** random.uniform(-1, 1) if random.rand() < 0.3 else 0.0 for _ in range(p)])
    S = np.diag(10.0 ** random.uniform(-decades, decades, d))
    x = S @ random.randn(d)
    y = np.array([H @ x + D @ random.randn(p) for _ in range(steps)])
    return y, np.eye(d), H, np.zeros((d, 1)), D, S


def exact_loss(y, H, D, S):
    """The univariate treatment of a state that nothing moves, in so many digits.

    And what one rounding of each row of [H S  D], as long as the row, does to it: a row of which
    the rows before leave only a small part has that part, and its innovation, so much less exactly.
    """
    rounding = 0.0
    with mpmath.workdps(DIGITS):
        p, d = H.shape
        mean, covariance, total = mpmath.zeros(d + p, 1), mpmath.zeros(d + p), mpmath.mpf(0)
        for k in range(d):
            covariance[k, k] = mpmath.mpf(S[k, k]) ** 2
        for observed in y:
            # The noises of one time are states that the next time draws anew.
            for k in range(d, d + p):
                mean[k] = 0
                for j in range(d + p):
                    covariance[k, j] = covariance[j, k] = 0
                covariance[k, k] = mpmath.mpf(D[k - d, k - d]) ** 2
            for k in range(p):
                row = mpmath.matrix([[*H[k], *np.eye(p)[k]]])
                scale = sum(row[j] ** 2 * covariance[j, j] for j in range(d + p))
                variance = (row * covariance * row.T)[0]
                prior = sum((row[j] * S[j, j]) ** 2 for j in range(d)) + D[k, k] ** 2
                if variance <= mpmath.mpf(10) ** -45 * max(scale, prior):
                    continue
                innovation = mpmath.mpf(observed[k]) - (row * mean)[0]
                gain = covariance * row.T / variance
                mean, covariance = mean + gain * innovation, covariance - gain * gain.T * variance
                square = innovation**2 / variance
                total += (mpmath.log(2 * mpmath.pi * variance) + square) / 2
                rounding += ROUNDOFF * float((1 + square) * mpmath.sqrt(prior / variance))
        return float(total), rounding


@pytest.mark.parametrize("backend", ["auto", "mxnet"])
@pytest.mark.parametrize(
    "seed, decades",
    # Were refused or wrong by a rule that knew no errors but those of a row itself. In the last
    # ones float64 numbers of size 1e6 tell of states of size 1e-7, up to their rounding.
    [(69, 2), (108, 2), (109, 8), (148, 8), (21, 8), (11, 8)],
)
def test_badly_scaled_priors(seed, decades, backend):
    y, A, H, G, D, S = unmoved(seed, decades)
    with gl.use_backend(backend):
        found = loss_of(system_of(y, A, H, G, D, S), singular="skip")
    right, rounding = exact_loss(y, H, D, S)
    np.testing.assert_allclose(found, right, rtol=1e-14, atol=8 * rounding)


@pytest.mark.parametrize("seed, decades", [(69, 2), (148, 8)])
def test_what_contradicts_is_refused_at_any_scale(seed, decades):
    y, *arrays = unmoved(seed, decades)
    y[5, 0] *= 1.01
    with pytest.raises(gl.errors.SingularMatrixError, match="not what they make of it.*t = 5"):
        loss_of(system_of(y, *arrays), singular="skip")
