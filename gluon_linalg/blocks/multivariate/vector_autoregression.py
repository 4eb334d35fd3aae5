"""Vector autoregressive moving averages."""

from typing import Any

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..structural.arrays import beside, matrix
from .base import MultivariateModel, VectorSystem, checked_count
from .parameters import covariance_parameter, real_parameter, vector_lag_polynomial


class VARMAModel(MultivariateModel):
    """Negative log likelihood of a VARMA(p, q), stationary and invertible whatever is stored.

    z_t = Σ_i Φ_i z_{t-i} + ε_t + Σ_j Θ_j ε_{t-j},  ε_t ~ N(0, Σ),  y_t = z_t + mean + B x_t.

    series k; order: (p, q); (p, 0) is a VAR(p). ar: initial Φ, (p, k, k); ma: initial Θ, (q, k, k),
    zeros unless given; innovation_covariance: initial Σ, (k, k), or a variance for all; mean:
    initial values of the k means, which are learned; None for zeros, False for no means. Φ and Θ
    are kept stationary and invertible by partial autocorrelation matrices
    (`VectorLagPolynomial`). The initial state has the stationary distribution
    (`functional.stationary_factor`). covariates: how many there are in x_t; their `effects` B,
    (k, n), are learned, from 0 on. State: z_t, ..., z_{t-p+1}, ε_t, ..., ε_{t-q+1}. Lütkepohl 2005,
    chapter 11.

    Arguments, options (covariates, method, length), methods and errors as in `MultivariateModel`;
    ValueError for what is not stationary, NotPositiveDefiniteError for what is no covariance.

    >>> model = gl.VARMAModel(2, (1, 0))
    >>> model.initialize()
    >>> round(model(mx.nd.zeros((1, 5, 2))).asnumpy().item(), 4)  # 5 log 2π
    9.1894
    """

    def __init__(
        self,
        series: int,
        order: Any = (1, 0),
        ar: Any = None,
        ma: Any = None,
        innovation_covariance: Any = None,
        mean: Any = None,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        checked_count(name, "series", series, 1)
        orders = list(order) if isinstance(order, (list, tuple)) else []
        if len(orders) != 2 or not all(type(n) is int and n >= 0 for n in orders):
            raise ValueError(
                f"{name}: order is {order!r}, expected two integers from 0 on, (p, q)."
            )
        self._lags, self._errors = max(orders[0], 1), orders[1]
        size = series * (self._lags + self._errors)
        super().__init__(series, size, 0, **options)
        self.ar = self.ma = self.mean = None
        if orders[0]:
            self.ar = vector_lag_polynomial(self, "ar", ar, orders[0], series)
        if orders[1]:
            self.ma = vector_lag_polynomial(self, "ma", ma, orders[1], series, -1.0)
        self.defaults = {}
        if innovation_covariance is None:
            self.defaults["innovation_covariance"] = np.eye(series)
        if mean is None:
            self.defaults["mean"] = np.zeros(series)
        self.innovation_covariance = covariance_parameter(
            self, "innovation_covariance", innovation_covariance, series
        )
        if mean is not False:
            self.mean = real_parameter(self, "mean", mean, (series,))
        self.state_names = [
            f"{what}{f' lag {lag}' if lag else ''} of series {k + 1}"
            for what, count in (("value", self._lags), ("innovation", self._errors))
            for lag in range(count)
            for k in range(series)
        ]

    def system(self, F: Namespace, y: Array, mask: Array) -> VectorSystem:
        one, series = self.one(F, y), self.series
        stored = self.stored(F, self.innovation_covariance, y)
        noise = self.innovation_covariance.factor(F, one, stored)
        rows = []
        if self.ar is not None:
            rows += self.ar.coefficients(F, self.stored(F, self.ar, y))
        else:
            rows.append(_zeros(F, one, series, series))
        if self.ma is not None:
            rows += self.ma.coefficients(F, self.stored(F, self.ma, y))
        above = beside(F, rows, axis=2)
        shift = np.eye(self.state_size, k=-series)[series:]
        # The newest ε has no past.
        shift[(self._lags - 1) * series : self._lags * series] = 0.0
        transition = above
        if len(shift):
            transition = F.concat(above, matrix(F, one, shift.tolist()), dim=1)
        pieces = [noise]
        if self._lags > 1:
            pieces.append(_zeros(F, one, (self._lags - 1) * series, series))
        if self._errors:
            pieces.append(noise)
        if self._errors > 1:
            pieces.append(_zeros(F, one, (self._errors - 1) * series, series))
        process = beside(F, pieces, axis=1)
        emission = matrix(F, one, np.eye(series, self.state_size).tolist())
        return VectorSystem(
            F.expand_dims(transition, axis=0),
            F.expand_dims(emission, axis=0),
            F.expand_dims(process, axis=0),
            F.expand_dims(_zeros(F, one, series, 1), axis=0),
            F.reshape(_zeros(F, one, 1, self.state_size), shape=(1, -1)),
            fn.stationary_factor(F, transition, process, self.name),
            None,
            self.offset(F, y),
        )


def _zeros(F, one, height, width):
    return F.broadcast_axis(
        F.reshape(0.0 * one, shape=(1, 1, 1)), axis=(1, 2), size=(height, width)
    )
