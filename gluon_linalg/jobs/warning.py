"""What a finished job says against its own model: `warnings` in metrics.json and on the screen."""

from typing import Any, Dict, List

import numpy as np
from scipy.special import bdtr, bdtrc

from ..blocks.parameters import PositiveParameter
from .task import Task

# A share of observations inside a band is doubtful when it is this far from what the band
# promises, and chance would bring it so far less often than this.
FAR, RARE = 0.04, 0.01
# How near a bound is at it, at most: as a share of the width of an interval.
AT_BOUND = 1e-6
# Values over their typical size beyond which the data do not determine a parameter.
LEAST, MOST = 1e-4, 1e3
LEAST_VARIANCE, MOST_VARIANCE = 1e-6, 1e8
UNDETERMINED = "the data do not determine it; leave out what it belongs to, or fix it"


def find_warnings(task: Task, metrics: Dict[str, Any]) -> List[str]:
    """A list of sentences, for the metrics of a trained task."""
    found = list(task.warnings())
    for path, parameter in task.parameters.items():
        is_bounded = isinstance(parameter, PositiveParameter) and parameter.has_bounds
        if is_bounded and parameter.grad_req != "null":
            found += _of_parameter(path, parameter, task)
    for band in task.bands(metrics):
        found += _of_band(*band)
    return found


def _of_band(what, count, share, promised):
    """By a binomial test; as if observations were independent, which forecasts are not."""
    inside = round(share * count)
    # Of as few inside as these, and of as many.
    tail = min(bdtr(inside, count, promised), bdtrc(inside - 1, count, promised))
    if abs(share - promised) < FAR or 2.0 * tail > RARE:
        return []
    why = "too narrow: the model misses something that the data have"
    if share > promised:
        why = "wider than it need be"
    return [f"{inside} of {count} of the {what} are inside the {promised:.0%} band, which is {why}"]


def _of_parameter(path, parameter, task):
    stored, lower = parameter.value(), parameter.lower
    at_bound = stored - lower <= min(lower, AT_BOUND)
    # An end that it may be is no bound.
    upper = None if getattr(parameter, "closed", False) else getattr(parameter, "upper", None)
    if upper is not None:
        width = AT_BOUND * (upper - lower)
        at_bound = (stored - lower <= width) | (upper - stored <= width)
    told = np.ravel(task.value(path))
    names = [path] if len(told) == 1 else [f"{path}[{index}]" for index in range(len(told))]
    typical = np.broadcast_to(task.typical_size(path), told.shape)
    for name, value, size, is_at_bound in zip(names, told, typical, at_bound):
        if is_at_bound:
            yield f"{name} is at its bound, {value:.3g}: {_meaning(path)}"
        elif value < _lowest(path) * size:
            yield f"{name} fell to {value:.3g}, where {size:.3g} is typical: {_meaning(path)}"
        elif value > _highest(path) * size:
            yield f"{name} ran away to {value:.3g}, where {size:.3g} is typical: {UNDETERMINED}"


def _meaning(path):
    if path.endswith("noise_variance"):
        return "the model passes through every observation"
    if path.endswith("variance"):
        return "what it belongs to explains nothing; leave it out"
    return UNDETERMINED


def _lowest(path):
    if path.endswith("noise_variance"):
        return 0.0
    return LEAST_VARIANCE if path.endswith("variance") else LEAST


def _highest(path):
    return MOST_VARIANCE if path.endswith("variance") else MOST
