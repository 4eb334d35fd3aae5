"""What a linear-Gaussian state space model says of one series: states, and what comes next."""

from typing import Any, Dict, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..plots.style import Moments
from .state_space import StateSpaceAnalysis, views_of
from .tables import LEVELS, normal_tables

# The arrays of a model that may have one for each step.
VARYING = (
    "transition", "emission", "process_factor", "observation_factor", "transition_offset",
    "emission_offset",
)  # fmt: skip


class KalmanAnalysis(StateSpaceAnalysis):
    """What a `KalmanFilterLayer` says of one series; made by `gluon_linalg.analyze`.

    arrays: those of its call, y (T,) or (T, p) for the only series; NaN in y is a missing
    observation. Tables have the index of y, and of several elements columns of two levels, the
    element above. Arrays that vary in time end with y, and there is no forecast after them:
    `KalmanForecastLayer` takes longer ones.
    """

    def signal(self, levels: Sequence[float] = LEVELS) -> Any:
        """The observations without their noise, given all: mean, std, intervals, a DataFrame."""
        return self._table(self._moments("smoothed_signal", 0), levels, self.index.seen)

    def forecast(self, steps: int, levels: Sequence[float] = LEVELS) -> Any:
        """Of the next observations, noise included: mean, std and intervals, a DataFrame.

        levels: of the intervals, in percent. Raises ValueError where arrays vary in time.
        """
        self._refuse_varying()
        found = self._moments("predicted_observation", steps)
        ahead: Moments = found[0][-steps:], found[1][-steps:]
        return self._table(ahead, levels, self.index.ahead(steps))

    def plot_forecast(self, steps: int, levels: Sequence[float] = LEVELS) -> Any:
        """Each element and what comes next, with bands of the signal and of an observation."""
        given = self._refuse_varying()
        signal = self._moments("smoothed_signal", steps)
        noise = np.square(given["observation_factor"].asnumpy()[0, 0]).sum(axis=1)
        return self._plot_ahead(self.arrays[0], signal, noise, steps, levels)

    def _states(self) -> Moments:
        return self._moments("smoothed", 0)

    def _moments(self, view: str, steps: int) -> Moments:
        """Means and variances of a view of T + h steps, of the only series."""
        with mx.autograd.pause():
            mean, covariance = views_of(self.layer, self.arrays, (view,), steps)
        variance = np.diagonal(covariance.asnumpy()[0], axis1=1, axis2=2).astype("float64")
        return mean.asnumpy()[0].astype("float64"), np.maximum(variance, 0.0)

    def _table(self, moments: Moments, levels: Sequence[float], index: Any) -> Any:
        found = normal_tables(moments, levels, index, self.names)
        return found if len(self.names) > 1 else found[self.names[0]]

    def _refuse_varying(self) -> Dict[str, mx.nd.NDArray]:
        """The arrays by their names."""
        pairs: Sequence[Tuple[str, Any]] = [
            (name, array)
            for (name, _), array in zip(self.layer.arguments, self.arrays)
            if array is not None
        ]
        for name, array in pairs:
            if name in VARYING and array.shape[1] > 1:
                raise ValueError(
                    f"forecast: '{name}' varies in time and ends with y; give KalmanForecastLayer "
                    "the arrays of the steps ahead as well."
                )
        return dict(pairs)
