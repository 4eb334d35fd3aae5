"""The kernels in plain NumPy, one pair of points at a time, from the formulas of the docstrings."""

import numpy as np


def scaled_distance(a, b, lengthscale):
    return np.sqrt((((a - b) / lengthscale) ** 2).sum())


def rbf(a, b, variance=1.0, lengthscale=1.0):
    return variance * np.exp(-0.5 * scaled_distance(a, b, lengthscale) ** 2)


def matern12(a, b, variance=1.0, lengthscale=1.0):
    return variance * np.exp(-scaled_distance(a, b, lengthscale))


def matern32(a, b, variance=1.0, lengthscale=1.0):
    r = np.sqrt(3.0) * scaled_distance(a, b, lengthscale)
    return variance * (1.0 + r) * np.exp(-r)


def matern52(a, b, variance=1.0, lengthscale=1.0):
    r = scaled_distance(a, b, lengthscale)
    return variance * (1.0 + np.sqrt(5.0) * r + 5.0 / 3.0 * r**2) * np.exp(-np.sqrt(5.0) * r)


def rational_quadratic(a, b, variance=1.0, lengthscale=1.0, alpha=1.0):
    r = scaled_distance(a, b, lengthscale)
    return variance * (1.0 + r**2 / (2.0 * alpha)) ** -alpha


def periodic(a, b, variance=1.0, lengthscale=1.0, period=1.0):
    sines = np.sin(np.pi * (a - b) / period) ** 2
    return variance * np.exp(-2.0 * (sines / np.asarray(lengthscale) ** 2).sum())


def cosine(a, b, variance=1.0, period=1.0):
    return variance * np.cos(2.0 * np.pi * ((a - b) / period).sum())


def linear(a, b, variance=1.0):
    return (variance * a * b).sum()


def polynomial(a, b, degree=2, variance=1.0, lengthscale=1.0, offset=1.0):
    return variance * ((a * b / np.asarray(lengthscale) ** 2).sum() + offset) ** degree


def constant(a, b, variance=1.0):
    return variance


def matrix(formula, x, z, **parameters):
    """The formula for every pair, (B, n, d), (B, m, d) -> (B, n, m)."""
    return np.array(
        [[[formula(a, b, **parameters) for b in zs] for a in xs] for xs, zs in zip(x, z)]
    )
