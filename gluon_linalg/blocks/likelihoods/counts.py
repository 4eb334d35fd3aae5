"""Likelihoods of counts, with the logarithm of the rate as the latent value."""

from typing import Any, Optional, Tuple

import mxnet as mx

from ...functional.quadrature import log_concave_expectation, normal_expectation
from ...functional.special import at_least_one, log_factorial_rest, softplus, stirling_rest
from ...typing import Array, Namespace
from ..parameters import positive_parameter
from .base import POINTS, Likelihood, whole_numbers

COUNTS = "counts: 0, 1, 2 and so on"


class Poisson(Likelihood):
    """y ~ Poisson(e^f).

    E log p = y m - exp(m + v/2) - log y!, in a form that does not cancel for large counts. y has
    the mean μ = exp(m + v/2) and the variance μ + μ² (e^v - 1). The density of y is a sum of
    `points` trapezoids where its integrand is large.

    Hilbe 2011.

    >>> likelihood = gl.likelihoods.Poisson()
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1)), mx.nd.zeros((1, 1)) + 1e-9, mx.nd.zeros((1, 1))
    >>> round(likelihood(mean, variance, y).asnumpy().item(), 4)  # log e⁻¹
    -1.0
    """

    targets, discrete = COUNTS, True

    def __init__(self, points: int = POINTS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._points = points

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        excess = mean - F.log(at_least_one(F, y))
        bent = y * (F.expm1(excess + 0.5 * variance) - excess)
        bent = F.where(y > 0.0, bent, F.exp(mean + 0.5 * variance))
        return -bent - log_factorial_rest(F, y)

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        wide = F.expand_dims(y, axis=2)
        log_count = F.log(at_least_one(F, wide))

        def log_density(f: Array) -> Array:
            excess = F.broadcast_sub(f, log_count)
            bent = F.broadcast_mul(F.expm1(excess) - excess, wide)
            return -F.where(F.broadcast_like(wide > 0.0, bent), bent, F.exp(f))

        def slope(f: Array) -> Array:
            return y - F.exp(f)

        total = log_concave_expectation(F, log_density, slope, mean, variance, self._points)
        return total - log_factorial_rest(F, y)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        rate = F.exp(mean + 0.5 * variance)
        return rate, rate + F.square(rate) * F.expm1(variance)

    def possible(self, F: Namespace, y: Array) -> Array:
        return whole_numbers(F, y, float("inf"))

    def score_and_curvature(self, F: Namespace, f: Array, y: Array) -> Tuple[Array, Array]:
        rate = F.exp(f)
        return F.broadcast_sub(y, rate), rate

    def first_guess(self, F: Namespace, y: Array) -> Array:
        return F.log(y + 0.5)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        return mx.nd.random.poisson(mx.nd.exp(f), dtype=f.dtype)


class NegativeBinomial(Likelihood):
    """y of mean μ = e^f and variance μ + dispersion μ²: an overdispersed Poisson.

    log p = log Γ(y + r)/(Γ(r) y!) + y log(μ/(μ + r)) + r log(r/(μ + r)), r = 1/dispersion, in a
    form that cancels neither for large counts nor for large r. E log p by Gauss-Hermite with
    `points` nodes, the density of y by as many trapezoids where its integrand is large.
    dispersion: the initial value of a learnable parameter. Hilbe 2011.

    >>> likelihood = gl.likelihoods.NegativeBinomial(dispersion=1.0)
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1)), mx.nd.zeros((1, 1)) + 1e-9, mx.nd.zeros((1, 1))
    >>> round(likelihood(mean, variance, y).asnumpy().item(), 4)  # log ½
    -0.6931
    """

    targets, discrete = COUNTS, True

    def __init__(self, dispersion: float = 1.0, points: int = POINTS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._points = points
        with self.name_scope():
            self.dispersion = positive_parameter(self, "dispersion", dispersion, lower=1e-8)

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        size = 1.0 / self._natural(F, self.dispersion, mean)
        bent = normal_expectation(F, self._bent(F, y, size), mean, variance, self._points)
        return self._constant(F, y, size) - bent

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        size = 1.0 / self._natural(F, self.dispersion, mean)
        bent = self._bent(F, y, size)
        log_size = F.log(size)

        def slope(f: Array) -> Array:
            share = F.sigmoid(F.broadcast_sub(f, log_size))
            return y - F.broadcast_add(y, size) * share

        total = log_concave_expectation(F, lambda f: -bent(f), slope, mean, variance, self._points)
        return total + self._constant(F, y, size)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        dispersion = self._natural(F, self.dispersion, mean)
        rate = F.exp(mean + 0.5 * variance)
        extra = F.expm1(variance) + F.broadcast_mul(F.exp(variance), dispersion)
        return rate, rate + F.square(rate) * extra

    def possible(self, F: Namespace, y: Array) -> Array:
        return whole_numbers(F, y, float("inf"))

    def score_and_curvature(self, F: Namespace, f: Array, y: Array) -> Tuple[Array, Array]:
        size = 1.0 / self._natural(F, self.dispersion, f)
        excess = F.broadcast_sub(f, F.log(size))
        share, total = F.sigmoid(excess), F.broadcast_add(y, size)
        return y - total * share, total * share * F.sigmoid(-excess)

    def first_guess(self, F: Namespace, y: Array) -> Array:
        return F.log(y + 0.5)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        dispersion = self._natural(mx.nd, self.dispersion, f)
        dispersion = mx.nd.broadcast_mul(mx.nd.ones_like(f), dispersion)
        rate = mx.nd.random.gamma(1.0 / dispersion, dispersion * mx.nd.exp(f), dtype=f.dtype)
        return mx.nd.random.poisson(rate, dtype=f.dtype)

    def _bent(self, F: Namespace, y: Array, size: Array) -> Any:
        """What of -log p depends on f, a function of (B, n, H): 0 at its least where y > 0."""
        size = F.expand_dims(size, axis=2)
        wide = F.expand_dims(y, axis=2)
        log_count, log_size = F.log(at_least_one(F, wide)), F.log(size)
        total = F.broadcast_add(wide, size)
        share = wide / total

        def bent(f: Array) -> Array:
            # (r + y) log(1 + q (e^d - 1)) - y d with q = y/(r + y), d = f - log y.
            excess = F.broadcast_sub(f, log_count)
            near = F.minimum(excess, 30.0)
            inside = F.log1p(F.broadcast_mul(F.expm1(near), share))
            far = F.broadcast_mul(F.exp(-F.maximum(excess, 30.0)), 1.0 - share)
            outside = excess + F.log(F.broadcast_add(far, share))
            logarithm = F.where(excess < 30.0, inside, outside)
            some = F.broadcast_mul(logarithm, total) - F.broadcast_mul(excess, wide)
            none = F.broadcast_mul(softplus(F, F.broadcast_sub(f, log_size)), size)
            return F.where(F.broadcast_like(wide > 0.0, some), some, none)

        return bent

    def _constant(self, F: Namespace, y: Array, size: Array) -> Array:
        """The largest log p of a count over f, (B, n), 0 for y = 0."""
        total = F.broadcast_add(y, size)
        some = (
            stirling_rest(F, total)
            - 0.5 * F.log1p(F.broadcast_div(y, size))
            - log_factorial_rest(F, y)
        )
        return F.broadcast_sub(some, stirling_rest(F, size))
