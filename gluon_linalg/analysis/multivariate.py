"""What a model of several series says of them: states, signals, and what comes next."""

from typing import Any, List, Optional, Sequence

import mxnet as mx
import numpy as np

from ..blocks.multivariate.base import MultivariateModel
from .state_space import StateSpaceAnalysis, covariates_ahead
from .tables import LEVELS, frame, normal_tables


class MultivariateAnalysis(StateSpaceAnalysis):
    """What a trained model of several series says of them; made by `gluon_linalg.analyze`.

    arrays: y (T, p), covariates (T, k) if the model has any, mask (T, p); NaN in y is a missing
    observation. A pandas DataFrame comes back with its index and the names of its columns, and
    forecasts go on with its index. Tables of several numbers for each series have columns of two
    levels, the series above: ``found.forecast(4)["gdp"]["mean"]``.
    """

    layer: MultivariateModel

    def __init__(self, layer: MultivariateModel, *arrays: Any, **keywords: Any) -> None:
        super().__init__(layer, *arrays, **keywords)
        self._posterior: Any = None

    @property
    def state_names(self) -> List[str]:
        """Of the elements of the state, with the names of the series."""
        return self.layer.named_states(self.names)

    @property
    def posterior(self) -> Any:
        """The `MultivariatePosterior` given all observations."""
        if self._posterior is None:
            with mx.autograd.pause():
                self._posterior = self.layer.posterior(*self.arrays)
        return self._posterior

    def signal(self, levels: Sequence[float] = LEVELS) -> Any:
        """Each series without its noise, given all of y: mean, std and intervals, a DataFrame."""
        moments = _moments(self.posterior.signal, self.posterior.signal_covariance)
        return normal_tables(moments, levels, self.index.seen, self.names)

    def effects(self) -> Any:
        """What a unit of each covariate adds to each series, a DataFrame, a column for a series.

        ValueError for a model without covariates.
        """
        if self.layer.effects is None:
            raise ValueError("effects: the model has no covariates.")
        values = self.layer.effects.value().T
        return frame(dict(zip(self.names, values.T)), self._covariate_names(len(values)))

    def forecast(
        self, steps: int, levels: Sequence[float] = LEVELS, covariates: Optional[Any] = None
    ) -> Any:
        """Of the next observations, noise included: mean, std and intervals, a DataFrame.

        levels: of the intervals, in percent; covariates: of the steps ahead, (steps, k), for a
        model that has them.
        """
        arguments = self._with_covariates(steps, covariates)
        with mx.autograd.pause():
            moments = _moments(*self.layer.forecaster(steps)(*arguments))
        return normal_tables(moments, levels, self.index.ahead(steps), self.names)

    def plot_forecast(
        self, steps: int, covariates: Optional[Any] = None, levels: Sequence[float] = LEVELS
    ) -> Any:
        """Each series and what comes next, with bands of the signal and of an observation."""
        y, *rest = self._with_covariates(steps, covariates)
        zeros = mx.nd.zeros((1, steps, y.shape[2]), dtype=y.dtype, ctx=y.context)
        seen = mx.nd.array(self.innovations.observed[None], dtype=y.dtype, ctx=y.context)
        arrays = [mx.nd.concat(array, zeros, dim=1) for array in (y, seen)]
        if self.layer.covariates:
            arrays.insert(1, rest[0])
        with mx.autograd.pause():
            found = self.layer.posterior(*arrays)
        signal = _moments(found.signal, found.signal_covariance)
        return self._plot_ahead(y, signal, np.diagonal(found.noise), steps, levels)

    def _states(self):
        return _moments(self.posterior.mean, self.posterior.covariance)

    def _with_covariates(self, steps, covariates):
        """The arguments, in which covariates go on for the steps ahead."""
        arguments = list(self.arrays)
        if self.layer.covariates or covariates is not None:
            seen = arguments[1] if self.layer.covariates else None
            arguments[1:2] = [covariates_ahead(seen, steps, self.layer.covariates, covariates)]
        return arguments

    def _covariate_names(self, count):
        columns = getattr(self.given_covariates, "columns", None)
        if columns is not None and len(columns) == count:
            return [str(name) for name in columns]
        return [f"x{k + 1}" for k in range(count)]


def _moments(mean, covariance):
    """Means and variances of the only batch element, in float64."""
    variance = np.diagonal(covariance.asnumpy()[0], axis1=1, axis2=2).astype("float64")
    return mean.asnumpy()[0].astype("float64"), np.maximum(variance, 0.0)
