"""What a trained model says of the series: signal, components, forecast; in original units."""

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np

from ..._runtime import import_mxnet
from .panel import similar

mx = import_mxnet()

Moments = Tuple[np.ndarray, np.ndarray]


@dataclass
class Estimates:
    """Means and variances given the training of one series.

    signal, and the contribution of each component by its label: arrays over the T + h steps;
    forecast: of the last h observations, noise included, (h,); coefficients: of the regressions by
    column, at the last step of the training.
    """

    signal: Moments
    components: Dict[str, Moments]
    forecast: Moments
    coefficients: Dict[str, Dict[str, float]]


def estimate(task, model):
    """The `Estimates` of each member, of the trained `model`."""
    members = task.dataset.members
    found = [None] * len(members)
    for places in similar([len(member.y) for member in members]):
        batch = [members[place] for place in places]
        for place, member, smoothed in zip(places, batch, _smooth(task, model, batch)):
            found[place] = _estimates(task, model, member, smoothed)
    return found


def _estimates(task, model, member, smoothed):
    units, count = member.units, len(member.y)
    mean, covariance, emission = smoothed
    components = {}
    sizes = zip(model.components.labels(), model.components.offsets())
    for label, (component, begin) in sizes:
        states = slice(begin, begin + component.state_size)
        own = _contribution(
            mean[:, states], covariance[:, states, states], emission[:, states], units
        )
        # The level has the mean that was subtracted from the target.
        offset = units.target_offset if component.level_state is not None else 0.0
        components[label] = (own[0] + offset, own[1])
    level, variance = _contribution(mean, covariance, emission, units)
    signal = (level + units.target_offset, variance)
    noise = 0.0 if model.noise_variance is None else model.noise_variance.value()
    forecast = (signal[0][count:], variance[count:] + units.variance_from_model(noise))
    coefficients = _coefficients(task, model, units, mean[count - 1], covariance[count - 1])
    return Estimates(signal, components, forecast, coefficients)


def _smooth(task, model, members):
    """For each series the states' means (T + h, d) and covariances, and H (T + h, d).

    Steps that nobody has observed are smoothed to their forecast, and change no other.
    """
    arguments = task.padded_arguments(members, task.dataset.steps)
    covariates = arguments[1] if model.components.features else None
    like, covariates = (x if x is None else x.astype("float64") for x in (arguments[0], covariates))
    emission = model.components.system(mx.nd, like, covariates).emission
    arrays = [*model.smooth(*arguments), emission.squeeze(axis=2)]
    arrays = [array.asnumpy().astype("float64") for array in arrays]
    length = arrays[0].shape[1]
    arrays[2] = np.broadcast_to(arrays[2], (len(members), length, arrays[2].shape[2]))
    ends = [len(member.y) + task.dataset.steps for member in members]
    return [[array[index, :end] for array in arrays] for index, end in enumerate(ends)]


def _contribution(mean, covariance, emission, units):
    value = np.sum(emission * mean, axis=1)
    variance = np.einsum("...i,...ij,...j->...", emission, covariance, emission)
    return value * units.target_scale, units.variance_from_model(np.maximum(variance, 0.0))


def _coefficients(task, model, units, mean, covariance):
    columns, found = iter(task.dataset.regressors), {}
    for component, begin in model.components.offsets():
        if component.features:
            for state, name in enumerate(next(columns), start=begin):
                deviation = np.sqrt(max(covariance[state, state], 0.0))
                found[name] = {
                    "mean": float(mean[state] * units.target_scale),
                    "std": float(deviation * units.target_scale),
                }
    return found
