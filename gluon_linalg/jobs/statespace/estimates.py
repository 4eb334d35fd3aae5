"""What a trained model says of the series: signal, components, forecast; in original units."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np

from ...analysis.predictive import expected_moments
from ...analysis.state_space import Innovations, innovations_of
from ...analysis.structural import Parts, parts_of
from ...blocks.structural import StructuralModel
from .observations import observation_moments
from .panel import similar

if TYPE_CHECKING:
    from .task import StateSpace

Moments = Tuple[np.ndarray, np.ndarray]


@dataclass
class Estimates:
    """Means and variances given the training of one series.

    signal, and the contribution of each component by its label: arrays over the T + h steps;
    forecast: of the last h observations, noise included, (h,), and `ahead` of their signal;
    expected: of E[y | signal] where y has a likelihood, else None; coefficients: of the regressions
    by column, at the last step of the training; parts: slopes and effects; innovations: those of
    the training, in units of the model.
    """

    signal: Moments
    components: Dict[str, Moments]
    forecast: Moments
    coefficients: Dict[str, Dict[str, float]]
    parts: Parts
    noise_variance: Any
    innovations: Innovations
    ahead: Moments
    expected: Optional[Moments] = None


def estimate(task: "StateSpace", model: StructuralModel) -> List[Estimates]:
    """The `Estimates` of each member, of the trained `model`."""
    members = task.dataset.members
    found: List[Any] = [None] * len(members)
    for places in similar([len(member.y) for member in members]):
        batch = [members[place] for place in places]
        innovations = innovations_of(model, task.padded_arguments(batch))
        rest = zip(batch, _smooth(task, model, batch), innovations)
        for place, (member, smoothed, own) in zip(places, rest):
            found[place] = _estimates(task, model, member, smoothed, own.until(len(member.y)))
    return found


def _estimates(task, model, member, posterior, innovations):
    units, count = member.units, len(member.y)
    mean, covariance, signal, components = posterior
    levels = zip(model.components.labels(), task.job.model.parts)
    has_level = {label: part.is_level for label, part in levels}
    parts = {}
    for label, moments in components.items():
        # The level has the mean that was subtracted from the target.
        offset = units.target_offset if has_level[label] else 0.0
        variance = units.variance_from_model(moments[1])
        parts[label] = (moments[0] * units.target_scale + offset, variance)
    signal = (units.mean_from_model(signal[0]), units.variance_from_model(signal[1]))
    noise = float(units.variance_from_model(np.float64(model.expected_noise())))
    ahead = (signal[0][count:], signal[1][count:])
    forecast, expected = (ahead[0], ahead[1] + noise), None
    likelihood = getattr(model, "likelihood", None)
    if likelihood is not None:
        forecast, expected = (
            observation_moments(likelihood, ahead),
            expected_moments(likelihood, *signal),
        )
        noise = observation_moments(likelihood, signal)[1] - expected[1]
    coefficients = _coefficients(task, model, units, mean[count - 1], covariance[count - 1])
    found = parts_of(model, mean, covariance, member.covariates)
    slopes = {label: _scaled(units, moments) for label, moments in found.slopes.items()}
    effects = {name: (_scaled(units, m), in_steps) for name, (m, in_steps) in found.effects.items()}
    scaled = Parts(slopes, effects, found.regressions)
    return Estimates(
        signal, parts, forecast, coefficients, scaled, noise, innovations, ahead, expected
    )


def _scaled(units, moments):
    """Differences in original units."""
    return moments[0] * units.target_scale, units.variance_from_model(moments[1])


def _smooth(task, model, members):
    """For each series its posterior, NumPy arrays over T + h steps.

    Steps that nobody has observed are smoothed to their forecast, and change no other.
    """
    found = model.posterior(*task.padded_arguments(members, task.dataset.steps))
    arrays = [array.asnumpy().astype("float64") for array in (found.mean, found.covariance)]
    moments = {
        label: [array.asnumpy().astype("float64") for array in pair]
        for label, pair in ((None, found.signal), *found.components.items())
    }
    for index, member in enumerate(members):
        end = len(member.y) + task.dataset.steps
        own = {label: tuple(a[index, :end] for a in pair) for label, pair in moments.items()}
        yield (*(array[index, :end] for array in arrays), own.pop(None), own)


def _coefficients(task, model, units, mean, covariance):
    columns, found = iter(task.dataset.regressors), {}
    for component, begin in model.components.offsets():
        if component.features:
            for state, name in enumerate(next(columns), start=begin):
                deviation = np.sqrt(max(covariance[state, state], 0.0))
                found[name] = {
                    "mean": float(mean[state] * units.target_scale),
                    "std": float(deviation * units.target_scale),
                    "z": float(mean[state] / deviation) if deviation > 0 else 0.0,
                }
    return found
