"""Likelihoods of two classes, and of classes that have an order."""

from typing import Any, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...functional.gaussian import HALF_LOG_2PI
from ...functional.normal import log_normal_cdf, log_normal_cdf_difference
from ...functional.quadrature import (
    constants,
    log_concave_expectation,
    normal_expectation,
)
from ...functional.special import softplus
from ...typing import Array, Namespace
from ..given import given_parameter
from ..parameters import parameter_array, positive_parameter
from .base import POINTS, Likelihood, whole_numbers

LINKS = ("probit", "logit")
# A bound that no latent value reaches.
FAR = 1e5


class Bernoulli(Likelihood):
    """y of 0 and 1, with p(y = 1 | f) = Φ(f), link='probit', or 1/(1 + e^-f), link='logit'.

    probit: p(y = 1) = Φ(m/√(1 + v)) in closed form, in logarithms that hold in both tails; logit:
    by trapezoids. E log p is a Gauss-Hermite sum of `points` nodes for either. Rasmussen &
    Williams 2006, section 3.9.

    >>> likelihood = gl.likelihoods.Bernoulli()
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1)), mx.nd.zeros((1, 1)) + 1e-9, mx.nd.ones((1, 1))
    >>> round(likelihood(mean, variance, y).asnumpy().item(), 4)  # log ½
    -0.6931
    """

    targets, discrete = "0 or 1", True

    def __init__(self, link: str = "probit", points: int = POINTS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if link not in LINKS:
            raise ValueError(f"{self.name}: link is {link!r}, expected 'probit' or 'logit'.")
        self._link, self._points = link, points

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        sign = 2.0 * y - 1.0
        return normal_expectation(F, self._log_cdf(F), sign * mean, variance, self._points)

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        return self._log_probability(F, (2.0 * y - 1.0) * mean, variance)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        one = F.exp(self._log_probability(F, mean, variance))
        zero = F.exp(self._log_probability(F, -mean, variance))
        return one, one * zero

    def conditional_moments(self, F: Namespace, f: Array) -> Tuple[Array, Array]:
        log_cdf = self._log_cdf(F)
        one = F.exp(log_cdf(f))
        return one, one * F.exp(log_cdf(-f))

    def possible(self, F: Namespace, y: Array) -> Array:
        return whole_numbers(F, y, 1.0)

    def score_and_curvature(self, F: Namespace, f: Array, y: Array) -> Tuple[Array, Array]:
        if self._link == "logit":
            return y - F.sigmoid(f), F.sigmoid(f) * F.sigmoid(-f)
        sign = 2.0 * y - 1.0
        towards = sign * f
        # φ/Φ
        hazard = F.exp(-0.5 * F.square(f) - HALF_LOG_2PI - log_normal_cdf(F, towards))
        return sign * hazard, hazard * (towards + hazard)

    def first_guess(self, F: Namespace, y: Array) -> Array:
        return 2.0 * y - 1.0

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        uniform = mx.nd.random.uniform(shape=f.shape, dtype=f.dtype, ctx=f.context)
        return uniform < mx.nd.exp(self._log_cdf(mx.nd)(f))

    def _log_cdf(self, F: Namespace) -> Any:
        if self._link == "probit":
            return lambda f: log_normal_cdf(F, f)
        return lambda f: -softplus(F, -f)

    def _log_probability(self, F: Namespace, mean: Array, variance: Array) -> Array:
        """log p(y = 1)."""
        if self._link == "probit":
            return log_normal_cdf(F, mean * F.rsqrt(1.0 + variance))

        return log_concave_expectation(
            F, self._log_cdf(F), lambda f: F.sigmoid(-f), mean, variance, self._points
        )


class Ordinal(Likelihood):
    """y of 0, ..., K - 1 in their order: p(y <= k | f) = Φ(b_k - f), b_0 < ... < b_{K-2}.

    cutpoints: the initial values of b, K - 1 rising numbers. Its first is the parameter
    `first_cutpoint`; the steps between them, for K > 2, are the positive parameter `gaps`. The
    noise has variance 1: the kernel's variance sets the scale of f. p(y) in closed form; E log p
    by Gauss-Hermite. Chu & Ghahramani 2005.

    >>> likelihood = gl.likelihoods.Ordinal([0.0, 1.0])
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1)), mx.nd.zeros((1, 1)) + 1e-9, mx.nd.zeros((1, 1))
    >>> round(likelihood(mean, variance, y).asnumpy().item(), 4)  # log Φ(0)
    -0.6931
    """

    discrete = True

    def __init__(self, cutpoints: Sequence[float], points: int = POINTS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        values = np.atleast_1d(np.asarray(cutpoints, dtype="float64"))
        steps = np.diff(values)
        if values.ndim != 1 or not np.isfinite(values).all() or not (steps > 0).all():
            raise ValueError(
                f"{self.name}: cutpoints is {values.tolist()}, expected rising numbers, one less "
                "than there are classes."
            )
        self._points, self._classes = points, len(values) + 1
        self.targets = f"the numbers of classes, 0 to {self._classes - 1}"
        with self.name_scope():
            self.first_cutpoint = given_parameter(self, "first_cutpoint", values[:1])
            self.gaps = None
            if self._classes > 2:
                self.gaps = positive_parameter(self, "gaps", steps, lower=1e-6)

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        lower, upper = (F.expand_dims(b, axis=2) for b in self._bounds(F, mean, y))

        def log_density(f: Array) -> Array:
            return log_normal_cdf_difference(
                F, F.broadcast_sub(upper, f), F.broadcast_sub(lower, f)
            )

        return normal_expectation(F, log_density, mean, variance, self._points)

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        lower, upper = self._bounds(F, mean, y)
        scale = F.rsqrt(1.0 + variance)
        return log_normal_cdf_difference(F, (upper - mean) * scale, (lower - mean) * scale)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        probabilities = F.exp(self.log_probabilities(F, mean, variance))
        numbers = constants(F, mean, tuple(range(self._classes)))
        expected = F.sum(F.broadcast_mul(probabilities, numbers), axis=2)
        apart = F.broadcast_sub(numbers, F.expand_dims(expected, axis=2))
        return expected, F.sum(probabilities * F.square(apart), axis=2)

    def log_probabilities(self, F: Namespace, mean: Array, variance: Array) -> Array:
        """log p(y = k) of each class, (B, n, K)."""
        each = [
            self._predictive_log_density(F, mean, variance, fn.zeros_like(F, mean) + float(k))
            for k in range(self._classes)
        ]
        return F.stack(*each, axis=2)

    def possible(self, F: Namespace, y: Array) -> Array:
        return whole_numbers(F, y, self._classes - 1.0)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        noisy = f + mx.nd.random.normal(shape=f.shape, dtype=f.dtype, ctx=f.context)
        cutpoints = self._cutpoints(mx.nd, f).reshape((1, 1, -1))
        return mx.nd.broadcast_greater(noisy.expand_dims(axis=2), cutpoints).sum(axis=2)

    def _cutpoints(self, F: Namespace, like: Array) -> Array:
        first = F.reshape(parameter_array(F, self.first_cutpoint, like), shape=(1, 1))
        if self.gaps is None:
            return first
        above = F.cumsum(self._natural(F, self.gaps, like), axis=1)
        return F.concat(first, F.broadcast_add(above, first), dim=1)

    def _bounds(self, F: Namespace, like: Array, y: Array) -> Tuple[Array, Array]:
        """b_{y-1} and b_y of each y (B, n), those beyond the ends far away."""
        cutpoints = self._cutpoints(F, like)
        end = FAR * fn.ones_like(F, F.slice_axis(cutpoints, axis=1, begin=0, end=1))
        all_bounds = F.reshape(F.concat(-end, cutpoints, end, dim=1), shape=(-1,))
        return F.take(all_bounds, y), F.take(all_bounds, y + 1.0)
