"""Stationary autoregressions."""

from typing import Any, List, Optional, Sequence

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..bounded import MARGIN, bounded_parameter
from .arrays import beside, element, matrix
from .base import Component, Prior


class AutoRegression(Component):
    """AR(p), stationary whatever is stored: z_{t+1} = Σ_j φ_j z_{t+1-j} + ε_t.

    ε_t ~ N(0, innovation_variance). State (z_t, ..., z_{t-p+1}), contribution z_t.

    The parameter is the `partial_autocorrelation` r_1, ..., r_p, each in (-1, 1), from which the
    Durbin-Levinson recursion gives the coefficients: φ_{k,k} = r_k,
    φ_{k,j} = φ_{k-1,j} - r_k φ_{k-1,k-j} (Monahan 1984, Biometrika 71). Its steps also give a
    factor of the stationary covariance, which is the default prior, without solving an equation:
    the error of predicting z from its k predecessors has the variance
    v_k = innovation_variance / Π_{i>k} (1 - r_i²).

    order: p. coefficients: initial φ, p numbers, 0 unless given. innovation_variance: in squared
    units of y; 0 for a solution of the difference equation, whose prior is diffuse.

    Raises ValueError for coefficients that are not stationary, such as φ = 1 (a random walk:
    `LocalLevel`), a negative variance, or a prior that is none.
    """

    kind = "autoregression"

    def __init__(
        self,
        order: int = 1,
        coefficients: Optional[Sequence[float]] = None,
        innovation_variance: Optional[float] = 1.0,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        if not (isinstance(order, int) and order >= 1):
            raise ValueError(f"AutoRegression: order is {order!r}, expected an integer from 1 on.")
        super().__init__(order, **kwargs)
        partial = _partial_autocorrelations(
            self.name, np.zeros(order) if coefficients is None else coefficients, order
        )
        bound = 1.0 - MARGIN
        self.partial_autocorrelation = bounded_parameter(
            self, "partial_autocorrelation", partial, -bound, bound
        )
        self.innovation_variance = self._disturb([0], "innovation_variance", innovation_variance)
        stationary = () if self.innovation_variance is None else range(order)
        self._set_prior(prior, stationary=stationary)

    def coefficients(self) -> np.ndarray:
        """φ_1, ..., φ_p as a float64 NumPy array."""
        coefficients = np.zeros(0)
        for r in self.partial_autocorrelation.value():
            coefficients = np.append(coefficients - r * coefficients[::-1], r)
        return coefficients

    def transition(
        self, F: Namespace, one: Array, partial_autocorrelation: Array, **values: Array
    ) -> Array:
        size = self.state_size
        first = F.expand_dims(self._predictors(F, partial_autocorrelation)[-1], axis=1)
        if size == 1:
            return first
        shifted = [[float(j == i) for j in range(size)] for i in range(size - 1)]
        return F.concat(first, matrix(F, one, shifted), dim=1)

    def emission(self, F: Namespace, one: Array, covariates: Optional[Array]) -> Array:
        row = [1.0] + [0.0] * (self.state_size - 1)
        return F.expand_dims(matrix(F, one, [row]), axis=1)

    def stationary_factor(
        self,
        F: Namespace,
        one: Array,
        partial_autocorrelation: Array,
        partial_autocorrelation_complement: Array,
        innovation_variance: Array,
        **values: Array,
    ) -> Array:
        size = self.state_size
        variance = innovation_variance
        deviations: List[Array] = []
        for k in reversed(range(size)):
            variance = variance / element(F, partial_autocorrelation_complement, k)
            deviations.insert(0, F.sqrt(variance))
        # Each z is its prediction from those before plus an error of its own.
        rows = matrix(F, one, [deviations[:1] + [0.0] * (size - 1)])
        for k, predictor in enumerate(self._predictors(F, partial_autocorrelation)[:-1], start=1):
            weights = F.expand_dims(F.reverse(predictor, axis=1), axis=1)
            own = matrix(F, one, [[0.0] * k + [deviations[k]] + [0.0] * (size - k - 1)])
            rows = F.concat(rows, fn.product(F, weights, rows) + own, dim=1)
        return rows

    def _predictors(self, F: Namespace, partial_autocorrelation: Array) -> List[Array]:
        """The coefficients of the best predictions from 1, ..., p predecessors, (1, k) each."""
        predictors: List[Array] = []
        for k in range(self.state_size):
            r = element(F, partial_autocorrelation, k)
            if not predictors:
                predictors.append(r)
                continue
            last = predictors[-1]
            changed = last - F.broadcast_mul(F.reverse(last, axis=1), r)
            predictors.append(beside(F, [changed, r], axis=1))
        return predictors


def _partial_autocorrelations(name, coefficients, order):
    """The inverse recursion; ValueError where |r| >= 1."""
    coefficients = np.atleast_1d(np.asarray(coefficients, dtype="float64"))
    if coefficients.shape != (order,):
        raise ValueError(
            f"{name}: coefficients has shape {coefficients.shape}, expected {order} numbers for an "
            f"AR({order})."
        )
    current, partial = coefficients, np.zeros(order)
    for k in reversed(range(order)):
        r = current[k]
        if not abs(r) < 1.0 - MARGIN:
            raise ValueError(
                f"{name}: the coefficients {coefficients.tolist()} are not those of a stationary "
                f"process (partial autocorrelation {r:.9g} at lag {k + 1}). A random walk is "
                "LocalLevel."
            )
        partial[k] = r
        current = (current[:k] + r * current[:k][::-1]) / ((1.0 - r) * (1.0 + r))
    return partial
