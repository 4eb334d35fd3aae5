"""A normal distribution of weights with observations more or less, without all the others.

v ~ N(w, R Rᵀ) given observations y_i = φ_iᵀ v + ε_i, ε_i of variance S_ii. Some of them go, or new
ones come: rank-k updates of Cov(v)⁻¹, which is never formed.
"""

from typing import NamedTuple, Tuple

import mxnet as mx

from ..typing import Array, Namespace
from .cholesky import cholesky, cholesky_solve, triangular_solve
from .gaussian import HALF_LOG_2PI
from .lq import lq_factors
from .matrix import diagonal, identity_like, product, transpose
from .tangent import zeros_like


class Evidence(NamedTuple):
    """Observations behind their mask, in float64."""

    features: Array  # φ, (B, m, n)
    residual: Array  # y - m(x) - φᵀw, (B, n)
    noise: Array  # of y beside the rest, (B, n)
    rest: Array  # of the variance, what φ does not explain, (B, n)
    scale: Array  # S^-½, 0 for a hidden row, (B, n)

    def whitened(self, F: Namespace) -> Array:
        """φ S^-½, (B, m, n)."""
        return F.broadcast_mul(self.features, F.expand_dims(self.scale, axis=1))


def without_each(F: Namespace, root: Array, seen: Evidence) -> Tuple[Array, Array]:
    """How much lower φ_iᵀw is without y_i, and the variance of φ_iᵀv then, (B, n) each."""
    moved = product(F, root, seen.features, transpose_a=True)
    own = F.sum(F.square(moved), axis=1)
    left = 1.0 - own * F.square(seen.scale)
    return own * F.square(seen.scale) * seen.residual / left, own / left


def without_folds(
    F: Namespace, root: Array, seen: Evidence, folds: Array, count: int, name: str
) -> Tuple[Array, Array]:
    """`without_each` for rows whose fold is one of `count`, folds (n,).

    With q = Rᵀφ and G = q_I S_I^-½ it is qᵀ(I - G Gᵀ)⁻¹ G e_I and |K⁻¹q|², I - G Gᵀ = K Kᵀ.
    """
    moved = product(F, root, seen.features, transpose_a=True)
    scaled = F.broadcast_mul(moved, F.expand_dims(seen.scale, axis=1))
    error = F.expand_dims(seen.residual * seen.scale, axis=2)
    step, learned = zeros_like(F, seen.residual), zeros_like(F, seen.residual)
    for number in range(count):
        inside = F.reshape(folds == float(number), shape=(1, -1))
        own = F.broadcast_mul(scaled, F.expand_dims(inside, axis=1))
        factor = _remaining(F, own, name)
        solved = cholesky_solve(F, factor, product(F, own, error))
        change = F.squeeze(product(F, moved, solved, transpose_a=True), axis=2)
        white = triangular_solve(F, factor, moved)
        step = step + F.broadcast_mul(change, inside)
        learned = learned + F.broadcast_mul(F.sum(F.square(white), axis=1), inside)
    return step, learned


def updated(root: Array, seen: Evidence, sign: float, name: str) -> Tuple[Array, Array]:
    """A root of Cov(v) with observations more (sign 1) or less (-1), and the change of w.

    More: from the LQ of [R⁻ᵀ, φ S^-½], whose square is the new Cov(v)⁻¹. Less: with C the
    triangular root, C K⁻ᵀ where K Kᵀ = I - Cᵀφ S⁻¹ φᵀC. NotPositiveDefiniteError where they cannot
    have been among the observations.
    """
    F, scaled = mx.nd, seen.whitened(mx.nd)
    _, lower = lq_factors(F, root)
    if sign > 0.0:
        inverse = triangular_solve(F, lower, identity_like(F, lower), transpose=True)
        _, precision = lq_factors(F, F.concat(inverse, scaled, dim=2))
        root = triangular_solve(F, precision, identity_like(F, precision), transpose=True)
    else:
        factor = _remaining(F, product(F, lower, scaled, transpose_a=True), name)
        root = transpose(F, triangular_solve(F, factor, transpose(F, lower)))
    error = F.expand_dims(seen.residual * seen.scale, axis=2)
    pull = product(F, root, product(F, scaled, error), transpose_a=True)
    return root, sign * product(F, root, pull)


def added_nll(old: Array, new: Array, step: Array, seen: Evidence, sign: float) -> Array:
    """-log p of the observations that `updated` added, or took away, given the others, (B,).

    ½ |S^-½(r - φᵀw)|² + ½ |R⁻¹(w - w_before)|² + ½ log|2πS| - log|R| + log|R_before|, in which w
    and R are those with them: nothing is subtracted. old, new: roots; step: the change of w.
    """
    F = mx.nd
    residual = seen.residual
    if sign > 0.0:
        change = product(F, seen.features, step, transpose_a=True)
        residual = residual - F.reshape(change, shape=(0, -1))
    before, after = (lq_factors(F, a)[1] for a in ((old, new) if sign > 0.0 else (new, old)))
    white = triangular_solve(F, before, step)
    hidden = seen.scale == 0.0
    logarithms = (HALF_LOG_2PI - F.log(seen.scale + hidden)) * (1.0 - hidden)
    determinants = F.log(diagonal(F, before)) - F.log(diagonal(F, after))
    return (
        0.5 * F.sum(F.square(residual * seen.scale), axis=1)
        + 0.5 * F.sum(F.square(white), axis=(1, 2))
        + F.sum(logarithms, axis=1)
        + F.sum(determinants, axis=1)
    )


def _remaining(F: Namespace, gone: Array, name: str) -> Array:
    """K with I - G Gᵀ = K Kᵀ, (B, m, n) -> (B, m, m)."""
    products = product(F, gone, gone, transpose_b=True)
    return cholesky(F, identity_like(F, products) - products, name=name)
