"""Seasonal autoregressive integrated moving averages."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..parameters import parameter_array
from .arrays import element, matrix
from .base import Component, Prior, Stored
from .levinson import LagPolynomial, lag_polynomial, lagged_factor, predictors, step_down


class ARIMA(Component):
    """ARIMA(p, d, q)(P, D, Q)_s, stationary and invertible whatever is stored.

    φ(L) Φ(L^s) (w_t - c) = θ(L) Θ(L^s) ε_t,  w_t = (1 - L)^d (1 - L^s)^D y_t,
    ε_t ~ N(0, innovation_variance),
    φ(L) = 1 - Σ φ_j L^j,  θ(L) = 1 + Σ θ_j L^j,  Φ and Θ alike.

    order: (p, d, q); seasonal_order: (P, D, Q), with the period s, an integer from 2 on. ar, ma,
    seasonal_ar, seasonal_ma: initial φ, θ, Φ, Θ, 0 unless given; they are learnable, by partial
    autocorrelations (`levinson`). intercept: whether w has a mean c, which is unknown (with
    d + D = 1 the drift of y). innovation_variance: in squared units of y, above 0.

    w_t = c + Σ_j θ*_j u_{t-j} with the product θ* of θ and Θ and an autoregression φ*(L) u_t = ε_t
    (Hamilton 1994, section 13.1), whose stationary prior has a factor in closed form. State: the
    running differences of y up to t - 1 (d + s D of them, diffuse), c (diffuse), u_t, u_{t-1}, ...
    The map of the differences from y_0, y_{-1}, ... has determinant ±1, so the diffuse likelihood
    is that of the differenced series w_{d + s D + 1}, ..., w_T. In a `StructuralModel` without
    noise_variance, with `Regression` where there are covariates, this is a regression with ARIMA
    errors (Box & Jenkins 1976; Durbin & Koopman 2012, section 3.4).

    Raises ValueError for orders that are none, coefficients that are not stationary or not
    invertible, a variance that is not positive, or a prior that is none.

    >>> model = gl.StructuralModel(gl.structural.ARIMA((1, 1, 1)), noise_variance=None)
    >>> model.initialize()
    >>> model(mx.nd.zeros((1, 6))).shape
    (1,)
    """

    kind = "arima"
    learns_emission = True

    def __init__(
        self,
        order: Sequence[int] = (0, 0, 0),
        seasonal_order: Sequence[int] = (0, 0, 0),
        period: Optional[int] = None,
        ar: Optional[Sequence[float]] = None,
        ma: Optional[Sequence[float]] = None,
        seasonal_ar: Optional[Sequence[float]] = None,
        seasonal_ma: Optional[Sequence[float]] = None,
        intercept: bool = False,
        innovation_variance: float = 1.0,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        p, d, q = _orders("order", order)
        seasonal_p, seasonal_d, seasonal_q = _orders("seasonal_order", seasonal_order)
        period = _checked_period(period, any(seasonal_order))
        self._period, self._intercept = period, bool(intercept)
        self._integrations = (d + seasonal_d, seasonal_d)
        self._ar_order, self._ma_order = p + period * seasonal_p, q + period * seasonal_q
        self._differences = d + seasonal_d * period
        self._lags = max(self._ar_order, self._ma_order + 1)
        first = self._differences + self._intercept
        super().__init__(first + self._lags, **kwargs)
        self.ar = self._polynomial("ar", ar, p, 1.0)
        self.ma = self._polynomial("ma", ma, q, -1.0)
        self.seasonal_ar = self._polynomial("seasonal_ar", seasonal_ar, seasonal_p, 1.0)
        self.seasonal_ma = self._polynomial("seasonal_ma", seasonal_ma, seasonal_q, -1.0)
        self.innovation_variance = self._disturb(
            [first], "innovation_variance", innovation_variance
        )
        if self.innovation_variance is None:
            raise ValueError(f"{self.name}: innovation_variance is 0, expected a positive number.")
        self._set_prior(prior, stationary=range(first, self.state_size))
        if first:
            self.level_state = 0 if self.diffuse[0] else None
        differences = [f"difference {k + 1}" for k in range(self._differences)]
        names = [*differences, *["intercept"] * self._intercept]
        self.state_names = names + [f"lag {k}" for k in range(self._lags)]

    def values(
        self, F: Namespace, like: Array, stored: Optional[Stored] = None
    ) -> Dict[str, Array]:
        found = super().values(F, like, stored)
        if self.ar is not None:
            if stored is None:
                own = F.cast(parameter_array(F, self.ar, like), "float64")
            else:
                own = stored[self, "ar"]
            found["ar_partial"] = self.ar.partial(F, own)
        return found

    def transition(self, F: Namespace, one: Array, **values: Array) -> Array:
        rows, fresh, _ = self._differencing()
        lags = self._lags
        shifted = [[float(j == i) for j in range(lags)] for i in range(lags - 1)]
        companion = matrix(F, one, [[0.0] * lags, *shifted])
        if self._ar_order:
            ar = self._padded(F, one, self._autoregression(F, one, values), lags)
            rest = F.slice_axis(companion, axis=1, begin=1, end=None) if lags > 1 else None
            ar = F.expand_dims(ar, axis=1)
            companion = ar if rest is None else F.concat(ar, rest, dim=1)
        known = self.state_size - lags
        if not known:
            return companion
        # The new differences are w_t and what the old ones add to it.
        moving = F.expand_dims(self._moving_average(F, one, values), axis=1)
        above = fn.product(F, matrix(F, one, [[f] for f in fresh]), moving)
        above = F.concat(matrix(F, one, rows), above, dim=2)
        zeros = matrix(F, one, [[0.0] * known] * lags)
        return F.concat(above, F.concat(zeros, companion, dim=2), dim=1)

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        row = F.expand_dims(self._moving_average(F, one, values), axis=1)
        if self.state_size > self._lags:
            row = F.concat(matrix(F, one, [self._differencing()[2]]), row, dim=2)
        return F.expand_dims(row, axis=1)

    def stationary_factor(
        self, F: Namespace, one: Array, innovation_variance: Array, **values: Array
    ) -> Array:
        found: Tuple[List[Array], Array] = [], one
        if self.seasonal_ar is not None:
            found = step_down(F, self._autoregression(F, one, values), self._ar_order)
        elif self.ar is not None:
            found = predictors(F, values["ar_partial"], self._ar_order), values["ar_complement"]
        factor = lagged_factor(F, one, innovation_variance, *found, self._lags)
        known = self.state_size - self._lags
        if not known:
            return factor
        above = matrix(F, one, [[0.0] * self.state_size] * known)
        left = matrix(F, one, [[0.0] * known] * self._lags)
        return F.concat(above, F.concat(left, factor, dim=2), dim=1)

    def _polynomial(self, name, value, order, sign) -> Optional[LagPolynomial]:
        if order:
            return lag_polynomial(self, name, value, order, sign)
        if value is not None and np.size(value):
            raise ValueError(f"{self.name}: {name} is {value!r}, but its order is 0.")
        return None

    def _differencing(self):
        """(rows, fresh, row): the transition of the known states, whether w_t adds to each, and how
        y_t is made of them, beside w_t - c.

        The differences are a cascade: x_0 = y, x_1 = (1 - L) y, ..., then sums over a period,
        since 1 - L^s = (1 - L)(1 + L + ... + L^{s-1}). So y's level is in the first one alone.
        """
        (count, seasonal), span = self._integrations, self._period - 1
        known = self.state_size - self._lags
        current = np.zeros(known)
        if self._intercept:
            current[-1] = 1.0
        rows, fresh = np.zeros((known, known)), np.zeros(known)
        for k in reversed(range(seasonal)):
            begin = count + k * span
            current = current.copy()
            current[begin : begin + span] -= 1.0
            rows[begin], fresh[begin] = current, 1.0
            for lag in range(1, span):
                rows[begin + lag, begin + lag - 1] = 1.0
        for k in reversed(range(count)):
            current = current.copy()
            current[k] += 1.0
            rows[k], fresh[k] = current, 1.0
        if self._intercept:
            rows[-1, -1] = 1.0
        return rows.tolist(), fresh.tolist(), current.tolist()

    def _autoregression(self, F, one, values):
        """φ*_1, ..., the coefficients of the product, (1, p + s P)."""
        product = self._product(F, one, values, "ar", -1.0)
        return -F.slice_axis(product, axis=1, begin=1, end=None)

    def _moving_average(self, F, one, values):
        """θ*_0 = 1, θ*_1, ..., 0 beyond, (1, lags)."""
        return self._padded(F, one, self._product(F, one, values, "ma", 1.0), self._lags)

    def _product(self, F, one, values, name, sign):
        """The product of the lag polynomial `name` and its seasonal one, (1, 1 + n)."""
        own = one
        if name in values:
            own = F.concat(one, sign * values[name], dim=1)
        seasonal = values.get(f"seasonal_{name}")
        if seasonal is None:
            return own
        order = getattr(self, f"seasonal_{name}").order
        total = self._padded(F, one, own, order * self._period, extend=True)
        for k in range(order):
            before, after = (k + 1) * self._period, (order - k - 1) * self._period
            moved = self._padded(F, one, own, after, extend=True)
            moved = F.concat(F.broadcast_axis(0.0 * one, axis=1, size=before), moved, dim=1)
            total = total + F.broadcast_mul(moved, sign * element(F, seasonal, k))
        return total

    def _padded(self, F, one, row, size, extend=False):
        """A row (1, n) with zeros up to `size` elements, or with so many more."""
        zeros = F.broadcast_axis(0.0 * one, axis=1, size=max(size, 1))
        if extend:
            return F.concat(row, zeros, dim=1) if size else row
        return F.slice_axis(F.concat(row, zeros, dim=1), axis=1, begin=0, end=size)


def _orders(name, given):
    numbers = list(given) if isinstance(given, (list, tuple)) else []
    if len(numbers) != 3 or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(
            f"ARIMA: {name} is {given!r}, expected three integers from 0 on, (p, d, q)."
        )
    return numbers


def _checked_period(period, is_seasonal):
    if period is None and not is_seasonal:
        return 1
    if type(period) is not int or period < 2:
        raise ValueError(
            f"ARIMA: period is {period!r}, expected the number of steps of a season, 2 or more"
            + ("." if is_seasonal else ", or none without seasonal_order.")
        )
    return period
