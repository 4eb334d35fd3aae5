"""Derivatives of kernels of differences b - a."""

import math
from typing import Any, Callable, Tuple

from ... import functional as fn
from ...typing import Array, Namespace
from ..kernels import Kernel
from ..kernels.powered import LARGEST_EXPONENT
from .base import (
    Bends,
    Differentiated,
    Points,
    Slopes,
    of_column,
    own_values,
    pairs_of,
    plus,
    rough,
)


def _stationary(
    profile: Callable[..., Tuple[Array, Array]], smooth: Callable[[Any], bool] = lambda kernel: True
) -> Callable[..., Differentiated]:
    """Of v · p(s), s = Σ_d ((a_d - b_d)/ℓ_d)²; profile: s, others -> p, p';
    smooth: whether p'(0) is finite.

    ∂k/∂b_j = 2 v p'(s) (b_j - a_j)/ℓ_j², and ∂²k/∂a_j∂b_j = -2 v p'(0)/ℓ_j² where a = b.
    """

    def function(
        F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
    ) -> Differentiated:
        own = own_values(F, kernel, points, hyperparameters)
        variance, lengthscale = own.pop("variance"), own.pop("lengthscale")
        single = points.x is None
        if single and twice and not smooth(kernel):
            raise rough(kernel)
        squared: Any = None
        weighted = []
        for j in range(points.columns):
            scale = of_column(F, kernel, "lengthscale", lengthscale, j)
            step = F.broadcast_div(points.difference(F, j), scale)
            squared = plus(squared, F.square(step))
            weighted.append((step, scale))
        value, slope = profile(F, squared, **own)
        slope = 2.0 * F.broadcast_mul(slope, variance)
        slopes: Slopes = [None] * points.columns
        bends: Bends = {}
        for j, (step, scale) in enumerate(weighted):
            if not single:
                slopes[j] = F.broadcast_div(slope * step, scale)
            elif twice:
                bends[j, j] = -F.broadcast_div(slope, F.square(scale))
        return Differentiated(F.broadcast_mul(value, variance), slopes, bends)

    return function


def _rbf_profile(F: Namespace, s: Array) -> Tuple[Array, Array]:
    value = F.exp(-0.5 * s)
    return value, -0.5 * value


def _matern12_profile(F: Namespace, s: Array) -> Tuple[Array, Array]:
    # Not differentiable where points coincide, which contributes 0.
    apart = fn.stop(F, s) != 0.0
    r = F.sqrt(F.where(apart, s, fn.ones_like(F, s)))
    value = F.exp(-r * apart)
    return value, -0.5 * value / r * apart


def _matern32_profile(F: Namespace, s: Array) -> Tuple[Array, Array]:
    r = math.sqrt(3.0) * _root(F, s)
    decay = F.exp(-r)
    return (1.0 + r) * decay, -1.5 * decay


def _matern52_profile(F: Namespace, s: Array) -> Tuple[Array, Array]:
    r = math.sqrt(5.0) * _root(F, s)
    decay = F.exp(-r)
    return (1.0 + r + F.square(r) / 3.0) * decay, -5.0 / 6.0 * (1.0 + r) * decay


def _matern72_profile(F: Namespace, s: Array) -> Tuple[Array, Array]:
    r = math.sqrt(7.0) * _root(F, s)
    # Not r³ exp(-r), in which r³ overflows.
    third = F.exp(-r / 3.0)
    product, decay = r * third, F.exp(-r)
    value = (1.0 + r) * decay + F.square(product) * (0.4 * third + product / 15.0)
    return value, -7.0 / 30.0 * ((3.0 + 3.0 * r) * decay + F.square(product) * third)


def _rational_quadratic_profile(F: Namespace, s: Array, alpha: Array) -> Tuple[Array, Array]:
    logarithm = F.log1p(F.broadcast_mul(0.5 * s, 1.0 / alpha))
    return (
        F.exp(-F.broadcast_mul(logarithm, alpha)),
        -0.5 * F.exp(-F.broadcast_mul(logarithm, alpha + 1.0)),
    )


def _root(F: Namespace, s: Array) -> Array:
    apart = fn.stop(F, s) != 0.0
    return F.sqrt(F.where(apart, s, fn.ones_like(F, s))) * apart


def periodic(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """∂k/∂b_j = -k · 2π/(p_j ℓ_j²) sin(2π (b_j - a_j)/p_j)."""
    own = own_values(F, kernel, points, hyperparameters)
    exponent: Any = None
    slopes: Slopes = []
    bends = {}
    for j in range(points.columns):
        scale = F.square(of_column(F, kernel, "lengthscale", own["lengthscale"], j))
        wave = 2.0 * math.pi / of_column(F, kernel, "period", own["period"], j)
        angle = F.broadcast_mul(points.difference(F, j), wave)
        exponent = plus(exponent, F.broadcast_div(-2.0 * F.square(F.sin(0.5 * angle)), scale))
        slopes.append(F.broadcast_mul(-F.sin(angle), F.broadcast_div(wave, scale)))
        bends[j, j] = F.broadcast_div(F.square(wave), scale)
    value = F.broadcast_mul(F.exp(exponent), own["variance"])
    if points.x is not None:
        return Differentiated(value, [value * slope for slope in slopes], {})
    bends = {pair: F.broadcast_mul(value, bend) for pair, bend in bends.items()} if twice else {}
    return Differentiated(value, [None] * points.columns, bends)


def cosine(
    F: Namespace, kernel: Kernel, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    own = own_values(F, kernel, points, hyperparameters)
    waves, angle = [], None
    for j in range(points.columns):
        waves.append(2.0 * math.pi / of_column(F, kernel, "period", own["period"], j))
        angle = plus(angle, F.broadcast_mul(points.difference(F, j), waves[j]))
    value = F.broadcast_mul(F.cos(angle), own["variance"])
    if points.x is not None:
        slope = F.broadcast_mul(-F.sin(angle), own["variance"])
        return Differentiated(value, [F.broadcast_mul(slope, wave) for wave in waves], {})
    pairs = pairs_of(points.columns) if twice else []
    bends = {(i, j): F.broadcast_mul(value, waves[i] * waves[j]) for i, j in pairs}
    return Differentiated(value, [None] * points.columns, bends)


def _powered_profile(F: Namespace, s: Array, exponent: Array) -> Tuple[Array, Array]:
    half = 0.5 * F.minimum(exponent, LARGEST_EXPONENT)
    # Where points coincide, p' is multiplied by a difference of 0.
    apart = fn.stop(F, s) != 0.0
    logarithm = F.broadcast_add(F.log(F.where(apart, s, fn.ones_like(F, s))), 0.0 * half)
    value = F.exp(-F.exp(F.broadcast_mul(logarithm, half)) * apart)
    slope = F.exp(F.broadcast_mul(logarithm, half - 1.0)) * value
    return value, -F.broadcast_mul(slope, half)


def _is_rbf(kernel: Any) -> bool:
    return bool((kernel.exponent.value() >= LARGEST_EXPONENT).all())


def spectral_mixture(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of Σ_q v_q Π_d e_qd c_qd, e the decays, c = cos(ω_qd (b_d - a_d)).

    Where a = b, ∂²k/∂a_d∂b_d = Σ_q v_q (1/ℓ_qd² + ω_qd²), and 0 between columns.
    """
    own, columns = own_values(F, kernel, points, hyperparameters), range(points.columns)
    differences = [points.difference(F, d) for d in columns]
    value: Any = None
    slopes: Slopes = [None] * points.columns
    bends: Bends = {}
    for q in range(kernel.components):
        exponent: Any = None
        inverse, waves, angles = [], [], []
        for d, difference in enumerate(differences):
            lengthscale, period = (
                kernel.of_component(own[name], q, d) for name in ("lengthscale", "period")
            )
            inverse.append(1.0 / F.square(lengthscale))
            waves.append(2.0 * math.pi / period)
            angles.append(F.broadcast_mul(difference, waves[d]))
            squared = F.broadcast_mul(F.square(difference), inverse[d])
            exponent = plus(exponent, -0.5 * squared)
        variance = F.slice_axis(own["variance"], axis=1, begin=q, end=q + 1)
        decay = F.broadcast_mul(F.exp(exponent), variance)
        cosines = [F.cos(angle) for angle in angles]
        part = math.prod(cosines, start=decay)
        value = plus(value, part)
        for d in columns if points.x is not None else ():
            others = math.prod(cosines[:d] + cosines[d + 1 :], start=decay)
            turned = F.broadcast_mul(others * F.sin(angles[d]), waves[d])
            fallen = F.broadcast_mul(part * differences[d], inverse[d])
            slopes[d] = plus(slopes[d], -turned - fallen)
        for d in columns if twice else ():
            bend = F.broadcast_mul(part, inverse[d] + F.square(waves[d]))
            bends[d, d] = plus(bends.get((d, d)), bend)
    return Differentiated(value, slopes, bends)


rbf = _stationary(_rbf_profile)
matern12 = _stationary(_matern12_profile, smooth=lambda kernel: False)
matern32 = _stationary(_matern32_profile)
matern52 = _stationary(_matern52_profile)
matern72 = _stationary(_matern72_profile)
rational_quadratic = _stationary(_rational_quadratic_profile)
powered_exponential = _stationary(_powered_profile, smooth=_is_rbf)
