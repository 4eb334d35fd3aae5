"""Sigma-point filters and smoothers with covariances, in NumPy, by their textbook formulas.

Särkkä & Svensson 2023: the general Gaussian filter (algorithm 8.3) and Rauch-Tung-Striebel
smoother (14.1), one series at a time.
"""

from itertools import product

import numpy as np


def rule(name, size):
    """Nodes (S, d), and weights of means and covariances."""
    if name == "cubature":
        nodes = np.sqrt(size) * np.concatenate([np.eye(size), -np.eye(size)])
        return nodes, np.full(2 * size, 0.5 / size), np.full(2 * size, 0.5 / size)
    if name == "unscented":
        lam = 3 * (size + 1) - size
        axes = np.sqrt(size + lam) * np.eye(size)
        weights = np.full(2 * size + 1, 0.5 / (size + lam))
        weights[0] = lam / (size + lam)
        nodes = np.concatenate([np.zeros((1, size)), axes, -axes])
        return nodes, weights, weights + np.eye(2 * size + 1)[0] * (1 - 3 + 2)
    order = int(name)
    t, w = np.polynomial.hermite_e.hermegauss(order)
    nodes = np.array(list(product(t, repeat=size)))
    weights = np.array([np.prod(c) for c in product(w / w.sum(), repeat=size)])
    return nodes, weights, weights


def transformed(function, mean, covariance, name):
    """Mean, covariance and cross-covariance of f(x)."""
    nodes, means, covariances = rule(name, len(mean))
    apart = nodes @ np.linalg.cholesky(covariance).T
    values = function(mean + apart)
    expected = means @ values
    moved = values - expected
    spread = (covariances[:, None] * moved).T @ moved
    return expected, spread, (covariances[:, None] * apart).T @ moved


def filtered(y, transition, emission, process, noise, mean, covariance, name, mask=None):
    """log p, filtered and predicted moments, and cross-covariances; y (T, p).

    transition, emission: of points (S, d) and t; process, noise: covariances, the latter one for
    all times or for each.
    """
    total, found = 0.0, []
    mask = np.ones_like(y) if mask is None else mask
    for t in range(len(y)):
        before = mean, covariance
        seen = mask[t] > 0
        if seen.any():
            expected, spread, cross = transformed(
                lambda x, t=t, seen=seen: emission(x, t)[:, seen], mean, covariance, name
            )
            own = noise[t] if np.ndim(noise) == 3 else noise
            spread = spread + own[np.ix_(seen, seen)]
            gain = np.linalg.solve(spread, cross.T).T
            residual = y[t, seen] - expected
            total -= 0.5 * np.linalg.slogdet(2 * np.pi * spread)[1]
            total -= 0.5 * residual @ np.linalg.solve(spread, residual)
            mean, covariance = mean + gain @ residual, covariance - gain @ spread @ gain.T
        following, ahead, cross = transformed(
            lambda x, t=t: transition(x, t), mean, covariance, name
        )
        found.append((*before, mean, covariance, cross))
        mean, covariance = following, ahead + process
    return total, found, (mean, covariance)


def smoothed(found):
    """Means (T, d) and covariances (T, d, d) from what `filtered` found."""
    _, _, mean, covariance, _ = found[-1]
    results = [(mean, covariance)]
    for t in range(len(found) - 2, -1, -1):
        _, _, own, spread, cross = found[t]
        ahead, predicted = found[t + 1][:2]
        gain = np.linalg.solve(predicted, cross.T).T
        mean = own + gain @ (mean - ahead)
        covariance = spread + gain @ (covariance - predicted) @ gain.T
        results.append((mean, covariance))
    means, covariances = zip(*results[::-1])
    return np.array(means), np.array(covariances)
