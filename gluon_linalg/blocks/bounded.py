"""Parameters of an interval: natural values outside, unconstrained numbers inside."""

from typing import Any

import mxnet as mx
import numpy as np

from ..typing import Array, Namespace
from .parameters import PositiveParameter

# How near a damping factor or a partial autocorrelation comes to 1, in float32 too: whatever is
# stored, the process is stationary and its variance finite.
MARGIN = 2.0**-22

# The lower end of variances, for y in whatever units.
VARIANCE_FLOOR = 1e-300


# Where a value at the upper end is stored: 1 / (1 + exp(-40)) is 1 in either dtype.
AT_THE_END = 40.0


class BoundedParameter(PositiveParameter):
    """A parameter in an open interval: value = lower + (upper - lower) / (1 + exp(-stored)).

    closed: whether it may be the upper end itself, where its gradient is 0.
    """

    def __init__(
        self,
        name: str,
        value: Any,
        lower: float,
        upper: float,
        closed: bool = False,
        **kwargs: Any,
    ) -> None:
        self.upper, self.closed = float(upper), closed
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
        below = value <= self.upper if self.closed else value < self.upper
        if not ((value > self.lower).all() and below.all()):
            ends = (
                f"above {self.lower:.9g} and at most"
                if self.closed
                else (f"between {self.lower:.9g} and")
            )
            raise ValueError(f"{name}: {value.tolist()} is not {ends} {self.upper:.9g}.")
        value = np.atleast_1d(value)
        with np.errstate(divide="ignore"):
            stored = np.log((value - self.lower) / (self.upper - value))
        return np.minimum(stored, AT_THE_END) if self.closed else stored


def bounded_parameter(
    block: mx.gluon.Block,
    name: str,
    value: Any,
    lower: float,
    upper: float,
    closed: bool = False,
) -> BoundedParameter:
    """The parameter `name` of `block`, created once or found in the parameters it shares."""
    full_name = block.params.prefix + name
    found = block.params._get_impl(full_name)
    if found is None:
        found = BoundedParameter(full_name, value, lower, upper, closed)
        block.params._params[full_name] = found
    return found
