"""Structural time series in plain NumPy matrices, and their likelihood by statsmodels.

Harvey 1989, chapter 2; Durbin & Koopman 2012, chapters 3 and 5.
"""

import math
from collections import namedtuple

import numpy as np
from scipy.linalg import block_diag, solve_discrete_lyapunov
from statsmodels.tsa.statespace.initialization import Initialization
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

# emission: (d,) or (T, d); priors: blocks of (mean, covariance), or an int, a number of diffuse
# states.
Parts = namedtuple("Parts", ["transition", "emission", "process", "priors"])


def level(variance):
    return Parts(np.eye(1), np.ones(1), np.diag([variance]), [1])


def trend(level_variance, slope_variance, damping=1.0):
    transition = np.array([[1.0, 1.0], [0.0, damping]])
    priors = [2]
    if damping != 1.0:
        priors = [1, (np.zeros(1), np.array([[slope_variance / (1.0 - damping**2)]]))]
    process = np.diag([level_variance, slope_variance])
    return Parts(transition, np.array([1.0, 0.0]), process, priors)


def semilocal(level_variance, slope_variance, damping):
    transition = np.array([[1.0, 1.0, 1.0], [0.0, damping, 0.0], [0.0, 0.0, 1.0]])
    slope = (np.zeros(1), np.array([[slope_variance / (1.0 - damping**2)]]))
    process = np.diag([level_variance, slope_variance, 0.0])
    return Parts(transition, np.array([1.0, 0.0, 0.0]), process, [1, slope, 1])


def dummy(period, variance):
    size = period - 1
    transition = np.eye(size, k=-1)
    transition[0] = -1.0
    process = np.zeros((size, size))
    process[0, 0] = variance
    return Parts(transition, np.eye(size)[0], process, [size])


def trigonometric(period, harmonics, variance):
    blocks, row = [], []
    for j in range(1, harmonics + 1):
        if 2 * j == period:
            blocks.append(-np.eye(1))
            row.append(1.0)
        else:
            blocks.append(rotation(2.0 * math.pi * j / period))
            row += [1.0, 0.0]
    return Parts(block_diag(*blocks), np.array(row), variance * np.eye(len(row)), [len(row)])


def cycle(period, damping, variance, stationary=True):
    transition = damping * rotation(2.0 * math.pi / period)
    prior = 2
    if stationary:
        prior = (np.zeros(2), variance / (1.0 - damping**2) * np.eye(2))
    return Parts(transition, np.array([1.0, 0.0]), variance * np.eye(2), [prior])


def autoregression(coefficients, variance):
    size = len(coefficients)
    transition = np.eye(size, k=-1)
    transition[0] = coefficients
    process = np.zeros((size, size))
    process[0, 0] = variance
    covariance = solve_discrete_lyapunov(transition, process)
    return Parts(transition, np.eye(size)[0], process, [(np.zeros(size), covariance)])


def regression(covariates, variances=None):
    size = covariates.shape[1]
    process = np.zeros((size, size)) if variances is None else np.diag(variances)
    return Parts(np.eye(size), covariates, process, [size])


def known(parts, mean, deviations):
    """The same with a known prior."""
    return parts._replace(priors=[(np.asarray(mean), np.diag(np.square(deviations)))])


def total(*parts):
    """The sum of components."""
    steps = max(len(p.emission) if p.emission.ndim == 2 else 1 for p in parts)
    rows = [np.broadcast_to(p.emission, (steps, p.transition.shape[0])) for p in parts]
    return Parts(
        block_diag(*[p.transition for p in parts]),
        np.concatenate(rows, axis=1),
        block_diag(*[p.process for p in parts]),
        [prior for p in parts for prior in p.priors],
    )


def rotation(angle):
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def diffuse_count(parts):
    return sum(prior for prior in parts.priors if isinstance(prior, int))


def smoother(parts, y, noise):
    """statsmodels' exact diffuse filter and smoother of y (T,), NaN where missing."""
    size = parts.transition.shape[0]
    model = KalmanSmoother(k_endog=1, k_states=size, k_posdef=size)
    model.bind(np.array(y, dtype="float64").reshape(-1, 1))
    model["selection"], model["state_cov"] = np.eye(size), parts.process
    model["transition"], model["obs_cov"] = parts.transition, np.array([[noise]])
    emission = np.atleast_2d(parts.emission)
    steps = len(y) if len(emission) > 1 else 1
    model["design"] = emission[:steps].T.reshape(1, size, steps)
    prior, begin = Initialization(size), 0
    for part in parts.priors:
        if isinstance(part, int):
            prior.set((begin, begin + part), "diffuse")
            begin += part
        else:
            mean, covariance = part
            end = begin + len(mean)
            prior.set((begin, end), "known", constant=mean, stationary_cov=covariance)
            begin = end
    model.initialization = prior
    return model.smooth()


def negative_log_likelihood(parts, y, noise):
    """Without the ½ log 2π that statsmodels takes off for each diffuse state."""
    constant = 0.5 * math.log(2.0 * math.pi) * diffuse_count(parts)
    return -smoother(parts, y, noise).llf - constant
