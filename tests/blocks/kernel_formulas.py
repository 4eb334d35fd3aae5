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


def matern72(a, b, variance=1.0, lengthscale=1.0):
    r = np.sqrt(7.0) * scaled_distance(a, b, lengthscale)
    return variance * (1.0 + r + 2.0 / 5.0 * r**2 + r**3 / 15.0) * np.exp(-r)


def rational_quadratic(a, b, variance=1.0, lengthscale=1.0, alpha=1.0):
    r = scaled_distance(a, b, lengthscale)
    return variance * (1.0 + r**2 / (2.0 * alpha)) ** -alpha


def periodic(a, b, variance=1.0, lengthscale=1.0, period=1.0):
    sines = np.sin(np.pi * (a - b) / period) ** 2
    return variance * np.exp(-2.0 * (sines / np.asarray(lengthscale) ** 2).sum())


def cosine(a, b, variance=1.0, period=1.0):
    return variance * np.cos(2.0 * np.pi * ((a - b) / period).sum())


def powered_exponential(a, b, variance=1.0, lengthscale=1.0, exponent=1.0):
    return variance * np.exp(-(scaled_distance(a, b, lengthscale) ** exponent))


def spectral_mixture(a, b, variance, lengthscale, period):
    total = 0.0
    lengthscale, period = (np.reshape(v, (len(variance), -1)) for v in (lengthscale, period))
    for own, lengths, periods in zip(variance, lengthscale, period):
        decay = np.exp(-0.5 * (((a - b) / lengths) ** 2).sum())
        total += own * decay * np.prod(np.cos(2.0 * np.pi * (a - b) / periods))
    return total


def arc_cosine(a, b, order=1, variance=1.0, weight_variance=1.0, offset=1.0):
    def inner(u, v):
        return (weight_variance * u * v).sum() + offset

    norms = inner(a, a) * inner(b, b)
    angle = np.arccos(np.clip(inner(a, b) / np.sqrt(norms), -1.0, 1.0))
    s, c, rest = np.sin(angle), np.cos(angle), np.pi - angle
    angular = (rest, s + rest * c, 3.0 * s * c + rest * (1.0 + 2.0 * c**2))[order]
    return variance / np.pi * norms ** (order / 2.0) * angular


def change_point(before, after, location, width, column=0):
    """The formula of a change between two formulas."""

    def formula(a, b):
        s, t = (1.0 / (1.0 + np.exp(-(u[column] - location) / width)) for u in (a, b))
        return (1.0 - s) * before(a, b) * (1.0 - t) + s * after(a, b) * t

    return formula


def gibbs(logarithm, variance=1.0, lengthscale=1.0):
    """The formula of an RBF whose lengthscale at a is exp(logarithm(a)) times `lengthscale`."""

    def formula(a, b):
        u, v = np.exp(logarithm(a)), np.exp(logarithm(b))
        r = scaled_distance(a, b, lengthscale)
        ratio = 2.0 * u * v / (u**2 + v**2)
        return variance * ratio ** (len(a) / 2.0) * np.exp(-(r**2) / (u**2 + v**2))

    return formula


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
