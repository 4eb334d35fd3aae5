"""What a trained model says about the series: signal, components, forecast; in original units."""

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np

from ..._runtime import import_mxnet
from .components import used_columns

mx = import_mxnet()

Moments = Tuple[np.ndarray, np.ndarray]


@dataclass
class Estimates:
    """Means and variances given the training.

    signal, and the contribution of each component by its label: arrays over the T + h steps;
    forecast: of the last h observations, noise included, (h,); coefficients: of the regressions by
    column, at the last step of the training.
    """

    signal: Moments
    components: Dict[str, Moments]
    forecast: Moments
    coefficients: Dict[str, Dict[str, float]]


def estimate(task, model, forecaster):
    """The `Estimates` of the trained `model` and its `forecaster`."""
    dataset, units = task.dataset, task.dataset.units
    count = len(dataset.y)
    mean, covariance, emission = _smooth(task, model)
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
        forecast(forecaster, units, (task.y, *task.covariates, task.mask)),
        _coefficients(task, model, mean[count - 1], covariance[count - 1]),
    )


def forecast(forecaster, units, arguments):
    """Mean and variance of the next observations in original units, (h,) each."""
    mean, variance = (array.asnumpy()[0].astype("float64") for array in forecaster(*arguments))
    return units.mean_from_model(mean), units.variance_from_model(np.maximum(variance, 0.0))


def _smooth(task, model):
    """State means (T + h, d), covariances (T + h, d, d) and the emission (1 or T + h, d)."""
    later = mx.nd.zeros((1, task.dataset.steps), dtype=task.y.dtype, ctx=task.context)
    # Steps that nobody has observed are smoothed to their forecast.
    arguments = [mx.nd.concat(array, later, dim=1) for array in (task.y, task.mask)]
    arguments[1:1] = task.covariates
    inputs, _ = model.kalman_inputs(mx.nd, *arguments)
    arrays = [*model.smooth(*arguments), inputs[2].squeeze(axis=2)]
    return (array.asnumpy()[0].astype("float64") for array in arrays)


def _contribution(mean, covariance, emission, units):
    value = np.sum(emission * mean, axis=1)
    variance = np.einsum("...i,...ij,...j->...", emission, covariance, emission)
    return value * units.target_scale, units.variance_from_model(np.maximum(variance, 0.0))


def _coefficients(task, model, mean, covariance):
    columns = used_columns(task.job.model.components, task.job.data.covariates)
    columns, found = iter(columns), {}
    for component, begin in model.components.offsets():
        if component.features:
            for state, name in enumerate(next(columns), start=begin):
                deviation = np.sqrt(max(covariance[state, state], 0.0))
                scale = task.dataset.units.target_scale
                found[name] = {
                    "mean": float(mean[state] * scale),
                    "std": float(deviation * scale),
                }
    return found
