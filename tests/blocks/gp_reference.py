"""Gaussian process regression in NumPy and SciPy, and the published data sets."""

import csv
import os

import kernel_formulas as formulas
import numpy as np
import scipy.stats

DATA = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "data")


def negative_log_likelihood(covariance, residual):
    """-log N(r | 0, A) by SciPy, for each batch element."""
    return np.array(
        [
            -scipy.stats.multivariate_normal.logpdf(r, np.zeros(len(r)), a)
            for a, r in zip(covariance, residual)
        ]
    )


def posterior(kernel, x, y, noise, z):
    """Mean and covariance at z by explicit solves, kernel: (x, z) -> (B, n, m)."""
    a = kernel(x, x) + noise * np.eye(x.shape[1])
    cross = kernel(z, x)
    mean = cross @ np.linalg.solve(a, y[..., None])
    covariance = kernel(z, z) - cross @ np.linalg.solve(a, cross.transpose(0, 2, 1))
    return mean[..., 0], covariance


def rbf(variance, lengthscale):
    def kernel(x, z):
        return formulas.matrix(formulas.rbf, x, z, variance=variance, lengthscale=lengthscale)

    return kernel


def co2():
    """Year + month/12 and the concentration minus its mean, 521 months."""
    rows = _rows("co2_monthly.csv")
    x = np.array([int(date[:4]) + int(date[5:7]) / 12.0 for date, _ in rows])
    y = np.array([float(value) for _, value in rows])
    return x, y - y.mean()


def olympic_marathon():
    """Year and pace in minutes per kilometre, 27 games."""
    rows = _rows("olympic_marathon.csv")
    return tuple(np.array([float(row[i]) for row in rows]) for i in (0, 1))


def _rows(name):
    with open(os.path.join(DATA, name), newline="") as file:
        return list(csv.reader(file))[1:]
