"""What a trained model says of several series: signals, states, forecast; in original units."""

from typing import TYPE_CHECKING, NamedTuple, Tuple

import numpy as np

from ...blocks.multivariate import MultivariateModel
from ..units import TargetUnits

if TYPE_CHECKING:
    from .task import Multivariate

Moments = Tuple[np.ndarray, np.ndarray]


class Estimates(NamedTuple):
    """Means and variances given all T steps of the training, of h steps more too.

    signal: of each series without its noise, (T + h, p) each; noise: what an observation has
    beside it, (p,); forecast: of the last h observations, (h, p) each; states: of the T steps,
    (T, d) each, in units of the model.
    """

    signal: Moments
    noise: np.ndarray
    forecast: Moments
    states: Moments


def estimate(task: "Multivariate", model: MultivariateModel) -> Estimates:
    """The `Estimates` of the trained `model`, of one smoother.

    Steps that nobody has observed are smoothed to their forecast, and change no other.
    """
    dataset, found = task.dataset, model.posterior(*task.padded_arguments(task.dataset.steps))
    each = [own.as_dict() for own in dataset.units]
    units = TargetUnits(*([own[key] for own in each] for key in ("target_offset", "target_scale")))
    count, (mean, variance) = len(dataset.y), _moments(found.signal, found.signal_covariance)
    mean, variance = units.mean_from_model(mean), units.variance_from_model(variance)
    noise = units.variance_from_model(np.diagonal(found.noise))
    states = _moments(found.mean[:, :count], found.covariance[:, :count])
    return Estimates((mean, variance), noise, (mean[count:], variance[count:] + noise), states)


def _moments(mean, covariance):
    """Means and variances of the only batch element."""
    variance = np.diagonal(covariance.asnumpy()[0], axis1=1, axis2=2)
    return mean.asnumpy()[0], np.maximum(variance, 0.0)
