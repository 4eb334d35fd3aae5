"""Structural time series of counts and events: a likelihood in place of noise."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from ... import functional as fn
from ...errors import UnidentifiedError
from ...functional.gaussian import HALF_LOG_2PI
from ...typing import Array, Namespace
from ..likelihoods import Likelihood
from .base import Component, Stored, stored_numbers
from .forecaster import StructuralForecaster
from .model import StructuralModel
from .stream import StructuralStream

# No signal moves further in one iteration: Newton's step from where a count is all but impossible
# is as long as the count is large.
LONGEST_STEP = 4.0
# A last step that is longer leads to no mode: towards infinity each is as long as the one before.
AT_REST = 0.01
# The least precision: what is less likely than its inverse tells nothing.
SMALLEST = 1e-100


class GeneralizedStructuralModel(StructuralModel):
    """Components seen through a likelihood: Laplace's approximation of -log p(y), (y, ...) -> (B,).

    y_t ~ p(y | θ_t),  θ_t = Σ_i H_t^i x_t^i, such as y_t ~ Poisson(e^θ_t).

    At the mode θ̂ of p(θ | y) the model is that of the observations z_t = θ_t + ε_t,
    ε_t ~ N(0, 1/λ_t), with λ_t = -∂² log p(y_t | θ̂_t)/∂θ² and z_t = θ̂_t + λ_t⁻¹ ∂ log p/∂θ:

    log p(y) ≈ log p(z) + Σ_t [log p(y_t | θ̂_t) - log N(z_t | θ̂_t, 1/λ_t)].

    `iterations` of Newton's method, each of them a smoother, find the mode, from what each y_t says
    alone; the gradient is that of the approximation, the mode's included. Durbin & Koopman 2012,
    sections 10.6 and 11.6. It is good where the signal of a step is told by several observations,
    as it mostly is; the fewer, and the smaller the counts, the rougher.

    likelihood: `likelihoods.Poisson()`, `NegativeBinomial()` or `Bernoulli()`, whose parameters are
    learned; other arguments, methods and errors are those of `StructuralModel`: `posterior` and
    `decompose` tell of θ, and the signal is θ.

    Raises TypeError for a likelihood that is not log-concave in one value, ValueError for y that it
    does not take, and for `iterations` that are none, UnidentifiedError where there is no mode.

    >>> model = gl.structural.GeneralizedStructuralModel(
    ...     gl.structural.LocalLevel(0.01), gl.likelihoods.Poisson()
    ... )
    >>> model.initialize()
    >>> mean, *_ = model.forecaster(1)(mx.nd.array([[3.0, 5.0, 4.0, 4.0, 3.0, 5.0]]))
    >>> bool(3.5 < mean.asnumpy().item() < 4.5)
    True
    """

    has_noise_of_its_own = True

    def __init__(
        self,
        components: Union[Component, Sequence[Component]],
        likelihood: Likelihood,
        iterations: int = 15,
        method: str = "sequential",
        length: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(components, None, method, length, **kwargs)
        score = getattr(type(likelihood), "score_and_curvature", Likelihood.score_and_curvature)
        if score is Likelihood.score_and_curvature:
            raise TypeError(
                f"{self.name}: likelihood is a {type(likelihood).__name__}, expected Poisson(), "
                "NegativeBinomial() or Bernoulli() of gl.likelihoods; for outliers there is "
                "RobustStructuralModel."
            )
        if type(iterations) is not int or iterations < 1:
            raise ValueError(f"{self.name}: iterations is {iterations!r}, expected 1 or more.")
        self.likelihood, self._rounds = likelihood, iterations

    def hybrid_forward(
        self, F: Namespace, y: Array, *rest: Optional[Array], **stored: Array
    ) -> Array:
        inputs, correction = self.approximate_inputs(F, y, *rest)
        found: Any = self.filter.results(F, *inputs)
        return F.cast(found - correction, self._dtype)

    def approximate_inputs(
        self, F: Namespace, y: Array, *rest: Optional[Array], stored: Optional[Stored] = None
    ) -> Tuple[List[Array], Array]:
        """As `kalman_inputs`, and Σ_t [log p(y_t | θ̂_t) - log N(z_t | θ̂_t, 1/λ_t)], (B,)."""
        inputs, _, found = self._approximated(F, y, *rest, stored=stored)
        likelihood, observed, counts, signal, precision, shift = found
        certain = fn.zeros_like(F, signal)
        density = likelihood._expected_log_density(F, signal, certain, counts)
        normal = 0.5 * F.log(precision) - HALF_LOG_2PI - 0.5 * precision * F.square(shift)
        return inputs, F.sum((density - normal) * observed, axis=1)

    def kalman_inputs(
        self, F: Namespace, y: Array, *rest: Optional[Array], stored: Optional[Stored] = None
    ) -> Tuple[List[Array], Optional[Array]]:
        return self._approximated(F, y, *rest, stored=stored)[:2]

    def forecaster(self, steps: int) -> "GeneralizedForecaster":
        """As that of `StructuralModel`, and it gives the moments of the signal too."""
        with self.name_scope():
            return GeneralizedForecaster(self, steps)

    def stream(self, steps: int) -> StructuralStream:
        """Raises ValueError: the mode depends on all observations, those after a step included."""
        raise ValueError(
            f"{self.name}: with a likelihood a series is not seen one observation at a time: the "
            "mode of the signal depends on those after it; use a forecaster."
        )

    def likelihood_of(self, F: Namespace, y: Array, stored: Optional[Stored] = None) -> Likelihood:
        """The likelihood inside a graph, in float64, of `stored` parameters (B, n) if given."""
        values: Dict[str, Array] = {}
        for name, parameter in self.likelihood._reg_params.items():
            given = None if stored is None else stored[None, name]
            values[name] = parameter.natural(F, stored_numbers(F, parameter, y, given))
        return self.likelihood.with_values(values)

    def _approximated(self, F, y, *rest, stored=None):
        """(inputs, c, (likelihood, mask, y, θ̂, λ, z - θ̂)): the inputs are of z."""
        likelihood = self.likelihood_of(F, y, stored)
        _, mask = self._split(rest)
        y, observed = F.cast(y, "float64"), None
        if mask is not None:
            observed = fn.stop(F, F.cast(mask, "float64"))
            y = F.where(observed, y, fn.zeros_like(F, y))
        y = fn.stop(F, y)
        text = f"{self.name}: 'y' must be {likelihood.targets}."
        y = fn.require_rows(F, y, likelihood.possible(F, y), ValueError, text)
        observed = fn.ones_like(F, y) if observed is None else observed
        signal = fn.stop(F, likelihood.first_guess(F, y))
        inputs, centre = super().kalman_inputs(F, signal, *rest, stored=stored)
        now = list(inputs)
        if self.components.features:
            # Those of a forecast go on.
            now[2] = F.slice_like(now[2], signal, axes=(1,))
        known = [fn.stop(F, array) for array in now]
        constant = likelihood.with_values(
            {name: fn.stop(F, value) for name, value in likelihood._values.items()}
        )
        for _ in range(self._rounds):
            step = self._step(F, known, constant, y, observed, signal)
            signal = fn.stop(F, signal + F.clip(step, -LONGEST_STEP, LONGEST_STEP))
        # Newton's step at the mode is 0, and its derivative that of the mode.
        step = self._step(F, now, likelihood, y, observed, signal)
        at_rest = F.abs(fn.stop(F, step)) * observed < AT_REST
        text = (
            f"{self.name}: after {self._rounds} iterations the signal moves on: where all counts "
            "are 0, or all answers the same, it has no end; give the components a known prior "
            "(prior=(mean, standard deviations)), or else more iterations."
        )
        signal = signal + fn.require_rows(F, step, at_rest, UnidentifiedError, text)
        inputs, precision, shift = self._seen_as_normal(F, inputs, likelihood, y, observed, signal)
        return inputs, centre, (likelihood, observed, y, signal, precision, shift)

    def _step(self, F, inputs, likelihood, y, observed, signal):
        """Newton's step (B, T) from a signal (B, T)."""
        inputs, *_ = self._seen_as_normal(F, inputs, likelihood, y, observed, signal)
        mean, _ = self.smoother.results(F, *inputs)
        return F.sum(F.broadcast_mul(mean, F.squeeze(inputs[2], axis=2)), axis=2) - signal

    def _seen_as_normal(self, F, inputs, likelihood, y, observed, signal):
        """The inputs with z and its noise about a signal, λ and z - θ, (B, T) each."""
        score, precision = likelihood.score_and_curvature(F, signal, y)
        one = fn.ones_like(F, precision)
        precision = F.where(observed, F.maximum(precision, one * SMALLEST), one)
        shift = F.where(observed, score, fn.zeros_like(F, score)) / precision
        seen = F.where(observed, signal + shift, fn.zeros_like(F, y))
        inputs = list(inputs)
        inputs[0] = F.expand_dims(seen, axis=2)
        inputs[4] = F.reshape(precision, shape=(0, 0, 1, 1)) ** -0.5
        return inputs, precision, shift


class GeneralizedForecaster(StructuralForecaster):
    """(y, ...) -> mean and variance of the next h observations, and of their signal, (B, h) each.

    E[y_{T+i} | y] and Var[y_{T+i} | y] of p(y | θ) and θ_{T+i} ~ N(mean, variance), given y.
    Arguments and errors are those of `StructuralForecaster`.

    >>> model = gl.structural.GeneralizedStructuralModel(
    ...     gl.structural.LocalLevel(0.01), gl.likelihoods.Bernoulli()
    ... )
    >>> model.initialize()
    >>> mean, variance, *_ = model.forecaster(1)(mx.nd.array([[0.0, 1.0, 0.0, 1.0]]))
    >>> print(mean.asnumpy().round(2), variance.asnumpy().round(2))
    [[0.5]] [[0.25]]
    """

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Optional[Array]) -> Tuple[Array, ...]:
        model = self.model
        inputs, _ = model.kalman_inputs(F, y, *rest)
        # The signal has no noise ahead.
        first = F.slice_axis(fn.zeros_like(F, inputs[4]), axis=1, begin=0, end=1)
        inputs[4] = F.concat(inputs[4], F.tile(first, reps=(1, self.steps, 1, 1)), dim=1)
        _, _, mean, covariance = self.layer.results(F, *inputs)
        mean, variance = F.squeeze(mean, axis=2), F.squeeze(covariance, axis=(2, 3))
        likelihood = model.likelihood_of(F, y)
        found = (*likelihood.predictive_moments(F, mean, variance), mean, variance)
        return tuple(F.cast(array, model._dtype) for array in found)
