"""Kernels of a few functions of time: cosine, periodic and polynomial ones."""

import math
from typing import Callable

import numpy as np

from ..typing import Array, Namespace
from .linear_sde import LinearSDE, constant
from .matrix import product
from .quadrature import even_nodes
from .tangent import ones_like, stop, zeros_like

# Points of the integrals that give the weights of harmonics, and what is added to their squares.
NODES, NEGLIGIBLE = 256, 1e-30

Function = Callable[[Namespace, Array], Array]


class Features(LinearSDE):
    """k(s, t) = φ(s)ᵀ φ(t), d features whose weights stay as they are: A = I, no noise, H = φ.

    features, slopes: φ and its derivative, (B, n, 1) -> (B, n, d).
    """

    def __init__(self, size: int, features: Function, slopes: Function) -> None:
        self.size, self._features, self._slopes = size, features, slopes

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return constant(F, gaps, np.eye(self.size))

    def emission(self, F: Namespace, times: Array) -> Array:
        return F.expand_dims(self._features(F, times), axis=2)

    def slope(self, F: Namespace, times: Array) -> Array:
        return F.expand_dims(self._slopes(F, times), axis=2)

    def covariance(self, F: Namespace, times: Array) -> Array:
        features = self._features(F, times)
        return product(F, features, features, transpose_b=True)


def cosine_features(period: Array) -> Features:
    """cos(2π (s - t) / period), of a period (B or 1, 1)."""

    def features(F: Namespace, times: Array) -> Array:
        angle = _angle(F, times, period)
        return F.concat(F.cos(angle), F.sin(angle), dim=2)

    def slopes(F: Namespace, times: Array) -> Array:
        angle = _angle(F, times, period)
        turned = F.concat(-F.sin(angle), F.cos(angle), dim=2)
        return F.broadcast_mul(turned, _speed(F, period))

    return Features(2, features, slopes)


def periodic_features(order: int, lengthscale: Array, period: Array) -> Features:
    """exp(-2 sin²(π (s - t) / period) / lengthscale²), by its harmonics up to `order` (B or 1, 1).

    Σ_j q_j² cos(2π j (s - t) / period) with q_j² = 2 I_j(z) e^-z, half of it for j = 0, and
    z = 1 / lengthscale² (Solin & Särkkä 2014, equation 26). All q_j² are positive and their sum is
    1, so what is left out is largest at s = t (`periodic_error`).
    """

    def features(F: Namespace, times: Array) -> Array:
        weights = _harmonics(F, times, order, lengthscale)
        parts = [F.slice_axis(weights, axis=2, begin=0, end=1)]
        parts[0] = F.broadcast_add(parts[0], zeros_like(F, times))
        angle = _angle(F, times, period)
        for j in range(1, order + 1):
            weight = F.slice_axis(weights, axis=2, begin=j, end=j + 1)
            parts += [F.broadcast_mul(wave(j * angle), weight) for wave in (F.cos, F.sin)]
        return F.concat(*parts, dim=2)

    def slopes(F: Namespace, times: Array) -> Array:
        weights = _harmonics(F, times, order, lengthscale)
        parts, angle = [zeros_like(F, times)], _angle(F, times, period)
        for j in range(1, order + 1):
            weight = j * F.slice_axis(weights, axis=2, begin=j, end=j + 1)
            for turned in (-F.sin(j * angle), F.cos(j * angle)):
                parts.append(F.broadcast_mul(turned, weight))
        return F.broadcast_mul(F.concat(*parts, dim=2), _speed(F, period))

    return Features(2 * order + 1, features, slopes)


def periodic_error(order: int, lengthscale: float) -> float:
    """What `periodic_features` leaves out at most, of a variance of 1."""
    angle = (np.arange(NODES) + 0.5) * (np.pi / NODES)
    density = np.exp((np.cos(angle) - 1.0) / lengthscale**2) / NODES
    waves = 1.0 + 2.0 * sum(np.cos(j * angle) for j in range(1, order + 1))
    return max(0.0, 1.0 - float((waves * density).sum()))


def polynomial_features(degree: int, offset: Array, lengthscale: Array) -> Features:
    """(s t / lengthscale² + offset)^degree, of (B or 1, 1): the binomial series."""

    weights = [math.factorial(degree) / math.factorial(k) / math.factorial(degree - k)
               for k in range(degree + 1)]  # fmt: skip

    def series(F: Namespace, times: Array, slope: bool) -> Array:
        scale = F.expand_dims(lengthscale, axis=2)
        scaled = F.broadcast_div(times, scale)
        root = F.expand_dims(F.sqrt(offset), axis=2)
        up, down = [ones_like(F, scaled)], [ones_like(F, root)]
        for _ in range(degree):
            up.append(up[-1] * scaled)
            down.append(down[-1] * root)
        if slope:
            raised = [k * power for k, power in enumerate(up[:-1], start=1)]
            up = [zeros_like(F, scaled), *(F.broadcast_div(power, scale) for power in raised)]
        parts = (F.broadcast_mul(up[k], down[degree - k]) * math.sqrt(w)
                 for k, w in enumerate(weights))  # fmt: skip
        return F.concat(*parts, dim=2)

    return Features(
        degree + 1,
        lambda F, times: series(F, times, slope=False),
        lambda F, times: series(F, times, slope=True),
    )


def _angle(F: Namespace, times: Array, period: Array) -> Array:
    """2π t / period, less whole turns."""
    turns = F.broadcast_div(times, F.expand_dims(period, axis=2))
    return 2.0 * math.pi * (turns - F.floor(stop(F, turns)))


def _speed(F: Namespace, period: Array) -> Array:
    """The derivative of the angle, (B or 1, 1, 1)."""
    return F.expand_dims(2.0 * math.pi / period, axis=2)


def _harmonics(F: Namespace, like: Array, order: int, lengthscale: Array) -> Array:
    """The q_j, j = 0 ... order, (B or 1, 1, order + 1), by the midpoint rule: exact here."""
    one = F.slice(ones_like(F, like), begin=(0, 0, 0), end=(1, 1, 1))
    angle = math.pi * even_nodes(F, F.squeeze(one, axis=2), NODES)
    numbers = F.squeeze(constant(F, one, np.arange(order + 1.0)[:, None]), axis=0)
    waves = F.cos(F.broadcast_mul(numbers, angle))
    inverse = F.expand_dims(1.0 / F.square(lengthscale), axis=2)
    density = F.exp(F.broadcast_mul(F.cos(angle) - 1.0, inverse))
    sums = F.sum(F.broadcast_mul(waves, density), axis=2) * (2.0 / NODES)
    halves = F.squeeze(constant(F, one, np.array([[0.5] + [1.0] * order])), axis=0)
    squares = F.broadcast_mul(F.expand_dims(sums, axis=1), halves)
    # Rounding may leave less than 0 of a weight that is as good as 0.
    return F.sqrt(F.relu(squares) + NEGLIGIBLE)
