"""Dynamic factor models, with series of several frequencies."""

from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..bounded import MARGIN, VARIANCE_FLOOR, bounded_parameter
from ..parameters import positive_parameter
from ..structural.arrays import block_diagonal, element, matrix
from .base import MultivariateModel, VectorSystem, checked_count
from .parameters import real_parameter, vector_lag_polynomial, waves

AGGREGATIONS = ("growth", "sum", "mean", "last")


class DynamicFactorModel(MultivariateModel):
    """Negative log likelihood of p series that share k factors.

    y_{i,t} = mean_i + b_iᵀ x_t + Σ_l w_{i,l} (λ_iᵀ f_{t-l} + u_{i,t-l}),
    f_t = Σ_j Φ_j f_{t-j} + ζ_t,  ζ_t ~ N(0, I),
    u_{i,t} = ρ_i u_{i,t-1} + ε_{i,t},  ε_{i,t} ~ N(0, error_variance_i).

    series p, factors k < p; order: of the autoregression of the factors; error_order: 1 for
    autoregressions u of the errors, 0 for ρ = 0. every: for each series how many steps lie between
    two observations of it, 1 unless given (3 for a quarterly series among monthly ones); what is
    between is masked. aggregation: what such a series is made of, one word or one for each series:
    'growth', the rate of growth of a sum or mean by those of its steps, w = 1, 2, 3, 2, 1 for
    every = 3 (Mariano & Murasawa 2003); 'sum', w = 1, 1, 1; 'mean'; 'last', the value at its step.

    loadings: initial λ, (p, k), by default such that no two factors are alike; ar: initial Φ,
    (order, k, k), zeros unless given; error_ar: initial ρ, p numbers in (-1, 1); error_variance:
    initial, a number or p, 1 unless given; mean: initial values of the p means, None for zeros,
    False for none; covariates: how many there are in x_t, whose `effects` b, (p, n), begin at 0.
    All are learned, and `fit` brings to the size of y what was not given. Factors are stationary
    whatever is stored. They are determined up to a rotation, in which neither the likelihood nor a
    forecast differs, so loadings of several have no standard errors.
    State: f_t, f_{t-1}, ..., then u_{i,t}, ... for each series. Without autoregression, errors of
    series of every = 1 are observation noise. Stock & Watson 2011; Mariano & Murasawa 2003, Journal
    of Applied Econometrics 18.

    Arguments, options (covariates, method, length), methods and errors as in `MultivariateModel`;
    ValueError for what is none of these.

    >>> model = gl.DynamicFactorModel(3)
    >>> model.initialize()
    >>> model(mx.nd.zeros((1, 5, 3))).shape
    (1,)
    """

    def __init__(
        self,
        series: int,
        factors: int = 1,
        order: int = 1,
        error_order: int = 0,
        every: Optional[Sequence[int]] = None,
        aggregation: Union[str, Sequence[str]] = "growth",
        loadings: Any = None,
        ar: Any = None,
        error_ar: Any = None,
        error_variance: Any = None,
        mean: Any = None,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        checked_count(name, "series", series, 2)
        checked_count(name, "factors", factors, 1)
        checked_count(name, "order", order, 1)
        if factors >= series:
            raise ValueError(
                f"{name}: {factors} factors of {series} series are not identified; at most "
                f"{series - 1} are."
            )
        if error_order not in (0, 1):
            raise ValueError(f"{name}: error_order is {error_order!r}, expected 0 or 1.")
        self.weights = _weights(name, series, every, aggregation)
        longest = max(map(len, self.weights))
        self._factors, self._order, self._lags = factors, order, max(order, longest)
        # How many states the error of each series has; 0 where it is observation noise.
        self._widths = [0 if not error_order and len(w) == 1 else len(w) for w in self.weights]
        size = factors * self._lags + sum(self._widths)
        super().__init__(series, size, 0, **options)
        self.defaults = {}
        if loadings is None:
            self.defaults["loadings"] = loadings = waves(series, factors)
        self.loadings = real_parameter(self, "loadings", loadings, (series, factors))
        self.ar = vector_lag_polynomial(self, "ar", ar, order, factors)
        self.error_ar = self.mean = None
        if error_order:
            error_ar = np.zeros(series) if error_ar is None else np.asarray(error_ar, "float64")
            bound = 1.0 - MARGIN
            error_ar = np.broadcast_to(error_ar, (series,))
            self.error_ar = bounded_parameter(self, "error_ar", error_ar, -bound, bound)
        elif error_ar is not None:
            raise ValueError(f"{name}: error_ar belongs to error_order=1.")
        if error_variance is None:
            self.defaults["error_variance"] = error_variance = np.ones(series)
        if mean is None:
            self.defaults["mean"] = np.zeros(series)
        error_variance = np.broadcast_to(np.asarray(error_variance, "float64"), (series,))
        self.error_variance = positive_parameter(
            self, "error_variance", error_variance, VARIANCE_FLOOR
        )
        if mean is not False:
            self.mean = real_parameter(self, "mean", mean, (series,))
        self.state_names = [
            f"factor {k + 1}{f' lag {lag}' if lag else ''}"
            for lag in range(self._lags)
            for k in range(factors)
        ] + [
            f"error{f' lag {lag}' if lag else ''} of series {index + 1}"
            for index, width in enumerate(self._widths)
            for lag in range(width)
        ]

    def system(self, F: Namespace, y: Array, mask: Array) -> VectorSystem:
        one, factors, lags = self.one(F, y), self._factors, self._lags
        variance = self.error_variance.natural(F, self.stored(F, self.error_variance, y))
        deviation = F.reshape(F.sqrt(variance), shape=(1, -1))
        ar = None
        if self.error_ar is not None:
            ar = self.error_ar.natural(F, self.stored(F, self.error_ar, y))
            ar = F.reshape(ar, shape=(1, -1))
        blocks, noises = [self._factor_transition(F, one, y)], []
        noises.append(matrix(F, one, np.eye(factors * lags, factors).tolist()))
        heights, widths = [factors * lags], [factors]
        for index, width in enumerate(self._widths):
            if width:
                blocks.append(_shift(F, one, 0.0 if ar is None else element(F, ar, index), width))
                column = [[element(F, deviation, index)]] + [[0.0]] * (width - 1)
                noises.append(matrix(F, one, column))
                heights.append(width)
                widths.append(1)
        transition = block_diagonal(F, one, blocks, heights, heights)
        process = block_diagonal(F, one, noises, heights, widths)
        observed: List[List[Any]] = [[0.0] * self.series for _ in range(self.series)]
        for index, width in enumerate(self._widths):
            if not width:
                observed[index][index] = element(F, deviation, index)
        return VectorSystem(
            F.expand_dims(transition, axis=0),
            F.expand_dims(self._emission(F, one, y), axis=0),
            F.expand_dims(process, axis=0),
            F.expand_dims(matrix(F, one, observed), axis=0),
            F.broadcast_axis(0.0 * one, axis=1, size=self.state_size),
            fn.stationary_factor(F, transition, process, self.name),
            None,
            self.offset(F, y),
        )

    def _factor_transition(self, F, one, y):
        factors, lags = self._factors, self._lags
        rows = self.ar.coefficients(F, self.stored(F, self.ar, y))
        if lags > self._order:
            width = factors * (lags - self._order)
            rows.append(matrix(F, one, [[0.0] * width] * factors))
        above = rows[0] if len(rows) == 1 else F.concat(*rows, dim=2)
        if lags == 1:
            return above
        shift = np.eye(factors * lags, k=-factors)[factors:]
        return F.concat(above, matrix(F, one, shift.tolist()), dim=1)

    def _emission(self, F, one, y):
        """[w_{i,0} λ_i, w_{i,1} λ_i, ...] beside the weights of the own error, (1, p, d)."""
        loadings = F.reshape(self.stored(F, self.loadings, y), shape=(1, self.series, -1))
        pieces = []
        for lag in range(self._lags):
            own = [[w[lag] if lag < len(w) else 0.0] for w in self.weights]
            pieces.append(F.broadcast_mul(loadings, matrix(F, one, own)))
        if sum(self._widths):
            rows = np.zeros((self.series, sum(self._widths)))
            begin = 0
            for index, width in enumerate(self._widths):
                rows[index, begin : begin + width] = self.weights[index][:width]
                begin += width
            pieces.append(matrix(F, one, rows.tolist()))
        return pieces[0] if len(pieces) == 1 else F.concat(*pieces, dim=2)


def _shift(F, one, first, width):
    """The transition of u_t, u_{t-1}, ... with u_{t+1} = first · u_t + ε, (1, n, n)."""
    rows: List[List[Any]] = np.eye(width, k=-1).tolist()
    rows[0][0] = first
    return matrix(F, one, rows)


def _weights(name, series, every, aggregation) -> List[Tuple[float, ...]]:
    every = [1] * series if every is None else list(every)
    words = [aggregation] * series if isinstance(aggregation, str) else list(aggregation)
    for what, given in (("every", every), ("aggregation", words)):
        if len(given) != series:
            raise ValueError(
                f"{name}: {what} has {len(given)} items, expected one for each series."
            )
    found = []
    for steps, word in zip(every, words):
        if type(steps) is not int or steps < 1:
            raise ValueError(
                f"{name}: every has {steps!r}, expected whole numbers of steps from 1 on: the "
                "frequency of each series must divide that of the model."
            )
        if word not in AGGREGATIONS:
            raise ValueError(f"{name}: aggregation is {word!r}, expected one of {AGGREGATIONS}.")
        ones = np.ones(steps)
        weights = {
            "growth": np.convolve(ones, ones),
            "sum": ones,
            "mean": ones / steps,
            "last": np.ones(1),
        }
        found.append(tuple(weights[word].tolist()))
    return found
