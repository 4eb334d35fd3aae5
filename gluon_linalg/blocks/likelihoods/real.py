"""Likelihoods of real targets: normal noise of one or of changing size, and Student's t."""

import math
from typing import Any, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...errors import ShapeError
from ...functional.coregionalization import of_labels
from ...functional.gaussian import HALF_LOG_2PI
from ...functional.quadrature import even_nodes, log_normal_expectation, log_sum_exp
from ...functional.special import stirling_rest
from ...typing import Array, Namespace
from ..parameters import ONE, positive_parameter
from .base import POINTS, Likelihood

# Nodes over which the mixture of normals that Student's t is, is integrated, and the logarithm
# below which its integrand counts as 0.
MIXTURE, TAIL = 128, 37.0


class Gaussian(Likelihood):
    """y ~ N(f, noise_variance).

    E log p = -½ log(2π s) - ((y - m)² + v) / 2s,  p(y) = N(m, v + s),  s = noise_variance,
    the initial value of a learnable parameter of that name. column: of x (B, n, d), with numbers
    from 0 on that say which of several noise variances each y has, such as that of its output.

    Rasmussen & Williams 2006, section 2.2.

    >>> likelihood = gl.likelihoods.Gaussian(noise_variance=1.0)
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1)), mx.nd.ones((1, 1)), mx.nd.zeros((1, 1))
    >>> round(likelihood(mean, variance, y).asnumpy().item(), 4)  # -½ log 2π - ½
    -1.4189
    """

    def __init__(
        self,
        noise_variance: Union[float, Sequence[float], np.ndarray] = ONE,
        column: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        self.needs_inputs, self._column = column is not None, column
        super().__init__(**kwargs)
        if np.ndim(noise_variance) > 1 or (column is None and np.size(noise_variance) != 1):
            raise ShapeError(
                f"{self.name}: noise_variance has shape {np.shape(noise_variance)}, expected one "
                "number, or with `column` one for each number that stands there."
            )
        with self.name_scope():
            self.noise_variance = positive_parameter(
                self, "noise_variance", noise_variance, lower=1e-10
            )

    def noise(self, F: Namespace, like: Array, x: Optional[Array] = None) -> Array:
        """The variance of the noise inside a graph, (1, 1), or of each row of x, (B, n)."""
        natural = self._natural(F, self.noise_variance, like)
        if self._column is None:
            return natural
        if x is None:
            raise TypeError(
                f"{self.name}: the noise variance is that of column {self._column} of x: give x."
            )
        values, count = F.expand_dims(natural, axis=1), self.noise_variance.shape[0]
        return of_labels(F, values, x, self._column, count, cast(str, self.dtype), self.name)

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        noise = self.noise(F, mean, x)
        squared = F.square(y - mean) + variance
        scaled = F.broadcast_div(squared, noise)
        return -0.5 * F.broadcast_add(scaled, F.log(noise)) - HALF_LOG_2PI

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        total = self.predictive_moments(F, mean, variance, x)[1]
        return log_normal_density(F, y - mean, total)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        noise = self.noise(F, mean, x)
        return F.identity(mean), F.broadcast_add(variance, noise)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        deviation = mx.nd.sqrt(self.noise(mx.nd, f, x))
        return mx.nd.broadcast_add(f, mx.nd.broadcast_mul(_normal_like(f), deviation))


class HeteroscedasticGaussian(Likelihood):
    """y ~ N(f, exp(g)), the logarithm g of the noise variance a second process or a network of x.

    With a second process, of mean μ and variance τ beside m and v of f,
    E log p = -½ log 2π - ½ μ - ½ ((y - m)² + v) exp(τ/2 - μ); y has the mean m and the variance
    v + exp(μ + τ/2); its density is a Gauss-Hermite sum over g of `points` nodes.

    network: a HybridBlock, (B, n, d) -> (B, n) or (B, n, 1), or None for a second process: then
    mean and variance are (B, n, 2), of f and of g. With a network x is an argument of the call.
    Goldberg, Williams & Bishop 1998.

    >>> likelihood = gl.likelihoods.HeteroscedasticGaussian()
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1, 2)), mx.nd.ones((1, 1, 2)), mx.nd.zeros((1, 1))
    >>> likelihood(mean, variance, y).shape
    (1, 1)
    """

    def __init__(
        self,
        network: Optional[mx.gluon.HybridBlock] = None,
        points: int = POINTS,
        **kwargs: Any,
    ) -> None:
        self.latents, self.needs_inputs = (2, False) if network is None else (1, True)
        super().__init__(**kwargs)
        self._points = points
        with self.name_scope():
            self.network = network

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        mean, variance, log_mean, log_variance = self._parts(F, mean, variance, x)
        squared = F.square(y - mean) + variance
        inverse = F.exp(0.5 * log_variance - log_mean)
        return -0.5 * (log_mean + squared * inverse) - HALF_LOG_2PI

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        mean, variance, log_mean, log_variance = self._parts(F, mean, variance, x)
        residual = y - mean
        if self.network is not None:
            return log_normal_density(F, residual, variance + F.exp(log_mean))
        residual, variance = (F.expand_dims(a, axis=2) for a in (residual, variance))

        def density(log_noise: Array) -> Array:
            total = F.broadcast_add(F.exp(log_noise), variance)
            return log_normal_density(F, residual, total)

        return log_normal_expectation(F, density, log_mean, log_variance, self._points)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        mean, variance, log_mean, log_variance = self._parts(F, mean, variance, x)
        return F.identity(mean), variance + F.exp(log_mean + 0.5 * log_variance)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        f, _, log_noise, _ = self._parts(mx.nd, f, f, x)
        return f + mx.nd.exp(0.5 * log_noise) * _normal_like(f)

    def _parts(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array]
    ) -> Tuple[Array, Array, Array, Array]:
        """Mean and variance of f, and of the logarithm of the noise variance, (B, n) each."""
        if self.network is None:
            first, second = (_column(F, mean, i) for i in (0, 1))
            return first, _column(F, variance, 0), second, _column(F, variance, 1)
        if x is None:
            raise TypeError(f"{self.name}: its network needs 'x', the (B, n, d) inputs.")
        log_noise = F.reshape(self.network(x), shape=(0, -1))
        return mean, variance, log_noise, fn.zeros_like(F, mean)


class StudentT(Likelihood):
    """y = f + scale · t, t of Student's distribution with ν = degrees_of_freedom > 2.

    A mixture of normals, y ~ N(f, scale²/λ) with λ ~ Gamma(ν/2, ν/2). With c² = ν scale²,

        E log(1 + (y - f)²/c²) = ∫_0^∞ (1 - E exp(-u (y - f)²/c²)) exp(-u)/u du,

    in which the inner expectation has a closed form; that integral and the one over λ of the
    density of y are trapezoidal sums over a logarithm, which converge exponentially however small
    the scale is beside √v, where Gauss-Hermite nodes would miss it. y has the variance
    v + scale² ν/(ν - 2). scale, degrees_of_freedom: initial values of learnable parameters.
    Vanhatalo, Jylänki & Vehtari 2009.

    >>> likelihood = gl.likelihoods.StudentT(scale=1.0, degrees_of_freedom=3.0)
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1)), mx.nd.zeros((1, 1)) + 1e-9, mx.nd.zeros((1, 1))
    >>> round(likelihood(mean, variance, y).exp().asnumpy().item(), 4)  # 2 / (π √3)
    0.3676
    """

    def __init__(self, scale: float = 1.0, degrees_of_freedom: float = 4.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.scale = positive_parameter(self, "scale", scale, lower=1e-6)
            self.degrees_of_freedom = positive_parameter(
                self, "degrees_of_freedom", degrees_of_freedom, lower=2.0
            )

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        scale = self._natural(F, self.scale, mean)
        freedom = self._natural(F, self.degrees_of_freedom, mean)
        unit = freedom * F.square(scale)
        spread = F.broadcast_div(variance, unit)
        squared = F.broadcast_div(F.square(y - mean), unit)
        bent = _expected_log1p(F, squared, spread)
        constant = log_gamma_half_step(F, 0.5 * freedom) - 0.5 * F.log(math.pi * unit)
        return F.broadcast_sub(constant, F.broadcast_mul(0.5 * (freedom + 1.0), bent))

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        scale = self._natural(F, self.scale, mean)
        freedom = self._natural(F, self.degrees_of_freedom, mean)
        squared = F.square(y - mean)
        half = 0.5 * F.expand_dims(freedom, axis=2)
        exponent, steps = _mixture_nodes(
            F,
            fn.stop(F, freedom),
            fn.stop(F, F.broadcast_div(squared, freedom * F.square(scale))),
        )
        noise = F.broadcast_mul(F.exp(-exponent), F.expand_dims(F.square(scale), axis=2))
        total = F.broadcast_add(noise, F.expand_dims(variance, axis=2))
        residual = F.broadcast_div(F.expand_dims(squared, axis=2), total)
        # exponent - expm1(exponent) is about -½ exponent²: its size does not cancel.
        weight = F.broadcast_mul(exponent - F.expm1(exponent), half)
        log_density = weight - 0.5 * (residual + F.log(total)) - HALF_LOG_2PI
        # ½ν log ½ν - ½ν - log Γ(½ν), the logarithm of the largest weight.
        constant = 0.5 * F.log(half) - stirling_rest(F, half)
        constant = F.reshape(constant, shape=(1, 1))
        return F.broadcast_add(log_sum_exp(F, log_density) + F.log(steps), constant)

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        scale = self._natural(F, self.scale, mean)
        freedom = self._natural(F, self.degrees_of_freedom, mean)
        noise = F.square(scale) * freedom / (freedom - 2.0)
        return F.identity(mean), F.broadcast_add(variance, noise)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        scale = self._natural(mx.nd, self.scale, f)
        half = 0.5 * self._natural(mx.nd, self.degrees_of_freedom, f)
        half = mx.nd.broadcast_mul(mx.nd.ones_like(f), half)
        precision = mx.nd.random.gamma(half, 1.0 / half, dtype=f.dtype)
        return f + mx.nd.broadcast_mul(_normal_like(f) * mx.nd.rsqrt(precision), scale)


def log_normal_density(F: Namespace, residual: Array, variance: Array) -> Array:
    """log N(residual | 0, variance), elementwise; the residual may be broadcast."""
    scaled = F.broadcast_div(F.square(residual), variance)
    return -0.5 * (scaled + F.log(variance)) - HALF_LOG_2PI


def log_gamma_half_step(F: Namespace, z: Array) -> Array:
    """log Γ(z + ½) - log Γ(z) of z > 1, without the cancellation of the two."""
    above = z + 0.5
    leading = z * F.log1p(0.5 / z) - 0.5 + 0.5 * F.log(z)
    return leading + stirling_rest(F, above) - stirling_rest(F, z)


def _expected_log1p(F: Namespace, squared: Array, spread: Array) -> Array:
    """E log(1 + z²) for z² of mean `squared` + `spread`, z normal with variance `spread`."""
    largest = fn.stop(F, F.log1p(squared + 2.0 * spread))
    width = largest + (TAIL + 4.0)
    nodes = even_nodes(F, squared, MIXTURE)
    logarithm = F.broadcast_mul(F.expand_dims(width, axis=2), nodes)
    logarithm = F.broadcast_sub(logarithm, F.expand_dims(largest, axis=2) + TAIL)
    u = fn.stop(F, F.exp(logarithm))
    wide = F.broadcast_mul(u, F.expand_dims(2.0 * spread, axis=2))
    exponent = F.broadcast_mul(u, F.expand_dims(squared, axis=2)) / (1.0 + wide)
    exponent = exponent + 0.5 * F.log1p(wide)
    terms = -F.expm1(-exponent) * F.exp(-u)
    return F.sum(terms, axis=2) * width * (1.0 / MIXTURE)


def _mixture_nodes(F: Namespace, freedom: Array, squared: Array) -> Tuple[Array, Array]:
    """Values of log λ (B, n, H), evenly over where the mixture has weight, and their step."""
    reach = 2.0 * TAIL / freedom + F.sqrt(4.0 * TAIL / freedom)
    above = F.log1p(reach)
    below = F.broadcast_add(F.log1p(squared), reach)
    width = F.broadcast_add(below, above)
    nodes = F.broadcast_mul(F.expand_dims(width, axis=2), even_nodes(F, squared, MIXTURE))
    nodes = F.broadcast_sub(nodes, F.expand_dims(below, axis=2))
    return fn.stop(F, nodes), fn.stop(F, width * (1.0 / MIXTURE))


def _column(F: Namespace, values: Array, index: int) -> Array:
    """One of the latent values, (B, n, p) -> (B, n)."""
    return F.reshape(F.slice_axis(values, axis=2, begin=index, end=index + 1), shape=(0, 0))


def _normal_like(f: mx.nd.NDArray) -> mx.nd.NDArray:
    return mx.nd.random.normal(shape=f.shape, dtype=f.dtype, ctx=f.context)
