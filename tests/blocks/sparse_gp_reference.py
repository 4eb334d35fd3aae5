"""Sparse Gaussian processes in NumPy and SciPy by their dense formulas, one batch element each."""

import gp_reference
import numpy as np
import scipy.stats


def inducing_covariance(kernel, x, points):
    """Q = k(x, Z) K(Z, Z)⁻¹ k(Z, x)."""
    cross = kernel(points[None], x[None])[0]
    return cross.T @ np.linalg.solve(kernel(points[None], points[None])[0], cross)


def log_normal(residual, covariance):
    return scipy.stats.multivariate_normal.logpdf(residual, np.zeros(len(residual)), covariance)


def sgpr(kernel, x, y, points, noise):
    """Titsias 2009, equation 9, its negative; noise: (n,) variances."""
    explained = inducing_covariance(kernel, x, points)
    rest = kernel(x[None], x[None])[0] - explained
    return -log_normal(y, explained + np.diag(noise)) + 0.5 * (np.diag(rest) / noise).sum()


def fitc(kernel, x, y, points, noise):
    """Snelson & Ghahramani 2006, equation 9, its negative logarithm."""
    explained = inducing_covariance(kernel, x, points)
    rest = np.diag(kernel(x[None], x[None])[0] - explained)
    return -log_normal(y, explained + np.diag(rest + noise))


def posterior(kernel, x, y, points, noise, new):
    """Mean and covariance at `new` with Σ = (K(Z, Z) + k(Z, x) S⁻¹ k(x, Z))⁻¹."""
    inner = kernel(points[None], points[None])[0]
    cross, ahead = kernel(points[None], x[None])[0], kernel(points[None], new[None])[0]
    precision = inner + cross @ np.diag(1.0 / noise) @ cross.T
    mean = ahead.T @ np.linalg.solve(precision, cross @ (y / noise))
    prior = kernel(new[None], new[None])[0]
    covariance = prior - ahead.T @ (np.linalg.solve(inner, ahead))
    return mean, covariance + ahead.T @ np.linalg.solve(precision, ahead)


def rest_of(kernel, x, points):
    explained = inducing_covariance(kernel, x, points)
    return np.diag(kernel(x[None], x[None])[0] - explained)


rbf = gp_reference.rbf
