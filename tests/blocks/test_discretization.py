"""Continuous time: the arrays of gaps, and the likelihood of processes seen at any times."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg

import gluon_linalg as gl

# A damped oscillator, driven in its second state.
DRIFT, DIFFUSION = np.array([[0.0, 1.0], [-2.0, -0.6]]), np.array([[0.0], [0.8]])
TIMES = np.array([0.0, 0.3, 1.7, 1.9, 6.0, 6.05])


def van_loan(drift, diffusion, gap):
    """A and Q from the exponential of one block matrix."""
    d = len(drift)
    block = np.block([[-drift, diffusion @ diffusion.T], [np.zeros((d, d)), drift.T]])
    found = scipy.linalg.expm(block * gap)
    transition = found[d:, d:].T
    return transition, transition @ found[:d, d:]


def dense_likelihood(y, drift=DRIFT, diffusion=DIFFUSION, noise=0.3):
    """-log p(y) of y = x_1 + ε at TIMES, x being stationary, by its covariance function."""
    P = scipy.linalg.solve_continuous_lyapunov(drift, -diffusion @ diffusion.T)
    gaps = TIMES[:, None] - TIMES[None]
    covariance = np.array(
        [[(scipy.linalg.expm(drift * abs(h)) @ P)[0, 0] for h in row] for row in gaps]
    )
    covariance = covariance + noise**2 * np.eye(len(TIMES))
    _, logarithm = np.linalg.slogdet(2 * np.pi * covariance)
    return 0.5 * (logarithm + y @ np.linalg.solve(covariance, y))


def test_arrays_of_gaps():
    gaps = np.array([[0.0, 0.1, 3.0]])
    arrays = (DRIFT[None, None], DIFFUSION[None, None], gaps)
    arrays = [mx.nd.array(a, dtype="float64") for a in arrays]
    block = gl.DiscretizationBlock()
    for _ in range(2):
        transition, factor = (a.asnumpy()[0] for a in block(*arrays))
        for t, gap in enumerate(gaps[0]):
            right = van_loan(DRIFT, DIFFUSION, gap)
            np.testing.assert_allclose(transition[t], right[0], rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(factor[t] @ factor[t].T, right[1], rtol=1e-11, atol=1e-14)
        block.hybridize(static_alloc=True, static_shape=True)


def test_a_process_at_any_times():
    """Its likelihood, and the gradient of that through the gaps, is that of a dense Gaussian."""
    y = np.random.RandomState(0).randn(len(TIMES))
    P = scipy.linalg.solve_continuous_lyapunov(DRIFT, -DIFFUSION @ DIFFUSION.T)
    arrays = gl.kalman_arrays(
        y,
        emission=[1.0, 0.0],
        observation_factor=0.3,
        times=TIMES,
        drift=DRIFT,
        diffusion=DIFFUSION,
        prior_covariance=P,
    )
    found = gl.KalmanFilterLayer(2)(**arrays).asnumpy()
    np.testing.assert_allclose(found, dense_likelihood(y), rtol=1e-10)
    drift, diffusion = (mx.nd.array(a[None, None], dtype="float64") for a in (DRIFT, DIFFUSION))
    gaps = mx.nd.array([[*np.diff(TIMES), 0.0]], dtype="float64")
    for array in (drift, diffusion):
        array.attach_grad()
    with mx.autograd.record():
        transition, factor = gl.DiscretizationBlock()(drift, diffusion, gaps)
        loss = gl.KalmanFilterLayer(2)(**dict(arrays, transition=transition, process_factor=factor))
    loss.backward()

    def value(move):
        # The prior is no part of it.
        moved = gl.kalman_arrays(
            y,
            emission=[1.0, 0.0],
            observation_covariance=0.09,
            times=TIMES,
            drift=DRIFT + move[0],
            diffusion=DIFFUSION + move[1],
            prior_factor=np.linalg.cholesky(P),
        )
        return gl.KalmanFilterLayer(2)(**moved).asscalar()

    for place, array in enumerate((drift, diffusion)):
        for index in np.ndindex(array.shape[2:]):
            move = [np.zeros((2, 2)), np.zeros((2, 1))]
            move[place][index] = 1e-5
            right = (value(move) - value([-m for m in move])) / 2e-5
            assert array.grad[0, 0].asnumpy()[index] == pytest.approx(right, rel=1e-6, abs=1e-7)


def test_arguments_in_two_ways_or_none():
    y, eye = np.zeros(4), np.eye(2)
    good = dict(transition=eye, emission=[1.0, 0.0], process_factor=eye, observation_factor=1.0)
    for changes, error, message in (
        ({}, TypeError, "what is known of the first state is missing"),
        ({"prior_factor": eye, "prior_covariance": eye}, TypeError, "not both"),
        ({"process_covariance": eye, "prior_factor": eye}, TypeError, "not both"),
        ({"observation_factor": None, "prior_factor": eye}, TypeError, "observation_covariance"),
        ({"emission": None, "prior_factor": eye}, TypeError, "'emission' is missing"),
        ({"prior_factor": eye, "prior": "stationary"}, TypeError, "leave the prior out"),
        ({"prior": "flat"}, ValueError, "prior is 'flat'"),
        ({"times": [0, 1, 2, 3], "prior_factor": eye}, TypeError, "'drift' is missing"),
    ):
        with pytest.raises(error, match=message):
            gl.kalman_arrays(y, **{**good, **changes})
    continuous = dict(emission=[1.0, 0.0], observation_factor=1.0, prior_factor=eye)
    continuous.update(drift=-eye, diffusion=eye)
    with pytest.raises(ValueError, match="'times' is not increasing.*t = 2"):
        gl.kalman_arrays(y, times=[0.0, 1.0, 1.0, 2.0], **continuous)
    with pytest.raises(TypeError, match="either 'transition', or 'times'"):
        gl.kalman_arrays(y, eye, times=[0.0, 1.0, 2.0, 3.0], **continuous)


def test_a_stationary_prior_and_factors():
    """Factors of any width, and a prior that the layer finds."""
    y = np.random.RandomState(1).randn(7)
    A, G = np.array([[0.9, 0.2], [0.0, 0.5]]), np.array([[1.0], [0.3]])
    P = scipy.linalg.solve_discrete_lyapunov(A, G @ G.T)
    own = gl.kalman_arrays(
        y, A, [1.0, 0.0], process_factor=G, observation_factor=[0.5], prior="stationary"
    )
    found = gl.KalmanFilterLayer(2, prior="stationary")(**own).asnumpy()
    known = gl.kalman_arrays(y, A, [1.0, 0.0], G @ G.T, 0.25, prior_covariance=P)
    np.testing.assert_allclose(found, gl.KalmanFilterLayer(2)(**known).asnumpy(), rtol=1e-10)
