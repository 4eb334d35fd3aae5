"""Parameters of an interval: natural values outside, unconstrained numbers inside."""

from typing import Any

import mxnet as mx
import numpy as np

from ...typing import Array, Namespace
from ..parameters import PositiveParameter

# How near a damping factor or a partial autocorrelation comes to 1, in float32 too: whatever is
# stored, the process is stationary and its variance finite.
MARGIN = 2.0**-22

# The lower end of variances, for y in whatever units.
VARIANCE_FLOOR = 1e-300


class BoundedParameter(PositiveParameter):
    """A parameter in an open interval: value = lower + (upper - lower) / (1 + exp(-stored))."""

    def __init__(self, name: str, value: Any, lower: float, upper: float, **kwargs: Any) -> None:
        self.upper = float(upper)
        super().__init__(name, value, lower, **kwargs)

    def natural_of(self, stored: np.ndarray) -> np.ndarray:
        """The natural values of stored numbers, whatever this parameter has."""
        return self.lower + (self.upper - self.lower) * 0.5 * (1.0 + np.tanh(0.5 * stored))

    def natural(self, F: Namespace, stored: Array) -> Array:
        """The natural value in a graph, from the stored array."""
        return F.sigmoid(stored) * (self.upper - self.lower) + self.lower

    def complement(self, F: Namespace, stored: Array) -> Array:
        """1 - value², without cancellation where the value is near 1 or -1."""
        width = self.upper - self.lower
        below_one = F.sigmoid(-stored) * width + (1.0 - self.upper)
        above_minus_one = F.sigmoid(stored) * width + (1.0 + self.lower)
        return below_one * above_minus_one

    def _stored(self, value, name):
        if not ((value > self.lower).all() and (value < self.upper).all()):
            raise ValueError(
                f"{name}: {value.tolist()} is not between {self.lower:.9g} and {self.upper:.9g}."
            )
        value = np.atleast_1d(value)
        return np.log((value - self.lower) / (self.upper - value))


def bounded_parameter(
    block: mx.gluon.Block, name: str, value: Any, lower: float, upper: float
) -> BoundedParameter:
    """The parameter `name` of `block`, created once or found in the parameters it shares."""
    full_name = block.params.prefix + name
    found = block.params._get_impl(full_name)
    if found is None:
        found = BoundedParameter(full_name, value, lower, upper)
        block.params._params[full_name] = found
    return found
