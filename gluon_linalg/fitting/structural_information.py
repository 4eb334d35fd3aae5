"""The information that series have of the variances of a structural model, from its spectrum.

Where all that is unknown is variances, the spectrum of a series is linear in them, f(λ) = Σ_j v_j
g_j(λ), g_j being what a disturbance of variance 1 contributes through the transfer function of its
component. The information of log v_i and log v_j is ½ Σ_λ s_i(λ) s_j(λ) over the frequencies of the
series, with the shares s_j = v_j g_j / f: shares do not change where a series is differenced until
it is stationary (Harvey 1989, section 4.3).
"""

from typing import Dict, Sequence

import mxnet as mx
import numpy as np

from ..blocks.structural import Component


class SpectralInformation:
    """The information (m, n, n) of logarithms of variances (m, n), of series (m,).

    shapes: for each series (F, n), g_j at the `frequencies` of its T steps; counts: how many
    observations each has beyond those that initial states take; steps: T of each. A call takes the
    logarithms and the number of the series of each.
    """

    def __init__(
        self, shapes: Sequence[np.ndarray], counts: Sequence[float], steps: Sequence[int]
    ) -> None:
        most, size = max(map(len, shapes)), shapes[0].shape[1]
        self._shapes = np.ones((len(shapes), most, size))
        self._weights = np.zeros((len(shapes), most))
        for own, weights, shape, count, length in zip(
            self._shapes, self._weights, shapes, counts, steps
        ):
            own[: len(shape)] = shape
            weights[: len(shape)] = max(count, 1.0) / length
            if length % 2:
                # The last frequency is π, which is not there twice.
                weights[len(shape) - 1] *= 0.5

    def __call__(self, points: np.ndarray, problems: np.ndarray) -> np.ndarray:
        parts = self._shapes[problems] * np.exp(points)[:, None]
        shares = parts / np.sum(parts, axis=2, keepdims=True)
        weighted = shares * self._weights[problems][:, :, None]
        return np.matmul(weighted.transpose(0, 2, 1), shares)


def frequencies(steps: int) -> np.ndarray:
    """Points exp(1/T + iλ) (F,) with λ between those of the periodogram, in (0, π].

    Not on the unit circle, where the spectra of trends and seasons have their poles.
    """
    angles = 2.0 * np.pi * (np.arange((steps + 1) // 2) + 0.5) / steps
    return np.exp(1.0 / steps + 1j * angles)


def spectral_shapes(component: Component, steps: int) -> Dict[str, np.ndarray]:
    """g (F, k) of each variance of a component, by name, k being how many that are.

    component: all of whose parameters are variances; of a drifting regression, for covariates of a
    mean square of 1.
    """
    points, size = frequencies(steps), component.state_size
    if component.features:
        powers = np.repeat(1.0 / np.square(np.abs(points - 1.0))[:, None], size, axis=1)
    else:
        one = mx.nd.ones((1, 1), dtype="float64")
        transition = component.transition(mx.nd, one).asnumpy()[0]
        emission = component.emission(mx.nd, one, None).asnumpy()[0, 0, 0]
        closed = points[:, None, None] * np.eye(size) - transition.T
        column = np.broadcast_to(emission[:, None], (len(points), size, 1))
        powers = np.square(np.abs(np.linalg.solve(closed, column)[:, :, 0]))
    found = {
        name: np.zeros((len(points), parameter.shape[0]))
        for name, parameter in component._reg_params.items()
    }
    for state, name, index in component._disturbances:
        found[name][:, index] += powers[:, state]
    return found
