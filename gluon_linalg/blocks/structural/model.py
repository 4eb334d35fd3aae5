"""Structural time series models: sums of components seen through noise."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...errors import ShapeError, UnidentifiedError, listing
from ...typing import Array, Namespace
from ..bounded import VARIANCE_FLOOR
from ..kalman import KalmanFilterLayer, ScanningBlock
from ..parameters import PositiveParameter, parameter_array, positive_parameter
from ..smoother import KalmanSmootherLayer
from .arrays import scalar_one
from .base import Component, Stored, Sum
from .centring import centred_system, uncentred
from .diffuse import REMEDY, diffuse_part
from .forecaster import StructuralForecaster
from .stream import StructuralStream

Moments = Tuple[mx.nd.NDArray, mx.nd.NDArray]


class StructuralPosterior(NamedTuple):
    """What all observations say of the states and of what the components contribute.

    mean (B, T, d) and covariance (B, T, d, d) of the states, in the order of the components;
    signal: mean and variance (B, T) of y without its noise; components: the same of each, by label.
    """

    mean: mx.nd.NDArray
    covariance: mx.nd.NDArray
    signal: Moments
    components: Dict[str, Moments]


class StructuralModel(ScanningBlock):
    """Negative diffuse log likelihood of a sum of components plus noise, (y, ...) -> (B,).

    y_t = Σ_i H_t^i x_t^i + ε_t,  ε_t ~ N(0, noise_variance).

    y: (B, T), one series for each batch element, all with the same parameters; covariates:
    (B or 1, T, k), the second argument if and only if there is a `Regression`; mask: optional last
    argument, (B, T) of 0/1, 1 where y was observed. What y holds behind the mask changes nothing,
    NaN included.

    The likelihood is the diffuse one, -lim log p(y) + Σ_j log(κ_j √2π) as the standard deviations
    κ_j of the diffuse states grow: for a local level -log p(y_2, ..., y_T | y_1). It is exact: the
    augmented filter takes the limit (`functional.diffuse`). (The exact diffuse log likelihood of
    statsmodels is lower by ½ log 2π for each diffuse state.) Of initial states that the data leave
    open, as those of a series with fewer observations than diffuse states, only what the data
    determine counts; `smooth`, `decompose` and the forecaster name them where they matter, and
    `open_states` tells them at once.

    All is computed in float64, and has the dtype of the block in the end.

    components: a component, a sum, or a list of them. noise_variance: the initial value of a
    learnable parameter in squared units of y; None or 0 for none. method, length: as in
    `KalmanFilterLayer`. Durbin & Koopman 2012, chapters 3 and 5; Harvey 1989, chapters 2 and 3.

    Raises ShapeError, DtypeError, UnidentifiedError, and what `KalmanFilterLayer` does.

    >>> model = gl.StructuralModel(gl.structural.LocalLevel(), noise_variance=1.0)
    >>> model.initialize()
    >>> y = mx.nd.array([[1.0, 1.0, 1.0, 1.0]])
    >>> mean, variance = model.forecaster(2)(y)
    >>> print(mean.asnumpy().round(4))
    [[1. 1.]]
    """

    # Whether observations are random given the signal, without a noise_variance.
    has_noise_of_its_own = False

    def __init__(
        self,
        components: Union[Component, Sequence[Component]],
        noise_variance: Optional[float] = 1.0,
        method: str = "sequential",
        length: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._dtype = "float32"
        with self.name_scope():
            parts = [components] if isinstance(components, Component) else components
            self.components = Sum(*parts)
            size, diffuse = self.components.state_size, sum(self.components.diffuse)
            self.options: Dict[str, Any] = {"method": method, "length": length, "diffuse": diffuse}
            self.filter = KalmanFilterLayer(size, **self.options)
            self.smoother = KalmanSmootherLayer(size, **self.options)
            self.noise_variance: Optional[PositiveParameter] = None
            if noise_variance:
                self.noise_variance = positive_parameter(
                    self, "noise_variance", noise_variance, VARIANCE_FLOOR
                )
        is_certain = self.noise_variance is None and not self.has_noise_of_its_own
        if is_certain and self.components.noise_size == 0:
            raise ValueError(
                f"{self.name}: nothing in the model is random; give it a noise_variance, or one of "
                "its components a variance."
            )
        covariates = (("covariates", "C T k"),) if self.components.features else ()
        self.arguments = (("y", "B T"), *covariates, ("mask", "B T"))
        self.required = 1 + len(covariates)

    @property
    def least_observations(self) -> int:
        """The number of diffuse states, whose values so many observations of a series take."""
        return sum(self.components.diffuse)

    def hybrid_forward(
        self, F: Namespace, y: Array, *rest: Optional[Array], **stored: Array
    ) -> Array:
        inputs, _ = self.kalman_inputs(F, y, *rest)
        return F.cast(self.filter.results(F, *inputs), self._dtype)

    def posterior(
        self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray
    ) -> StructuralPosterior:
        """The `StructuralPosterior` given all observations; arguments as in a call of the model.

        Raises UnidentifiedError, which names the states that the data leave open.
        """
        inputs, centre = self.kalman_inputs(mx.nd, *self._data(y, *rest, **keywords))
        mean, covariance = self.smoother.results(mx.nd, *inputs)
        self._refuse_open(covariance)
        emission = inputs[2].squeeze(axis=2)
        # Around the means of the covariates, where nothing is a difference of large numbers.
        signal = _contribution(emission, mean, covariance)
        if centre is not None:
            emission = mx.nd.broadcast_add(emission, centre.squeeze(axis=2))
            mean, covariance = uncentred(mean, covariance, centre, self.components)
        parts = {}
        for label, (component, begin) in zip(self.components.labels(), self.components.offsets()):
            own = slice(begin, begin + component.state_size)
            part = _contribution(emission[:, :, own], mean[:, :, own], covariance[:, :, own, own])
            parts[label] = tuple(array.astype(self._dtype) for array in part)
        mean, covariance, *signal = (a.astype(self._dtype) for a in (mean, covariance, *signal))
        return StructuralPosterior(mean, covariance, tuple(signal), parts)

    def smooth(self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray) -> Moments:
        """Mean (B, T, d) and covariance (B, T, d, d) of all states given all observations.

        States in the order of the components; see `posterior`.
        """
        return self.posterior(y, *rest, **keywords)[:2]

    def decompose(
        self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray
    ) -> Dict[str, Moments]:
        """What each component contributes to y: {label: (mean (B, T), variance (B, T))}.

        Given all observations; see `posterior`.
        """
        return self.posterior(y, *rest, **keywords).components

    def open_states(
        self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray
    ) -> List[List[str]]:
        """For each series the names of the initial states that its data leave open.

        Arguments as in a call of the model. A list of lists of str; all are empty where the model
        is identified. Levels are those at the mean of the covariates.
        """
        data = self._data(y, *rest, **keywords)
        inputs, _ = self.kalman_inputs(mx.nd, *data)
        if not any(self.components.diffuse):
            return [[] for _ in range(len(data[0]))]
        is_open = self.filter.open_states(*inputs).asnumpy()
        return [self._names_of(np.flatnonzero(own)) for own in is_open]

    def forecaster(self, steps: int) -> StructuralForecaster:
        """A block for `steps` observations after the last: (y, ...) -> mean, variance, (B, h).

        It exports, and holds copies of the parameters: training the model further does not
        change it. Arguments as in a call of the model, but covariates have T + h entries.
        """
        with self.name_scope():
            return StructuralForecaster(self, steps)

    def stream(self, steps: int) -> StructuralStream:
        """A block that takes one observation at a time, and forecasts `steps` after each.

        It exports, and holds copies of the parameters, as `forecaster` does.
        """
        with self.name_scope():
            return StructuralStream(self, steps)

    def expected_noise(self) -> float:
        """The variance of an observation given its signal."""
        return 0.0 if self.noise_variance is None else float(self.noise_variance.value()[0])

    def noise(self, F: Namespace, y: Array, stored: Optional[Stored] = None) -> Array:
        """The noise_variance inside a graph, (1, 1) or `stored` (B, 1), float64; 0 if none."""
        if self.noise_variance is None and stored is not None:
            return fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1))
        if self.noise_variance is None:
            return scalar_one(F, y) * 0.0
        if stored is not None:
            return self.noise_variance.natural(F, stored[None, "noise_variance"])
        own = F.cast(parameter_array(F, self.noise_variance, y), "float64")
        return F.reshape(self.noise_variance.natural(F, own), shape=(1, 1))

    def noise_ahead(self, F: Namespace, y: Array, stored: Optional[Stored] = None) -> Array:
        """The variance of an observation that nobody has seen, given its signal; as `noise`."""
        return self.noise(F, y, stored)

    def kalman_inputs(
        self, F: Namespace, y: Array, *rest: Optional[Array], stored: Optional[Stored] = None
    ) -> Tuple[List[Array], Optional[Array]]:
        """The arguments of the Kalman layers, in float64, and c of `centred_system`, in a graph.

        stored: parameters of B models, one for each series, in place of those of this one.
        """
        y = F.cast(y, "float64")
        covariates, mask = self._split(None if x is None else F.cast(x, "float64") for x in rest)
        observed = fn.ones_like(F, y)
        if mask is not None:
            observed = fn.stop(F, mask)
            y = F.where(observed, y, fn.zeros_like(F, y))
        system = self.components.system(F, y, covariates, stored)
        noise = self.noise(F, y, stored)
        emission, process_factor, centre = centred_system(F, self.components, system, observed)
        variances = [noise, *self.components.variances(F, y, stored)]
        diffuse = diffuse_part(
            F, self.components, system.prior_mean, emission, y, observed, variances
        )
        arrays = [
            F.expand_dims(y, axis=2),
            system.transition,
            emission,
            process_factor,
            F.reshape(F.sqrt(noise), shape=(-1, 1, 1, 1)),
            system.prior_mean if diffuse is None else diffuse.prior_mean,
            system.prior_factor,
        ]
        if diffuse is not None:
            arrays.append(diffuse.directions)
        if mask is not None:
            arrays.append(F.expand_dims(mask, axis=2))
        return arrays, centre

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        features = self.components.features
        if sizes.get("k", 0) != features:
            raise ShapeError(
                f"{self.name}: 'covariates' has {sizes['k']} columns, expected {features}, one "
                "for each feature of the regressions."
            )
        if sizes.get("C", 1) not in (1, sizes["B"]):
            raise ShapeError(
                f"{self.name}: 'covariates' has batch {sizes['C']}, expected 1 or that of 'y', "
                f"{sizes['B']}."
            )

    def _open_scans(self):
        return [*self.filter._open_scans(), *self.smoother._open_scans()]

    def _refuse_open(self, covariance):
        for element, is_open in enumerate(_is_open(covariance)):
            if is_open.any():
                raise UnidentifiedError(
                    f"{self.name}: the observations of batch element {element} leave open "
                    f"{listing(self._names_of(np.flatnonzero(is_open)))}. {REMEDY}"
                )

    def _names_of(self, states):
        names = []
        for label, (component, begin) in zip(self.components.labels(), self.components.offsets()):
            names += [
                f"{label}: {name}" if component.features or component.state_size > 1 else label
                for state, name in enumerate(component.state_names, start=begin)
                if state in states
            ]
        return names

    def _split(self, rest):
        """(covariates, mask) from the arguments after y; None for what is not there."""
        rest = list(rest)
        covariates = rest.pop(0) if self.components.features else None
        return covariates, rest[0] if rest else None


def _is_open(covariance):
    """Which states of each series have an infinite variance at the first step, (B, d)."""
    first = covariance[:, 0].asnumpy()
    return np.isinf(np.diagonal(first, axis1=1, axis2=2))


def _contribution(emission, mean, covariance):
    """H x (B, T) and its variance, of H (B or 1, T or 1, d)."""
    pairs = mx.nd.broadcast_mul(emission.expand_dims(axis=3), emission.expand_dims(axis=2))
    return (
        mx.nd.broadcast_mul(mean, emission).sum(axis=2),
        mx.nd.relu(mx.nd.broadcast_mul(covariance, pairs).sum(axis=(2, 3))),
    )
