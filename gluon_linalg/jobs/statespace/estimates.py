"""What a trained model says of the series: signal, components, forecast; in original units."""

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np

from ..._runtime import import_mxnet
from .components import used_columns
from .panel import batches

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


def estimate(task, model, forecaster):
    """The `Estimates` of each member, of the trained `model` and its `forecaster`."""
    members = task.dataset.members
    found = [None] * len(members)
    for places in batches([len(member.y) for member in members]):
        batch = [members[place] for place in places]
        arguments = task.graph_arguments(batch)
        forecasts = forecast(forecaster, [member.units for member in batch], arguments)
        smoothed = _smooth(task, model, arguments)
        for place, member, own, ahead in zip(places, batch, smoothed, forecasts):
            found[place] = _estimates(task, model, member, own, ahead)
    return found


def forecast(forecaster, units, arguments):
    """For each series mean and variance of the next observations, (h,) each, in its units."""
    mean, variance = (array.asnumpy().astype("float64") for array in forecaster(*arguments))
    return [
        (own.mean_from_model(m), own.variance_from_model(np.maximum(v, 0.0)))
        for own, m, v in zip(units, mean, variance)
    ]


def _estimates(task, model, member, smoothed, ahead):
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
    signal = _contribution(mean, covariance, emission, units)
    return Estimates(
        (signal[0] + units.target_offset, signal[1]),
        components,
        ahead,
        _coefficients(task, model, units, mean[count - 1], covariance[count - 1]),
    )


def _smooth(task, model, arguments):
    """For each series the states' means (T + h, d) and covariances, and H (1 or T + h, d)."""
    y, *covariates, mask = arguments
    later = mx.nd.zeros((len(y), task.dataset.steps), dtype=y.dtype, ctx=task.context)
    # Steps that nobody has observed are smoothed to their forecast.
    y, mask = (mx.nd.concat(array, later, dim=1) for array in (y, mask))
    inputs, _ = model.kalman_inputs(mx.nd, y, *covariates, mask)
    arrays = [*model.smooth(y, *covariates, mask), inputs[2].squeeze(axis=2)]
    mean, covariance, emission = (array.asnumpy().astype("float64") for array in arrays)
    emission = np.broadcast_to(emission, (len(mean), *emission.shape[1:]))
    return zip(mean, covariance, emission)


def _contribution(mean, covariance, emission, units):
    value = np.sum(emission * mean, axis=1)
    variance = np.einsum("...i,...ij,...j->...", emission, covariance, emission)
    return value * units.target_scale, units.variance_from_model(np.maximum(variance, 0.0))


def _coefficients(task, model, units, mean, covariance):
    columns = used_columns(task.job.model.components, task.job.data.covariates)
    columns, found = iter(columns), {}
    for component, begin in model.components.offsets():
        if component.features:
            for state, name in enumerate(next(columns), start=begin):
                deviation = np.sqrt(max(covariance[state, state], 0.0))
                found[name] = {
                    "mean": float(mean[state] * units.target_scale),
                    "std": float(deviation * units.target_scale),
                }
    return found
