"""Seasonal patterns in dummy and in trigonometric form."""

import math
from typing import Any, Optional

from ...typing import Array, Namespace
from .arrays import matrix
from .base import Component, Prior


class Seasonal(Component):
    """A pattern of `period` steps that sums to 0 and changes slowly.

    form 'dummy':  γ_{t+1} = -Σ_{j=1}^{s-1} γ_{t+1-j} + ω_t,  ω_t ~ N(0, seasonal_variance).
    State (γ_t, ..., γ_{t-s+2}), contribution γ_t. period: s, an integer.

    form 'trigonometric':  γ_t = Σ_j γ_{j,t} over `harmonics` of the frequencies λ_j = 2πj/s,
    γ_{j,t+1} = γ_{j,t} cos λ_j + γ*_{j,t} sin λ_j + ω_{j,t},
    γ*_{j,t+1} = -γ_{j,t} sin λ_j + γ*_{j,t} cos λ_j + ω*_{j,t},  all ω ~ N(0, seasonal_variance).
    State (γ_1, γ*_1, γ_2, ...); the harmonic s/2 has no γ*. period: s, any number from 2 on;
    harmonics: at most s/2, which is the default.

    seasonal_variance: in squared units of y; 0 for a fixed pattern. Durbin & Koopman 2012,
    section 3.2; Harvey 1989, chapter 2.

    Raises ValueError for a period, form, number of harmonics, variance or prior that is none.

    >>> components = gl.structural.LocalLevel(0) + gl.structural.Seasonal(2, seasonal_variance=0)
    >>> model = gl.StructuralModel(components, noise_variance=0.01)
    >>> model.initialize()
    >>> mean, _ = model.forecaster(3)(mx.nd.array([[1.0, 3.0, 1.0, 3.0]]))
    >>> print(mean.asnumpy().round(4))
    [[1. 3. 1.]]
    """

    kind = "seasonal"

    def __init__(
        self,
        period: float,
        form: str = "dummy",
        harmonics: Optional[int] = None,
        seasonal_variance: Optional[float] = 1.0,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        _check_period(period, form)
        frequencies = _frequencies(period, form, harmonics)
        # The harmonic s/2 alternates in sign and has no partner.
        pairs = [frequency < math.pi for frequency in frequencies]
        if form == "dummy":
            state_size, disturbed = int(period) - 1, range(1)
        else:
            state_size = len(pairs) + sum(pairs)
            disturbed = range(state_size)
        super().__init__(state_size, **kwargs)
        self._form, self._frequencies, self._pairs = form, frequencies, pairs
        # The period, and how many harmonics of it the pattern has.
        self.waves = (float(period), len(frequencies) or int(period) // 2)
        self.seasonal_variance = self._disturb(disturbed, "seasonal_variance", seasonal_variance)
        self._set_prior(prior)

    def transition(self, F: Namespace, one: Array, **values: Array) -> Array:
        size = self.state_size
        if self._form == "dummy":
            shifted = [[float(j == i) for j in range(size)] for i in range(size - 1)]
            return matrix(F, one, [[-1.0] * size] + shifted)
        rows, state = [[0.0] * size for _ in range(size)], 0
        for frequency, pair in zip(self._frequencies, self._pairs):
            rows[state][state] = math.cos(frequency)
            if pair:
                rows[state][state + 1] = math.sin(frequency)
                rows[state + 1][state] = -math.sin(frequency)
                rows[state + 1][state + 1] = math.cos(frequency)
            state += 1 + pair
        return matrix(F, one, rows)

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        row = [1.0] + [0.0] * (self.state_size - 1)
        if self._form == "trigonometric":
            row = [entry for pair in self._pairs for entry in ([1.0, 0.0] if pair else [1.0])]
        return F.expand_dims(matrix(F, one, [row]), axis=1)


def _check_period(period, form):
    if form not in ("dummy", "trigonometric"):
        raise ValueError(f"Seasonal: form is {form!r}, expected 'dummy' or 'trigonometric'.")
    whole = isinstance(period, (int, float)) and float(period).is_integer()
    if not (isinstance(period, (int, float)) and 2 <= period < math.inf):
        raise ValueError(f"Seasonal: period is {period!r}, expected a number of steps from 2 on.")
    if form == "dummy" and not whole:
        raise ValueError(
            f"Seasonal: period is {period!r}; the dummy form needs an integer, "
            "form='trigonometric' takes any number."
        )


def _frequencies(period, form, harmonics):
    most = int(period // 2)
    if form == "dummy":
        if harmonics is not None:
            raise ValueError("Seasonal: harmonics belong to form='trigonometric'.")
        return []
    harmonics = most if harmonics is None else harmonics
    if not (isinstance(harmonics, int) and 1 <= harmonics <= most):
        raise ValueError(
            f"Seasonal: harmonics is {harmonics!r}, expected an integer from 1 to {most}, half of "
            f"the period {period}."
        )
    return [
        math.pi if 2 * j == period else 2.0 * math.pi * j / period for j in range(1, harmonics + 1)
    ]
