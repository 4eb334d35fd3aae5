"""Stationary autoregressions."""

from typing import Any, Optional, Sequence

import numpy as np

from ...typing import Array, Namespace
from ..bounded import MARGIN, bounded_parameter
from .arrays import matrix
from .base import Component, Prior
from .levinson import coefficients_of, lagged_factor, partials_of, predictors


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

    >>> model = gl.StructuralModel(gl.structural.AutoRegression(1, [0.5]), noise_variance=None)
    >>> model.initialize()
    >>> mean, variance = model.forecaster(2)(mx.nd.array([[4.0, 8.0]]))
    >>> print(mean.asnumpy().round(4))
    [[4. 2.]]
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
        partial = partials_of(
            self.name,
            np.zeros(order) if coefficients is None else coefficients,
            order,
            "coefficients",
            "a stationary process; a random walk is LocalLevel",
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
        return coefficients_of(self.partial_autocorrelation.value())

    def transition(
        self, F: Namespace, one: Array, partial_autocorrelation: Array, **values: Array
    ) -> Array:
        size = self.state_size
        first = predictors(F, partial_autocorrelation, size)[-1]
        first = F.expand_dims(first, axis=1)
        if size == 1:
            return first
        shifted = [[float(j == i) for j in range(size)] for i in range(size - 1)]
        return F.concat(first, matrix(F, one, shifted), dim=1)

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
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
        found = predictors(F, partial_autocorrelation, self.state_size)
        return lagged_factor(
            F,
            one,
            innovation_variance,
            found,
            partial_autocorrelation_complement,
            self.state_size,
        )
