"""Gaussian processes in time with 50 digits: kernels from their formulas, the dense likelihood."""

import mpmath
import numpy as np

DIGITS = 50
mp = mpmath.mp


def matern12(s, t, variance, lengthscale):
    return variance * mp.exp(-abs(s - t) / lengthscale)


def matern32(s, t, variance, lengthscale):
    r = mp.sqrt(3) * abs(s - t) / lengthscale
    return variance * (1 + r) * mp.exp(-r)


def matern52(s, t, variance, lengthscale):
    r = mp.sqrt(5) * abs(s - t) / lengthscale
    return variance * (1 + r + r**2 / 3) * mp.exp(-r)


def matern72(s, t, variance, lengthscale):
    r = mp.sqrt(7) * abs(s - t) / lengthscale
    return variance * (1 + r + 2 * r**2 / 5 + r**3 / 15) * mp.exp(-r)


def rbf(s, t, variance, lengthscale):
    return variance * mp.exp(-(((s - t) / lengthscale) ** 2) / 2)


def cosine(s, t, variance, period):
    return variance * mp.cos(2 * mp.pi * (s - t) / period)


def periodic(s, t, variance, lengthscale, period):
    return variance * mp.exp(-2 * mp.sin(mp.pi * (s - t) / period) ** 2 / lengthscale**2)


def linear(s, t, variance):
    return variance * s * t


def polynomial(s, t, variance, lengthscale, offset, degree=2):
    return variance * (s * t / lengthscale**2 + offset) ** degree


def constant(s, t, variance):
    return variance


def covariance(formula, x, z, values):
    values = [mp.mpf(float(v)) if isinstance(v, float) else v for v in values]
    return mp.matrix([[formula(mp.mpf(s), mp.mpf(t), *values) for t in z] for s in x])


def negative_log_likelihood(formula, x, y, values, noise):
    """values: of the hyperparameters; noise: a variance."""
    matrix = covariance(formula, x, x, values)
    for i in range(len(x)):
        matrix[i, i] += noise
    lower = mp.cholesky(matrix)
    white = mp.lu_solve(lower, mp.matrix([mp.mpf(v) for v in y]))
    total = sum(w**2 for w in white) / 2 + len(x) * mp.log(2 * mp.pi) / 2
    return total + sum(mp.log(lower[i, i]) for i in range(len(x)))


def value_and_gradient(formula, x, y, values, noise):
    """The value and its derivatives by the logarithm of each hyperparameter and of the noise."""
    with mpmath.workdps(DIGITS):
        start = [mp.mpf(float(v)) for v in (*values, noise)]

        def at(number, step):
            moved = list(start)
            moved[number] = moved[number] * mp.exp(step)
            return negative_log_likelihood(formula, x, y, moved[:-1], moved[-1])

        step = mp.mpf(10) ** -16
        gradient = [(at(k, step) - at(k, -step)) / (2 * step) for k in range(len(start))]
        value = negative_log_likelihood(formula, x, y, start[:-1], start[-1])
        return float(value), np.array([float(g) for g in gradient])


def posterior(formula, x, y, values, noise, new):
    """Mean and variance of the process at new times."""
    with mpmath.workdps(DIGITS):
        matrix = covariance(formula, x, x, values)
        for i in range(len(x)):
            matrix[i, i] += noise
        cross = covariance(formula, x, new, values)
        weights = mp.lu_solve(matrix, mp.matrix([mp.mpf(v) for v in y]))
        mean, variance = [], []
        for j, t in enumerate(new):
            column = cross[:, j]
            own = formula(mp.mpf(t), mp.mpf(t), *(mp.mpf(float(v)) for v in values))
            mean.append(float((column.T * weights)[0]))
            variance.append(float(own - (column.T * mp.lu_solve(matrix, column))[0]))
        return np.array(mean), np.array(variance)
