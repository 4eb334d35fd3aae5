"""Bayesian linear regression in NumPy, SciPy and mpmath, and the data of the paper's authors."""

import gp_reference
import mpmath
import numpy as np
import scipy.stats


def negative_log_likelihood(phi, y, prior, noise):
    """-log N(y | 0, Φ V Φᵀ + S) as a dense Gaussian; phi (n, d), y (n,) or (n, k)."""
    covariance = phi * prior @ phi.T + np.diag(np.broadcast_to(noise, len(phi)))
    gaussian = scipy.stats.multivariate_normal(np.zeros(len(phi)), covariance)
    return -np.sum(gaussian.logpdf(np.reshape(y, (len(phi), -1)).T))


def posterior(phi, y, prior, noise):
    """Mean and covariance of the weights by the normal equations."""
    noise = np.broadcast_to(noise, len(phi))
    covariance = np.linalg.inv(phi.T / noise @ phi + np.diag(np.ones(phi.shape[1]) / prior))
    return covariance @ (phi.T / noise) @ y, covariance


def exact(phi, y, prior, noise, digits=60):
    """φ and its gradient by phi, log prior and log noise in mpmath; one prior, one noise."""
    with mpmath.workdps(digits):
        n, d = phi.shape
        scale = mpmath.sqrt(mpmath.mpf(prior) / mpmath.mpf(noise))
        features = mpmath.matrix(phi.tolist()) * scale
        targets = mpmath.matrix(y.tolist()) / mpmath.sqrt(mpmath.mpf(noise))
        precision = mpmath.eye(d) + features.T * features
        inverse = precision**-1
        weights = inverse * (features.T * targets)
        residuals = targets - features * weights
        squares = sum(x * x for x in list(residuals) + list(weights))
        value = squares + mpmath.log(mpmath.det(precision))
        value = (value + n * mpmath.log(2 * mpmath.pi * mpmath.mpf(noise))) / 2
        by_phi = (features * inverse - residuals * weights.T) * scale
        free = sum(inverse[j, j] for j in range(d))
        by_prior = (d - free - sum(w * w for w in weights)) / 2
        by_noise = (n - (d - free) - sum(e * e for e in residuals)) / 2
        by_phi = np.array(by_phi.tolist(), dtype="float64")
        return float(value), by_phi, float(by_prior), float(by_noise)


def toy():
    """The line of the paper's authors with features [x, 1], and its 100 targets."""
    random = np.random.RandomState(0)
    x = random.rand(100, 1)
    y = -2.1 * x[:, 0] + random.randn(100) * 0.1 + 2
    return np.hstack([x, np.ones((100, 1))]), y


def olympic_polynomial(degree=20):
    """Powers 0 to `degree` of the year scaled to [0, 1], and the pace as it stands, 27 games."""
    year, pace = gp_reference.olympic_marathon()
    scaled = (year - year.min()) / (year.max() - year.min())
    return scaled[:, None] ** np.arange(degree + 1), pace
