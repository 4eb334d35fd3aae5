"""The likelihood of classes without an order: softmax over several processes."""

import math
from typing import Any, Optional, Tuple

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...functional.quadrature import constants, even_nodes, gauss_hermite, log_sum_exp
from ...typing import Array, Namespace
from .base import Likelihood, whole_numbers

# exp(-TAIL) counts as no probability, and beyond exp(-x) = LARGEST is nothing but 0.
TAIL, LARGEST, TINY = 24.0, 64.0, 1e-30
# Beyond exp(±FARTHEST) a product with another is as good as 0 or infinite, in float32 too.
FARTHEST = 80.0


class Categorical(Likelihood):
    """y of 0, ..., C - 1 with p(y = k | f) = exp(f_k) / Σ_c exp(f_c), f of C independent processes.

    With g of Gumbel's distribution, the largest of f_c + g_c is f_k + g_k with this probability,
    and on average log Σ_c exp(f_c) + γ. So all that is asked needs two integrals, whatever C:

        E log Σ_c exp(f_c) = ∫ u d Π_c F_c(u) - γ,   p(y = k) = ∫ F_k'(u) Π_{c≠k} F_c(u) du,
        F_c(u) = E exp(-exp(f_c - u)),

    the inner one by Gauss-Hermite of `points` nodes, the outer one by `steps` trapezoids; the
    gradient is analytic, with ∂F/∂v = ½ F''. Off by 1e-8 where variances are about 1, by 1e-5 at
    4 and 5e-3 at 16; costs points · steps · C for each y. The moments of y are those of its
    C indicators, (B, n, C). Rasmussen & Williams 2006, section 3.3.

    >>> likelihood = gl.likelihoods.Categorical(3)
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 1, 3)), mx.nd.ones((1, 1, 3)) * 1e-9, mx.nd.ones((1, 1))
    >>> round(likelihood(mean, variance, y).asnumpy().item(), 4)  # log ⅓
    -1.0986
    """

    discrete = True

    def __init__(self, classes: int, points: int = 32, steps: int = 64, **kwargs: Any) -> None:
        if not (isinstance(classes, int) and classes > 1):
            raise ValueError(f"Categorical: classes is {classes!r}, expected a number above 1.")
        self.latents = classes
        self.targets = f"the numbers of classes, 0 to {classes - 1}"
        super().__init__(**kwargs)
        self._points, self._steps = points, steps

    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        chosen = F.sum(self._indicator(F, y) * mean, axis=2)
        first, by_mean, by_variance = self._log_normalizer(
            F, fn.stop(F, mean), fn.stop(F, variance), quick=True
        )
        linear = F.sum(by_mean * mean + by_variance * variance, axis=2)
        return chosen - fn.with_gradient(F, F.reshape_like(first, chosen), linear)

    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        indicator = self._indicator(F, y)
        u, step, _ = self._grid(F, mean, variance)
        log_below = F.log(self._below(F, mean, variance, u)[0] + TINY)
        others = F.broadcast_mul(log_below, 1.0 - self._rows(F, indicator))
        own, spread = (F.sum(indicator * a, axis=2, keepdims=True) for a in (mean, variance))
        scaled, log_weights = self._apart(F, own, spread, u, 1)
        log_slope = F.broadcast_add(-scaled - F.exp(-scaled), log_weights)
        log_slope = log_sum_exp(F, F.reshape(log_slope, shape=(0, -3, -2)))
        total = log_sum_exp(F, F.expand_dims(F.sum(others, axis=1) + log_slope, axis=1))
        return F.reshape_like(total + F.log(step), F.sum(indicator, axis=2))

    def probabilities(self, F: Namespace, mean: Array, variance: Array) -> Array:
        """p(y = k) of each class, (B, n, C), which sum to 1."""
        each = self._log_normalizer(F, mean, variance)[1]
        return F.broadcast_div(each, F.sum(each, axis=2, keepdims=True))

    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        probabilities = self.probabilities(F, mean, variance)
        return probabilities, probabilities * (1.0 - probabilities)

    def possible(self, F: Namespace, y: Array) -> Array:
        return whole_numbers(F, y, self.latents - 1.0)

    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        uniform = mx.nd.random.uniform(shape=f.shape, dtype=f.dtype, ctx=f.context)
        return mx.nd.argmax(f - mx.nd.log(-mx.nd.log(uniform)), axis=2).astype(f.dtype)

    def _log_normalizer(
        self, F: Namespace, mean: Array, variance: Array, quick: bool = False
    ) -> Tuple[Array, Array, Array]:
        """E log Σ_c exp(f_c) and its derivatives by the means and variances."""
        u, step, (largest, end) = self._grid(F, mean, variance)
        below, slope, bend = self._below(F, mean, variance, u, quick)
        log_below = F.log(below + TINY)
        together = F.sum(log_below, axis=1, keepdims=True)
        area = F.sum(F.squeeze(F.exp(together), axis=1), axis=1, keepdims=True) * step
        value = F.reshape(largest + end - area, shape=(-1,)) - float(np.euler_gamma)
        others = F.exp(F.broadcast_sub(together, log_below))
        derivatives = (
            F.broadcast_mul(F.sum(others * change, axis=2), step) for change in (slope, -0.5 * bend)
        )
        by_mean, by_variance = (F.reshape_like(d, mean) for d in derivatives)
        return value, by_mean, by_variance

    def _grid(
        self, F: Namespace, mean: Array, variance: Array
    ) -> Tuple[Array, Array, Tuple[Array, Array]]:
        """Values u (R, N), R = B n, their step (R, 1), and where they end; constants.

        Beyond these ends some factor of the product of all F is 0, or all of them are 1.
        """
        mean, variance = (
            F.reshape(fn.stop(F, a), shape=(-1, self.latents)) for a in (mean, variance)
        )
        largest = F.max(mean, axis=1, keepdims=True)
        reach = F.sqrt(2.0 * TAIL * variance)
        centred = F.broadcast_sub(mean, largest)
        start = F.max(centred - reach, axis=1, keepdims=True) - math.log(TAIL)
        end = F.max(centred + reach, axis=1, keepdims=True) + TAIL
        nodes = F.reshape(even_nodes(F, largest, self._steps), shape=(1, -1))
        u = F.broadcast_add(F.broadcast_mul(end - start, nodes), start + largest)
        return u, (end - start) * (1.0 / self._steps), (largest, end)

    def _apart(
        self, F: Namespace, mean: Array, variance: Array, u: Array, latents: int
    ) -> Tuple[Array, Array]:
        """u - f at the inner nodes, (R, C, N, H), for which exp(-exp(f - u)) is not yet 0."""
        nodes, log_weights = gauss_hermite(F, u, self._points)
        mean, variance = (F.reshape(a, shape=(-1, latents, 1, 1)) for a in (mean, variance))
        nodes = F.expand_dims(nodes, axis=0)
        f = F.broadcast_add(mean, F.broadcast_mul(F.sqrt(2.0 * variance), nodes))
        u = F.expand_dims(F.expand_dims(u, axis=1), axis=3)
        return F.broadcast_sub(u, f), F.expand_dims(log_weights, axis=0)

    def _below(
        self, F: Namespace, mean: Array, variance: Array, u: Array, quick: bool = False
    ) -> Tuple[Array, Array, Array]:
        """F_c(u), its slope and its bend, (R, C, N) each; `quick` to ε, not to ε of each."""
        nodes, log_weights = gauss_hermite(F, u, self._points)
        mean, variance = (F.reshape(a, shape=(-1, self.latents, 1)) for a in (mean, variance))
        # exp(f - u) as a product: N + H exponentials for each F_c, and not N H.
        moved = F.broadcast_mul(F.sqrt(2.0 * variance), nodes)
        ahead = F.broadcast_sub(mean, F.expand_dims(u, axis=1))
        own, further = (F.exp(F.clip(a, a_min=-FARTHEST, a_max=FARTHEST)) for a in (moved, ahead))
        falling = F.broadcast_mul(F.expand_dims(-further, axis=3), F.expand_dims(own, axis=2))
        falling = F.maximum(falling, -LARGEST)
        below = _exp(F, falling) if quick else F.exp(falling)
        weights = F.reshape(F.exp(log_weights), shape=(-1, 1))
        first = falling * below
        sums = (F.dot(a, weights) for a in (below, first, falling * first))
        value, first, second = (F.squeeze(a, axis=3) for a in sums)
        return value, -first, second + first

    def _rows(self, F: Namespace, values: Array) -> Array:
        """(B, n, C) -> (B n, C, 1)."""
        return F.reshape(values, shape=(-1, self.latents, 1))

    def _indicator(self, F: Namespace, y: Array) -> Array:
        """Rows of 0 and a single 1, (B, n, C)."""
        numbers = constants(F, y, tuple(range(self.latents)))
        return F.broadcast_equal(F.expand_dims(y, axis=2), numbers)


def _exp(F: Namespace, x: Array) -> Array:
    """exp(x) of constants x <= 0, to an ε of 1: a fifth of the time of `exp` in float32."""
    return F.LeakyReLU(x, act_type="elu", slope=1.0) + 1.0
