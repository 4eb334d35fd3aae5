"""What a trained model says of several series: signals, states, forecast; in original units."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Tuple

import numpy as np

from ...blocks.multivariate import MultivariateModel

if TYPE_CHECKING:
    from .task import Multivariate

Moments = Tuple[np.ndarray, np.ndarray]


@dataclass
class Estimates:
    """Of one series: means and variances of the signal at the T steps of the training, given all
    of it, and of the h observations that follow, noise included."""

    signal: Moments
    forecast: Moments


def estimate(task: "Multivariate", model: MultivariateModel) -> List[Estimates]:
    """The `Estimates` of each series, of the trained `model`."""
    dataset, found = task.dataset, []
    signal = [array.asnumpy()[0] for array in model.signal(*task.arguments())]
    ahead = [np.zeros((0, len(dataset.names))), np.zeros((0, *2 * [len(dataset.names)]))]
    if dataset.steps:
        forecaster = model.forecaster(dataset.steps)
        ahead = [a.asnumpy()[0] for a in forecaster(*task.graph_arguments(dataset.steps))]
    for number, units in enumerate(dataset.units):
        own = [
            (
                units.mean_from_model(mean[:, number]),
                units.variance_from_model(np.maximum(covariance[:, number, number], 0.0)),
            )
            for mean, covariance in (signal, ahead)
        ]
        found.append(Estimates(*own))
    return found


def states(task: "Multivariate", model: MultivariateModel) -> Moments:
    """Mean and variance of the states given all of the training, (T, d), in units of the model."""
    mean, covariance = (array.asnumpy()[0] for array in model.smooth(*task.arguments()))
    return mean, np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)
