"""What the state space models of several series share: likelihood, smoothing, forecasts."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...errors import ShapeError, UnidentifiedError, listing
from ...typing import Array, Namespace, Rules, hook
from ..copying import frozen_copies
from ..kalman import KalmanFilterLayer, ScanningBlock
from ..parameters import parameter_array
from ..smoother import KalmanForecastLayer, KalmanSmootherLayer
from ..structural.arrays import scalar_one
from ..structural.diffuse import REMEDY
from .parameters import real_parameter
from .sizes import sizes_of, stored_units, suggested
from .stream import MultivariateStream


class VectorSystem(NamedTuple):
    """The arrays of the Kalman layers in float64; the last two None for none."""

    transition: Array  # (1, 1, d, d)
    emission: Array  # (1, 1, p, d)
    process_factor: Array  # (1, 1, d, r)
    observation_factor: Array  # (1, 1, p, q)
    prior_mean: Array  # (B or 1, d)
    prior_factor: Array  # (1, d, s)
    directions: Optional[Array]  # (B or 1, d, u)
    emission_offset: Optional[Array]  # (1, 1, p)


class MultivariatePosterior(NamedTuple):
    """What a model says of its states and of y without noise, given all observations.

    mean (B, T, d), covariance (B, T, d, d) of the states; signal (B, T, p), signal_covariance
    (B, T, p, p); noise: the covariance that an observation has beside its signal, (p, p), a float64
    NumPy array.
    """

    mean: mx.nd.NDArray
    covariance: mx.nd.NDArray
    signal: mx.nd.NDArray
    signal_covariance: mx.nd.NDArray
    noise: np.ndarray


class MultivariateModel(ScanningBlock):
    """Negative log likelihood of several series, (y, ...) -> (B,).

    y: (B, T, p), p = `series`; covariates: (B or 1, T, k), the second argument if and only if the
    model has `covariates` k above 0; mask: optional, (B, T, p) of 0/1, 1 where y was observed,
    whatever stands elsewhere. With initial states of which nothing is known it is the exact diffuse
    likelihood (`functional.diffuse`), as in `StructuralModel`. All is computed in float64, and has
    the dtype of the block in the end.

    state_size d, diffuse: how many directions of the first state are diffuse; method, length: as in
    `KalmanFilterLayer`. A subclass implements `system`.
    """

    arguments: Rules = (("y", "B T p"), ("mask", "B T p"))
    required = 1
    # What is added to all observations, (p,), and to them for a unit of each covariate, (p, k).
    mean: Optional[mx.gluon.Parameter] = None
    effects: Optional[mx.gluon.Parameter] = None
    # Values that nobody gave, for series of standard deviation 1, by the name of their parameter.
    defaults: Dict[str, np.ndarray] = {}

    def __init__(
        self,
        series: int,
        state_size: int,
        diffuse: int = 0,
        method: str = "sequential",
        length: Optional[int] = None,
        covariates: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._dtype = "float32"
        self.series, self.state_size = series, state_size
        self.covariates = checked_count(type(self).__name__, "covariates", covariates, 0)
        if self.covariates:
            rules = self.arguments
            self.arguments = (rules[0], ("covariates", "C T k"), *rules[1:])
            self.required = 2
            self.effects = real_parameter(self, "effects", None, (series, covariates))
        self.options: Dict[str, Any] = {"method": method, "length": length, "diffuse": diffuse}
        with self.name_scope():
            self.filter = KalmanFilterLayer(state_size, series, **self.options)
            self.smoother = KalmanSmootherLayer(state_size, series, **self.options)
        self.state_names = [f"state {k + 1}" for k in range(state_size)]

    @hook
    def system(self, F: Namespace, y: Array, mask: Array) -> VectorSystem:
        """The arrays inside a graph; y: (B, T, p), 0 where the mask (B, T, p) is 0."""
        raise NotImplementedError(f"{type(self).__name__} does not implement system")

    def hybrid_forward(
        self, F: Namespace, y: Array, *rest: Optional[Array], **stored: Array
    ) -> Array:
        return F.cast(self.filter.results(F, *self.kalman_inputs(F, y, *rest)), self._dtype)

    def begin_with(self, y: mx.nd.NDArray, *rest: mx.nd.NDArray) -> None:
        """Brings to the size of y what nobody has given or changed: a fit begins there."""
        for name, value in suggested(self._sizes(y, *rest), self.defaults).items():
            parameter = getattr(self, name)
            is_untouched = np.allclose(parameter.value(), self.defaults[name], rtol=1e-6)
            if is_untouched and parameter.grad_req != "null":
                parameter.set_value(value)

    def stored_units(self, y: mx.nd.NDArray, *rest: mx.nd.NDArray) -> Dict[str, np.ndarray]:
        """What a step of 1 is in each number that a parameter stores, by the name of it."""
        sizes = self._sizes(y, *rest)
        named = self._collect_params_with_prefix()
        return {name: stored_units(own, name, sizes) for name, own in named.items()}

    def _sizes(self, y, *rest):
        mask = rest[-1] if len(rest) == 1 + bool(self.covariates) else mx.nd.ones_like(y)
        return sizes_of(y.asnumpy().astype("float64"), mask.asnumpy())

    def posterior(
        self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray
    ) -> "MultivariatePosterior":
        """States and signal given all observations, of one smoother.

        Arguments as in a call. Raises UnidentifiedError for states that the data leave open.
        """
        inputs = self.kalman_inputs(mx.nd, *self._data(y, *rest, **keywords))
        moments = self.smoother.results(mx.nd, *inputs)
        mean, covariance = (array.asnumpy() for array in moments)
        first = np.diagonal(covariance[:, 0], axis1=1, axis2=2)
        for element, own in enumerate(np.isinf(first)):
            if own.any():
                names = [self.state_names[state] for state in np.flatnonzero(own)]
                raise UnidentifiedError(
                    f"{self.name}: the observations of batch element {element} leave open "
                    f"{listing(names)}. {REMEDY}"
                )
        emission, factor = (inputs[place].asnumpy()[0, 0] for place in (2, 4))
        offset = 0.0 if inputs[-1] is None else inputs[-1].asnumpy()
        signal = mean @ emission.T + offset, emission @ covariance @ emission.T
        found = (mean, covariance, *signal)
        device = inputs[0].context
        arrays = (mx.nd.array(array, dtype=self._dtype, ctx=device) for array in found)
        return MultivariatePosterior._make([*arrays, factor @ factor.T])

    def smooth(
        self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray
    ) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean (B, T, d) and covariance (B, T, d, d) of the states given all observations.

        Arguments and errors as in `posterior`.
        """
        found = self.posterior(y, *rest, **keywords)
        return found.mean, found.covariance

    def signal(
        self, y: mx.nd.NDArray, *rest: mx.nd.NDArray, **keywords: mx.nd.NDArray
    ) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean (B, T, p) and covariance (B, T, p, p) of y without its noise, given all of y.

        Arguments and errors as in `posterior`.
        """
        found = self.posterior(y, *rest, **keywords)
        return found.signal, found.signal_covariance

    def named_states(self, names: Sequence[str]) -> List[str]:
        """The `state_names` with the names of the series in place of their numbers."""
        found = []
        for state in self.state_names:
            for number in range(self.series, 0, -1):
                text = f"series {number}"
                if state.endswith(f"of {text}"):
                    state = state[: -len(text)] + names[number - 1]
                    break
            found.append(state)
        return found

    def forecaster(self, steps: int) -> "MultivariateForecaster":
        """A block for `steps` observations after the last: (y, ...) -> mean, covariance.

        It exports, and holds copies of the parameters. Arguments as in a call of the model, but
        covariates have T + steps entries.
        """
        with self.name_scope():
            return MultivariateForecaster(self, steps)

    def stream(self, steps: int) -> MultivariateStream:
        """A block that takes one step of y at a time, and forecasts `steps` after each.

        It exports, and holds copies of the parameters, as `forecaster` does.
        """
        with self.name_scope():
            return MultivariateStream(self, steps)

    def kalman_inputs(self, F: Namespace, y: Array, *rest: Optional[Array]) -> List[Any]:
        """The arguments of the Kalman layers, in float64, in a graph; arguments as in a call."""
        own: List[Any] = [*rest, *[None] * (self.required - len(rest))]
        covariates = own.pop(0) if self.covariates else None
        mask = own[0]
        y = F.cast(y, "float64")
        observed = fn.ones_like(F, y)
        if mask is not None:
            observed = mask = F.cast(fn.stop(F, mask), "float64")
            y = F.where(mask, y, fn.zeros_like(F, y))
        system = self.system(F, y, observed)
        arrays = [y, *system[:6]]
        if system.directions is not None:
            arrays.append(system.directions)
        offset = self.offset_of(F, y, covariates, system.emission_offset)
        return [*arrays, mask, None, offset]

    def offset_of(
        self, F: Namespace, y: Array, covariates: Optional[Array], offset: Optional[Array]
    ) -> Optional[Array]:
        """What is added to y, (B or 1, T or 1, p), by covariates (B or 1, T, k) too."""
        if covariates is None or self.effects is None:
            return offset
        effects = self.stored(F, self.effects, y)
        found = F.dot(F.cast(covariates, "float64"), effects, transpose_b=True)
        return found if offset is None else F.broadcast_add(found, offset)

    def one(self, F: Namespace, y: Array) -> Array:
        """The number 1, (1, 1), from y (B, T, p)."""
        return scalar_one(F, F.reshape(y, shape=(1, -1)))

    def stored(self, F: Namespace, parameter: mx.gluon.Parameter, like: Array) -> Array:
        """What a parameter stores, in float64, inside a graph."""
        return F.cast(parameter_array(F, parameter, like), "float64")

    def offset(self, F: Namespace, y: Array) -> Optional[Array]:
        """The parameter `mean` as the emission offset, (1, 1, p), or None."""
        mean = self.mean
        return None if mean is None else F.reshape(self.stored(F, mean, y), shape=(1, 1, -1))

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes["p"] != self.series:
            raise ShapeError(
                f"{self.name}: 'y' has {sizes['p']} series, but the model is of {self.series}."
            )
        if sizes.get("k", 0) != self.covariates:
            raise ShapeError(
                f"{self.name}: 'covariates' has {sizes['k']} columns, but the model is of "
                f"{self.covariates}."
            )
        if sizes.get("C", 1) not in (1, sizes["B"]):
            raise ShapeError(
                f"{self.name}: 'covariates' has batch {sizes['C']}, expected 1 or that of 'y', "
                f"{sizes['B']}."
            )

    def _open_scans(self):
        return [*self.filter._open_scans(), *self.smoother._open_scans()]


class MultivariateForecaster(ScanningBlock):
    """(y, ...) -> mean (B, h, p) and covariance (B, h, p, p) of the next h observations.

    Made by `MultivariateModel.forecaster`. Arguments as in a call of the model, but covariates are
    (B or 1, T + h, k). A variance that the data leave open is inf.
    """

    def __init__(self, model: MultivariateModel, steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        with self.name_scope():
            (self.model,) = frozen_copies(self.prefix, model)
            size, series = model.state_size, model.series
            self.layer = KalmanForecastLayer(size, series, steps=steps, **model.options)
        self.required = model.required
        self.arguments = tuple(
            (name, axes.replace("T", "S") if name == "covariates" else axes)
            for name, axes in model.arguments
        )

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Optional[Array]) -> Tuple[Array, ...]:
        _, _, mean, covariance = self.layer.results(F, *self.model.kalman_inputs(F, y, *rest))
        return tuple(F.cast(array, self.model._dtype) for array in (mean, covariance))

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self.model.check_shapes(sizes)
        expected = sizes["T"] + self.steps
        if sizes.get("S", expected) != expected:
            raise ShapeError(
                f"{self.name}: 'covariates' has {sizes['S']} entries in time, expected "
                f"{sizes['T']} + {self.steps}: those of 'y' and those of the forecast."
            )

    def _open_scans(self):
        return self.layer._open_scans()


def checked_count(name: str, what: str, value: Any, least: int) -> int:
    """value; ValueError unless it is an integer from `least` on."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name}: {what} is {value!r}, expected an integer from {least} on.")
    return value
