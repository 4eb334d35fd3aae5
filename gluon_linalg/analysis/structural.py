"""What a structural time series model says of one series: its parts, and what comes next."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..blocks.likelihoods import Bernoulli
from ..blocks.structural import StructuralModel
from ..plots.series import SeriesPicture, plot_series
from ..plots.style import Moments
from .predictive import Latent, expected_moments, intervals
from .predictive import moments as observation_moments
from .state_space import StateSpaceAnalysis, covariates_ahead
from .tables import LEVELS, frame, normal_columns


class Parts(NamedTuple):
    """Of T steps, in units of the model: slopes by label, effects of covariates by name.

    regressions: the labels of the components that are the sums of effects.

    An effect is that of the covariate less its mean, so that it says what the covariate moves, with
    whether the covariate is 0 or 1, when it is that of the covariate itself.
    """

    slopes: Dict[str, Moments]
    effects: Dict[str, Tuple[Moments, bool]]
    regressions: List[str]


def parts_of(
    model: StructuralModel,
    mean: np.ndarray,
    covariance: np.ndarray,
    covariates: Optional[np.ndarray] = None,
) -> Parts:
    """The `Parts` by the moments of the states, (T, d) and (T, d, d), and covariates (T, k)."""
    slopes: Dict[str, Moments] = {}
    effects: Dict[str, Tuple[Moments, bool]] = {}
    variance = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)
    column = 0
    for label, (component, begin) in zip(model.components.labels(), model.components.offsets()):
        names = list(component.state_names)
        if not component.features and "slope" in names:
            own = [begin + names.index(n) for n in ("slope", "long-run slope") if n in names]
            block = covariance[:, own][:, :, own].sum(axis=(1, 2))
            name = "slope" if label == component.kind else f"{label} slope"
            slopes[name] = mean[:, own].sum(axis=1), np.maximum(block, 0.0)
        for state, name in enumerate(names if component.features else [], start=begin):
            assert covariates is not None
            x = covariates[:, column]
            is_switch = bool(np.isin(x, (0.0, 1.0)).all())
            moved = x if is_switch else x - x.mean()
            effects[name] = (mean[:, state] * moved, variance[:, state] * moved**2), is_switch
            column += 1
    pairs = zip(model.components.labels(), model.components.components)
    return Parts(slopes, effects, [label for label, part in pairs if part.features])


class StructuralAnalysis(StateSpaceAnalysis):
    """What a trained `StructuralModel` says of one series; made by `gluon_linalg.analyze`.

    arrays: y (T,), covariates (T, k) if the model has a regression, mask (T,); NaN in y is a
    missing observation. A pandas Series comes back with its index, and forecasts go on with it.
    """

    layer: StructuralModel

    def __init__(self, layer: StructuralModel, *arrays: Any, **keywords: Any) -> None:
        super().__init__(layer, *arrays, **keywords)
        self._posterior: Any = None

    @property
    def state_names(self) -> List[str]:
        components = self.layer.components
        return [
            f"{label}: {name}" if component.state_size > 1 or component.features else label
            for label, component in zip(components.labels(), components.components)
            for name in component.state_names
        ]

    def decompose(self) -> Any:
        """What the signal and each component contribute to y, given all y: a DataFrame.

        A column for each label, and one of its standard deviation, ``label_std``.
        """
        found = self.posterior
        columns = {}
        for label, moments in (("signal", found.signal), *found.components.items()):
            mean, variance = (_numpy(array) for array in moments)
            columns[label], columns[f"{label}_std"] = mean, np.sqrt(np.maximum(variance, 0.0))
        return frame(columns, self.index.seen)

    def coefficients(self, level: float = 95) -> Any:
        """Of the regressions at the last step: mean, std, interval and z = mean / std by name."""
        mean, variance = self._states()
        places = [k for k, is_one in enumerate(self.layer.components.is_coefficient) if is_one]
        columns = normal_columns(mean[-1, places], variance[-1, places], (level,))
        columns["z"] = columns["mean"] / columns["std"]
        return frame(columns, [self.state_names[k] for k in places])

    def forecast(
        self, steps: int, levels: Sequence[float] = LEVELS, covariates: Optional[Any] = None
    ) -> Any:
        """Of the next observations, noise included: mean, std and intervals, a DataFrame.

        levels: of the intervals, in percent; covariates: of the steps ahead, (steps, k), for a
        model with a regression.
        """
        likelihood = getattr(self.layer, "likelihood", None)
        mean, variance, *signal = self._forecast(steps, covariates)
        if likelihood is not None:
            # Of events there is the probability, and no interval.
            levels = () if isinstance(likelihood, Bernoulli) else levels
            latent = Latent(signal[0], signal[1], np.zeros((steps, 1)))
            return frame(intervals(likelihood, latent, levels), self.index.ahead(steps))
        return frame(normal_columns(mean, variance, levels), self.index.ahead(steps))

    def plot_components(self) -> Any:
        """Signal, components, slopes, effects of covariates, irregular and residuals: a figure."""
        return plot_series(self._picture(0, None))

    def plot_forecast(
        self, steps: int, covariates: Optional[Any] = None, levels: Sequence[float] = LEVELS
    ) -> Any:
        """The series and what comes next, with bands of the signal and of an observation."""
        return plot_series(self.picture(steps, covariates, levels))

    def picture(self, steps: int, covariates: Any, levels: Sequence[float]) -> SeriesPicture:
        """What `plot_forecast` draws."""
        picture = self._picture(steps, covariates)
        picture.levels = levels
        picture.components, picture.slopes, picture.effects = {}, {}, {}
        picture.residuals = np.zeros(0)
        return picture

    @property
    def posterior(self) -> Any:
        """The `StructuralPosterior` given all observations."""
        if self._posterior is None:
            with mx.autograd.pause():
                self._posterior = self.layer.posterior(*self.arrays)
        return self._posterior

    def _states(self):
        found = self.posterior
        diagonal = np.diagonal(_numpy(found.covariance), axis1=1, axis2=2)
        return _numpy(found.mean), np.maximum(diagonal, 0.0)

    def _forecast(self, steps, covariates):
        arguments = list(self.arrays)
        if self.layer.components.features:
            arguments[1] = self._covariates_ahead(steps, covariates)
        elif covariates is not None:
            raise ValueError("forecast: the model has no regression; leave out covariates.")
        with mx.autograd.pause():
            return [_numpy(array) for array in self.layer.forecaster(steps)(*arguments)]

    def _covariates_ahead(self, steps, covariates):
        return covariates_ahead(self.arrays[1], steps, self.layer.components.features, covariates)

    def _picture(self, steps, covariates):
        arguments, count = list(self.arrays), self.arrays[0].shape[1]
        y = _numpy(arguments[0])
        y = np.where(self.innovations.observed[:, 0], y, np.nan)
        found = self.posterior
        if steps:
            arguments = self._extended(steps, covariates)
            with mx.autograd.pause():
                found = self.layer.posterior(*arguments)
        has_covariates = bool(self.layer.components.features)
        parts = parts_of(
            self.layer,
            _numpy(found.mean),
            _numpy(found.covariance),
            _numpy(arguments[1]) if has_covariates else None,
        )
        signal = tuple(_numpy(array) for array in found.signal)
        noise: Any = self.layer.expected_noise()
        likelihood = getattr(self.layer, "likelihood", None)
        if likelihood is not None:
            # Of y, and not of the logarithm of its rate.
            total = observation_moments(
                likelihood, Latent(signal[0], signal[1], np.zeros((len(signal[0]), 1)))
            )
            signal = expected_moments(likelihood, *signal)
            noise = total[1] - signal[1]
        name = self.index.seen.name
        return SeriesPicture(
            self.index.name,
            "" if name is None else str(name),
            self.index.places(steps),
            y[:count],
            signal,
            noise,
            components={
                label: tuple(map(_numpy, pair))
                for label, pair in found.components.items()
                if label not in parts.regressions
            },
            slopes=parts.slopes,
            effects=parts.effects,
            residuals=self.innovations.standardized[:, 0],
            has_irregular=likelihood is None,
        )

    def _extended(self, steps, covariates):
        """The arguments with steps after y, of which nothing is observed."""
        y = self.arrays[0]
        later = mx.nd.zeros((1, steps), dtype=y.dtype, ctx=y.context)
        seen = mx.nd.array(self.innovations.observed.T, dtype=y.dtype, ctx=y.context)
        arguments = [mx.nd.concat(y, later, dim=1), mx.nd.concat(seen, later, dim=1)]
        if self.layer.components.features:
            arguments.insert(1, self._covariates_ahead(steps, covariates))
        return arguments


def _numpy(array: mx.nd.NDArray) -> np.ndarray:
    """The numbers of the only series, in float64."""
    return array.asnumpy()[0].astype("float64")
