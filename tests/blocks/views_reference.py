"""The views of a state space model from one dense Gaussian, in NumPy float64: no Kalman filter.

As `kalman_reference`, whose systems and affine maps these are; with `diffuse_directions` in a
system δ is flat, and a moment solves the kriging system (`test_kalman_diffuse`). No conjugates:
derivatives are by complex step.
"""

import kalman_reference as reference
import numpy as np
from kalman_reference import ARGUMENTS


def elements(system, steps=0):
    """(element, columns of δ among the noises or None) of each element of the batch."""
    directions = system.get("diffuse_directions")
    plain = {name: system.get(name) for name in ARGUMENTS}
    columns = None
    if directions is not None:
        factor = system["prior_factor"]
        plain["prior_factor"] = np.concatenate([factor, directions], axis=2)
        columns = slice(factor.shape[2], plain["prior_factor"].shape[2])
    for b, element in enumerate(reference._elements(plain, steps)):
        arrays = {}
        for name in ARGUMENTS[1:]:
            array = plain.get(name)
            if array is not None:
                arrays[name] = array[b if len(array) > 1 else 0]
        yield element, columns, arrays


def given(element, columns, mean, maps, before=None):
    """Mean and covariance of an affine map, given the first `before` positions of y."""
    residual, observed = reference._observed(element, before)
    if columns is None:
        return reference._given(mean, maps, residual, observed)
    x = observed[:, columns]
    q = x.shape[1]
    saddle = np.block([[observed @ observed.T, x], [x.T, np.zeros((q, q))]])
    right = np.concatenate([observed @ maps.T, maps[:, columns].T])
    weights = np.linalg.solve(saddle, right)[: len(residual)]
    left = maps - weights.T @ observed
    return mean + weights.T @ residual, left @ left.T


def own_noise(element, arrays, t, name):
    """Where the noises of step t are among all: a slice."""
    length = len(element["state_mean"])
    r, q = arrays["process_factor"].shape[-1], arrays["observation_factor"].shape[-1]
    total = element["state_map"].shape[-1]
    s = total - length * (r + q)
    if name == "process":
        return slice(s + t * r, s + (t + 1) * r)
    begin = s + length * r + t * q
    return slice(begin, begin + q)


def stacked(system, function, steps=0):
    """Means and covariances at all times, of `function(element, columns, arrays, t)`."""
    means, covariances = [], []
    for element, columns, arrays in elements(system, steps):
        for t in range(len(element["state_mean"])):
            mean, covariance = function(element, columns, arrays, t)
            means.append(mean)
            covariances.append(covariance)
    return reference._batched(system, means), reference._batched(system, covariances)


def states(system, until, steps=0):
    """Of x_t given y_1, ..., y_{t + until}; all y if None."""

    def at(element, columns, arrays, t):
        size = element["mask"].shape[1]
        before = None if until is None else (t + 1 + until) * size
        return given(element, columns, *reference._states(element, t), before)

    return stacked(system, at, steps)


def observations(system, until, noise=True, steps=0):
    """Of y_t, or of H x_t + d_t without noise, given y_1, ..., y_{t + until}."""

    def at(element, columns, arrays, t):
        size = element["mask"].shape[1]
        mean, maps = element["emission_mean"][t], element["emission_map"][t].copy()
        if not noise:
            maps[:, own_noise(element, arrays, t, "observation")] = 0.0
        before = None if until is None else (t + 1 + until) * size
        return given(element, columns, mean, maps, before)

    return stacked(system, at, steps)


def disturbances(system, name):
    """Of η_t or ε_t given all y."""

    def at(element, columns, arrays, t):
        place = own_noise(element, arrays, t, name)
        count = place.stop - place.start
        maps = np.zeros((count, element["state_map"].shape[-1]))
        maps[:, place] = np.eye(count)
        return given(element, columns, np.zeros(count), maps)

    return stacked(system, at)


def lag_covariance(system, lag):
    found = []
    for element, columns, _ in elements(system):
        length, size = element["state_mean"].shape
        _, covariance = given(element, columns, *reference._states(element))
        blocks = covariance.reshape(length, size, length, size)
        found.append([blocks[t + lag, :, t] for t in range(length - lag)])
    return np.array(found)


def innovations(system):
    """L⁻¹ (y - E y) of the observed, with all their covariance L Lᵀ; 0 for what is missing."""
    found = []
    for element, _, _ in elements(system):
        residual, maps = reference._observed(element)
        factor = cholesky(maps @ maps.T)
        own = np.zeros(element["mask"].size, dtype=np.result_type(residual, maps))
        own[np.flatnonzero(element["mask"].ravel())] = np.linalg.solve(factor, residual)
        found.append(own.reshape(element["mask"].shape))
    return np.array(found)


def cholesky(a):
    """Also of a complex symmetric matrix."""
    lower = np.zeros_like(a)
    for j in range(len(a)):
        lower[j, j] = np.sqrt(a[j, j] - lower[j, :j] @ lower[j, :j])
        lower[j + 1 :, j] = (a[j + 1 :, j] - lower[j + 1 :, :j] @ lower[j, :j]) / lower[j, j]
    return lower


def auxiliary_residuals(system):
    """The t statistics of adding a number to an element of y_t, and to one of x_{t+1}."""
    found = [], []
    for element, columns, arrays in elements(system):
        length, size = element["mask"].shape
        residual, maps = reference._observed(element)
        positions = np.flatnonzero(element["mask"].ravel())
        precision = np.linalg.inv(maps @ maps.T)
        if columns is not None:
            x = maps[:, columns]
            turned = precision @ x
            precision = precision - turned @ np.linalg.solve(x.T @ turned, turned.T)
        d = element["state_mean"].shape[1]

        def statistic(effect, precision=precision, residual=residual):
            variance = effect @ precision @ effect
            return effect @ precision @ residual / np.sqrt(variance) if variance else 0.0

        outliers = np.zeros(length * size, dtype=np.result_type(residual, maps))
        for k, position in enumerate(positions):
            outliers[position] = statistic(np.eye(len(positions))[k])
        shifts = np.zeros((length, d), dtype=np.result_type(residual, maps))
        times = {name: len(arrays[name]) > 1 for name in ("transition", "emission")}
        for t in range(length):
            for i in range(d):
                effect, state = (
                    np.zeros((length, size), dtype=np.result_type(residual, maps)),
                    np.eye(d)[i],
                )
                for j in range(t + 1, length):
                    effect[j] = arrays["emission"][j if times["emission"] else 0] @ state
                    state = arrays["transition"][j if times["transition"] else 0] @ state
                shifts[t, i] = statistic(effect.ravel()[positions])
        found[0].append(outliers.reshape(length, size))
        found[1].append(shifts)
    return np.array(found[0]), np.array(found[1])


def weights(system, place, steps=0, of="state"):
    """∂E[x_t | y]/∂y, (B, d, T, p), or of y_t itself."""
    found = []
    for element, columns, _ in elements(system, steps):
        length = len(element["state_mean"])
        place = place % length
        _, maps = reference._states(element, place)
        if of == "observation":
            maps = element["emission_map"][place]
        mean, zero = np.zeros(len(maps)), np.zeros_like(element["y"])
        length, size = element["mask"].shape
        own = np.zeros((len(maps), length * size))
        base = dict(element, y=zero, emission_mean=np.zeros_like(element["emission_mean"]))
        for position in np.flatnonzero(element["mask"].ravel()):
            y = zero.ravel().copy()
            y[position] = 1.0
            moved = dict(base, y=y.reshape(zero.shape))
            own[:, position] = given(moved, columns, mean, maps)[0]
        found.append(own.reshape(len(maps), length, size))
    return np.array(found)
