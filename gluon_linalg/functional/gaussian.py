"""The Gaussian log-likelihood and its analytic gradient (Seeger et al. 2017, section 2.1)."""

import math
from typing import Optional, Tuple, Union

import mxnet as mx
import numpy as np

from .. import native
from ..errors import NonFiniteError
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, require, require_rows
from .cholesky import (
    add_jitter,
    factor_inverse,
    factor_log_determinant,
    potrf,
    triangular_solve,
)
from .matrix import add_diagonal, inner, product
from .tangent import ones_like, stop, with_gradient, zeros_like

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def gaussian_nll(
    F: Namespace,
    covariance: Array,
    residual: Array,
    jitter: Union[float, str] = 0.0,
    name: str = "GaussianNLL",
) -> Array:
    """φ = -log N(r | 0, A) = ½ rᵀA⁻¹r + ½ log|A| + ½ n log 2π, (B, n, n), (B, n) -> (B,).

    The gradient is analytic, ∂φ/∂A = ½(A⁻¹ - ααᵀ) and ∂φ/∂r = α with α = A⁻¹r: one potrf and
    one potri, a third of the work of differentiating through potrf.
    """
    covariance = add_jitter(F, covariance, jitter, name)
    if native.applies(F, covariance):
        value = native.gaussian_nll(F, covariance, residual)
        if F is not mx.nd or not np.isnan(value.asnumpy()).any():
            return value
        # What follows tells what is wrong.
    value, weights, adjoint = gaussian_adjoint(F, covariance, residual, name)
    linear = inner(F, adjoint, covariance) + F.sum(weights * residual, axis=1)
    return with_gradient(F, value, linear)


def gaussian_adjoint(
    F: Namespace, covariance: Array, residual: Array, name: str = "GaussianNLL"
) -> Tuple[Array, Array, Array]:
    """The constants of the tangent graph: φ (B,), α (B, n) and ½(A⁻¹ - ααᵀ) (B, n, n)."""
    factor, whitened, weights = gaussian_weights(F, covariance, residual, name)
    value = (
        0.5 * F.sum(F.square(whitened), axis=1)
        + 0.5 * factor_log_determinant(F, factor)
        + HALF_LOG_2PI * F.sum(ones_like(F, whitened), axis=1)
    )
    column = F.expand_dims(weights, axis=2)
    adjoint = lapack.half_difference(F, factor_inverse(F, factor), column)
    return stop(F, value), weights, stop(F, adjoint)


def gaussian_weights(
    F: Namespace, covariance: Array, residual: Array, name: str = "GaussianNLL"
) -> Tuple[Array, Array, Array]:
    """L, L⁻¹r (B, n) and α = A⁻¹r (B, n), constants, from A = L Lᵀ and r."""
    factor = potrf(F, stop(F, covariance), name)
    residual = finite_targets(F, stop(F, residual), name)
    whitened = triangular_solve(F, factor, F.expand_dims(residual, axis=2))
    weights = triangular_solve(F, factor, whitened, transpose=True)
    return factor, F.squeeze(whitened, axis=2), stop(F, F.squeeze(weights, axis=2))


def finite_targets(F: Namespace, residual: Array, name: str) -> Array:
    """r (B, n) without NaN and infinity: NonFiniteError, which names the rows."""
    text = f"{name}: the targets, or the mean function, contain NaN or infinity; a mask hides them."
    return require_rows(F, residual, finite(F, residual), NonFiniteError, text)


def hide_missing(
    F: Namespace, covariance: Array, residual: Array, mask: Array
) -> Tuple[Array, Array]:
    """A (B, n, n) and r (B, n) whose missing observations add exactly 0 to `gaussian_nll`.

    A -> M A M + (I - M) / 2π,  r -> M r,  M = diag(mask),

    mask (B, n) 1 where r is observed and 0 where it is not, whatever r holds there. A missing
    observation is then independent of all others and ½ log|2π · 1/2π| = 0: the likelihood
    and its gradient are those of the observed ones alone.
    """
    mask = stop(F, mask)
    covariance = add_diagonal(F, hidden_pairs(F, covariance, mask), (1.0 - mask) / (2.0 * math.pi))
    return covariance, F.where(mask, residual, zeros_like(F, residual))


def hidden_pairs(F: Namespace, a: Array, mask: Array) -> Array:
    """M A M with M = diag(mask), (B, n, n), (B, n), whatever A holds elsewhere."""
    column = F.expand_dims(stop(F, mask), axis=2)
    pairs = product(F, column, column, transpose_b=True)
    return F.where(pairs, a, zeros_like(F, a))


def filled(F: Namespace, values: Array, mask: Array) -> Array:
    """Values (B, n) with the mean of the others where the mask (B, n) is 0."""
    count = F.maximum(F.sum(mask, axis=1, keepdims=True), 1.0)
    mean = F.broadcast_div(F.sum(values * mask, axis=1, keepdims=True), count)
    return values * mask + F.broadcast_mul(1.0 - mask, mean)


def seen_targets(
    F: Namespace,
    y: Array,
    noise: Optional[Array],
    mask: Optional[Array],
    dtype: str,
    name: str,
    axes: int = 2,
) -> Tuple[Array, Optional[Array], Optional[Array]]:
    """y, noise and a checked mask (B, n) in `dtype`, zeros where it hides what stands there."""
    y = F.cast(y, dtype=dtype)
    noise = None if noise is None else F.cast(noise, dtype=dtype)
    if mask is not None:
        mask = checked_mask(F, F.cast(mask, dtype=dtype), name, axes)
        y = F.where(mask, y, zeros_like(F, y))
    return y, None if noise is None else checked_noise(F, noise, mask, name, axes), mask


def checked_noise(
    F: Namespace, noise: Array, mask: Optional[Array], name: str, axes: int = 2
) -> Array:
    """Known variances (B, n), 0 where a mask hides them: ValueError where one is no variance."""
    if mask is not None:
        noise = F.where(mask, noise, zeros_like(F, noise))
    holds = finite(F, noise) * (stop(F, noise) >= 0.0)
    rows = holds if axes == 2 else F.min(holds, axis=2)
    text = f"{name}: 'noise' must be variances, numbers from 0 on."
    return require_rows(F, noise, rows, ValueError, text, axes)


def checked_mask(F: Namespace, mask: Array, name: str, axes: int = 2) -> Array:
    """A mask (B, n), or with so many axes, as a constant: ValueError where it is not 0 or 1."""
    mask = stop(F, mask)
    text = f"{name}: the mask has values other than 0 and 1."
    return require(F, mask, (mask == 0.0) + (mask == 1.0), ValueError, text, axes)


def gaussian_conditional(
    F: Namespace, covariance: Array, residual: Array, steps: int, name: str = "GaussianConditional"
) -> Tuple[Array, Array]:
    """Mean (B, m) and lower factor (B, m, m) of the last m = `steps` values given the others.

    covariance: (B, n + m, n + m) of all values; residual: (B, n). With the one factor
    [[L, 0], [M, N]] of the covariance the mean is M L⁻¹r and the conditional covariance N Nᵀ: no
    difference of matrices is formed, so it is positive definite whenever the whole is. Constants.
    """
    factor = potrf(F, stop(F, covariance), name)
    seen = F.slice_axis(factor, axis=2, begin=0, end=-steps)
    known = F.slice_axis(seen, axis=1, begin=0, end=-steps)
    across = F.slice_axis(seen, axis=1, begin=-steps, end=None)
    ahead = F.slice_axis(factor, axis=1, begin=-steps, end=None)
    ahead = F.slice_axis(ahead, axis=2, begin=-steps, end=None)
    whitened = triangular_solve(F, known, F.expand_dims(stop(F, residual), axis=2))
    mean = F.squeeze(product(F, across, whitened), axis=2)
    return stop(F, mean), stop(F, ahead)
