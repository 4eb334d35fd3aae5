"""Structural time series with observation noise of heavy tails."""

from typing import Any, List, Optional, Sequence, Tuple, Union

import mxnet as mx

from ... import functional as fn
from ...typing import Array, Namespace
from ..parameters import PositiveParameter, parameter_array, positive_parameter
from .base import Component, Stored
from .forecaster import StructuralForecaster
from .model import StructuralModel
from .stream import StructuralStream

# Observations on each side whose median an observation is compared with at first.
REACH = 3


class RobustStructuralModel(StructuralModel):
    """Components seen through Student-t noise: minus a lower bound of log p(y), (y, ...) -> (B,).

    y_t = Σ_i H_t^i x_t^i + ε_t,  ε_t ~ t_ν(0, noise_variance).

    Given weights, ε_t ~ N(0, noise_variance / w_t), w_t ~ Gamma(ν/2, ν/2), the model is
    linear-Gaussian. The bound is that of independent q(x) q(w) (Tipping & Lawrence 2005; Agamennoni
    et al. 2012): with r_t² = E[(y_t - H_t x_t)²] given all observations with their weights,

    w_t = (ν + 1) / (ν + r_t² / noise_variance),
    log p(y) >= log p_w(y) + Σ_t [g(w_t) - ½ log w_t],
    g(w) = log Γ(a) - log Γ(ν/2) + ν/2 log(ν/2) - a log(a/w) + a - ½ ν w,  a = (ν + 1) / 2,

    of which `iterations` rounds find the weights, each of them a smoother; they begin with the
    distance of each observation from the median of those around it, so that an outlier of whatever
    size is none that the states have followed. The bound is largest at these weights, so its
    gradient needs no derivative of them. An observation far from all others has a weight near 0: it
    moves neither the fit nor a forecast, but for its place in a count.

    degrees_of_freedom: ν, above 2, learnable (freeze it as any parameter). noise_variance: the
    initial scale of the noise, whose variance is ν / (ν - 2) times it; all other arguments, methods
    and errors are those of `StructuralModel`: `posterior`, `decompose` and the forecaster are given
    the weights, and a forecast has the variance of the noise.

    Raises ValueError for a model without noise, and for ν or `iterations` that are none.

    >>> model = gl.structural.RobustStructuralModel(gl.structural.LocalLevel(0.01), 1.0)
    >>> model.initialize()
    >>> weights = model.weights(mx.nd.array([[0.1, -0.2, 50.0, 0.1, 0.2]]))
    >>> int(weights.asnumpy().argmin())  # the outlier
    2
    """

    bounds_likelihood = True

    def __init__(
        self,
        components: Union[Component, Sequence[Component]],
        noise_variance: float = 1.0,
        degrees_of_freedom: float = 4.0,
        iterations: int = 15,
        method: str = "sequential",
        length: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(components, noise_variance, method, length, **kwargs)
        if self.noise_variance is None:
            raise ValueError(
                f"{self.name}: noise_variance is {noise_variance!r}, expected above 0."
            )
        if type(iterations) is not int or iterations < 1:
            raise ValueError(f"{self.name}: iterations is {iterations!r}, expected 1 or more.")
        self._rounds = iterations
        self.degrees_of_freedom: PositiveParameter = positive_parameter(
            self, "degrees_of_freedom", degrees_of_freedom, lower=2.0
        )

    def hybrid_forward(
        self, F: Namespace, y: Array, *rest: Optional[Array], **stored: Array
    ) -> Array:
        inputs, bound = self.weighted_inputs(F, y, *rest)
        likelihood: Any = self.filter.results(F, *inputs)
        return F.cast(likelihood - bound, self._dtype)

    def weighted_inputs(
        self, F: Namespace, y: Array, *rest: Optional[Array], stored: Optional[Stored] = None
    ) -> Tuple[List[Array], Array]:
        """As `kalman_inputs`, and what the weights add to the bound, Σ_t [g(w_t) - ½ log w_t]."""
        inputs, _, weights, observed = self._weighted(F, y, *rest, stored=stored)
        freedom = self.freedom(F, y, stored)
        shape = 0.5 * (freedom + 1.0)
        constant = F.gammaln(shape) - F.gammaln(0.5 * freedom) + shape
        constant = constant + 0.5 * freedom * F.log(0.5 * freedom)
        logarithm = F.broadcast_sub(F.log(shape), F.log(weights))
        terms = F.broadcast_sub(constant, F.broadcast_mul(shape, logarithm))
        terms = terms - 0.5 * F.broadcast_mul(freedom, weights) - 0.5 * F.log(weights)
        return inputs, F.sum(terms * observed, axis=1)

    def kalman_inputs(
        self, F: Namespace, y: Array, *rest: Optional[Array], stored: Optional[Stored] = None
    ) -> Tuple[List[Array], Optional[Array]]:
        return self._weighted(F, y, *rest, stored=stored)[:2]

    def forecaster(self, steps: int) -> "RobustForecaster":
        """As that of `StructuralModel`."""
        with self.name_scope():
            return RobustForecaster(self, steps)

    def stream(self, steps: int) -> StructuralStream:
        """Raises ValueError: weights depend on all observations, those after a step included."""
        raise ValueError(
            f"{self.name}: with Student-t noise a series is not seen one observation at a time: "
            "what is an outlier depends on those after it; use a forecaster."
        )

    def expected_noise(self) -> float:
        freedom = float(self.degrees_of_freedom.value()[0])
        return super().expected_noise() * freedom / (freedom - 2.0)

    def noise_ahead(self, F: Namespace, y: Array, stored: Optional[Stored] = None) -> Array:
        freedom = self.freedom(F, y, stored)
        return self.noise(F, y, stored) * freedom / (freedom - 2.0)

    def freedom(self, F: Namespace, like: Array, stored: Optional[Stored] = None) -> Array:
        """ν inside a graph, (1, 1) or `stored` (B, 1), float64."""
        if stored is not None:
            return self.degrees_of_freedom.natural(F, stored[None, "degrees_of_freedom"])
        own = F.cast(parameter_array(F, self.degrees_of_freedom, like), "float64")
        return F.reshape(self.degrees_of_freedom.natural(F, own), shape=(1, 1))

    def weights(self, y: Any, *rest: Any, **keywords: Any) -> Array:
        """w, (B, T), near 0 for outliers; arguments as in a call."""
        return self._weighted(mx.nd, *self._data(y, *rest, **keywords))[2].astype(self._dtype)

    def _weighted(self, F, y, *rest, stored=None):
        """(inputs of the layers, c, w (B, T), mask (B, T)): the noise has its weights."""
        inputs, centre = super().kalman_inputs(F, y, *rest, stored=stored)
        values = F.squeeze(fn.stop(F, inputs[0]), axis=2)
        has_mask = len(inputs) > 7 + (self.options["diffuse"] > 0)
        observed = (
            F.squeeze(fn.stop(F, inputs[-1]), axis=2) if has_mask else fn.ones_like(F, values)
        )
        deviation = inputs[4]
        variance = F.reshape(F.square(fn.stop(F, deviation)), shape=(-1, 1))
        freedom = fn.stop(F, self.freedom(F, y, stored))
        known = [fn.stop(F, array) for array in inputs]
        if self.components.features:
            # Those of a forecast go on.
            known[2] = F.slice_like(known[2], values, axes=(1,))
        emission = F.squeeze(known[2], axis=2)
        square = _first_squares(F, values, observed)
        for turn in range(self._rounds + 1):
            ratio = F.broadcast_div(square, variance) if turn else square
            weights = F.broadcast_div(freedom + 1.0, F.broadcast_add(freedom, ratio))
            weights = fn.stop(F, F.where(observed, weights, fn.ones_like(F, weights)))
            spread = F.reshape(weights, shape=(0, 0, 1, 1)) ** -0.5
            if turn < self._rounds:
                known[4] = F.broadcast_mul(fn.stop(F, deviation), spread)
                square = self._squares(F, values, emission, known)
        inputs[4] = F.broadcast_mul(deviation, spread)
        return inputs, centre, weights, observed

    def _squares(self, F, y, emission, inputs):
        """E[(y - H x)²], (B, T), constants."""
        mean, covariance = self.smoother.results(F, *inputs)
        # A variance that is infinite is of a state that no observation has seen.
        covariance = F.where(covariance < 1e300, covariance, fn.zeros_like(F, covariance))
        signal = F.sum(F.broadcast_mul(mean, emission), axis=2)
        pairs = F.broadcast_mul(F.expand_dims(emission, axis=3), F.expand_dims(emission, axis=2))
        variance = F.sum(F.broadcast_mul(covariance, pairs), axis=(2, 3))
        return fn.stop(F, F.square(y - signal) + F.relu(variance))


class RobustForecaster(StructuralForecaster):
    """As `StructuralForecaster`: the variance of what is to come is that of Student-t noise.

    Arguments and errors are those of `StructuralForecaster`.

    >>> model = gl.structural.RobustStructuralModel(gl.structural.LocalLevel(0.01), 1.0)
    >>> model.initialize()
    >>> mean, _ = model.forecaster(1)(mx.nd.array([[0.0, 0.1, 1e6, 0.1, 0.0]]))
    >>> abs(mean.asnumpy().item()) < 1.0
    True
    """

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Optional[Array]) -> Tuple[Array, ...]:
        inputs, _ = self.model.kalman_inputs(F, y, *rest)
        ahead = F.reshape(F.sqrt(self.model.noise_ahead(F, y)), shape=(1, 1, 1, 1))
        ahead = F.broadcast_axis(ahead, axis=1, size=self.steps)
        first = F.slice_axis(fn.zeros_like(F, inputs[4]), axis=1, begin=0, end=1)
        inputs[4] = F.concat(inputs[4], F.broadcast_add(first, ahead), dim=1)
        _, _, mean, covariance = self.layer.results(F, *inputs)
        mean, variance = F.squeeze(mean, axis=2), F.squeeze(covariance, axis=(2, 3))
        return tuple(F.cast(array, self.model._dtype) for array in (mean, variance))


def _first_squares(F, y, observed):
    """Squares of distances from the median, in units of their own median, (B, T)."""
    middle = _median(F, y, observed)
    filled = F.where(observed, y, F.broadcast_add(middle, fn.zeros_like(F, y)))
    padded = F.concat(
        *[F.slice_axis(filled, axis=1, begin=0, end=1)] * REACH,
        filled,
        *[F.slice_axis(filled, axis=1, begin=-1, end=None)] * REACH,
        dim=1,
    )
    shifted = []
    for lag in range(2 * REACH + 1):
        end = lag - 2 * REACH
        shifted.append(F.slice_axis(padded, axis=1, begin=lag, end=end if end else None))
    around = F.sort(F.stack(*shifted, axis=2), axis=2)
    local = F.squeeze(F.slice_axis(around, axis=2, begin=REACH, end=REACH + 1), axis=2)
    distance = F.abs(filled - local)
    scale = _median(F, distance, observed) * (1.0 / 0.6745)
    average = F.broadcast_div(
        F.sum(distance * observed, axis=1, keepdims=True),
        F.sum(observed, axis=1, keepdims=True) + 1e-300,
    )
    # Where most are equal to their neighbours the mean is the scale.
    scale = F.where(scale > 0.0, scale, average)
    scale = F.where(scale > 0.0, scale, fn.ones_like(F, scale))
    return fn.stop(F, F.broadcast_div(distance * observed, scale) ** 2)


def _median(F, x, observed):
    """The upper median of what was observed of each row, (B, 1)."""
    count = F.sum(observed, axis=1)
    largest = F.broadcast_add(F.max(F.abs(x), axis=1, keepdims=True), fn.ones_like(F, x))
    ordered = F.sort(F.where(observed, x, largest), axis=1)
    return F.pick(ordered, F.floor(0.5 * count), axis=1, keepdims=True)
