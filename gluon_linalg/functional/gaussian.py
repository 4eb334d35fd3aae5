"""The Gaussian log-likelihood and its analytic gradient (paper, section 2.1)."""

import math

from ..errors import NonFiniteError
from .checks import finite, require
from .cholesky import (
    add_jitter,
    factor_inverse,
    factor_log_determinant,
    potrf,
    triangular_solve,
)
from .matrix import inner
from .tangent import ones_like, stop, with_gradient

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def gaussian_nll(F, covariance, residual, jitter=0.0, name="GaussianNLL"):
    """φ = -log N(r | 0, A) = ½ rᵀA⁻¹r + ½ log|A| + ½ n log 2π, (B, n, n), (B, n) -> (B,).

    The gradient is analytic, ∂φ/∂A = ½(A⁻¹ - ααᵀ) and ∂φ/∂r = α with α = A⁻¹r: one potrf and
    one potri, a third of the work of differentiating through potrf.
    """
    covariance = add_jitter(F, covariance, jitter, name)
    value, weights, adjoint = gaussian_adjoint(F, covariance, residual, name)
    linear = inner(F, adjoint, covariance) + F.sum(weights * residual, axis=1)
    return with_gradient(F, value, linear)


def gaussian_adjoint(F, covariance, residual, name="GaussianNLL"):
    """The constants of the tangent graph: φ (B,), α (B, n) and ½(A⁻¹ - ααᵀ) (B, n, n)."""
    factor, whitened, weights = gaussian_weights(F, covariance, residual, name)
    value = (
        0.5 * F.sum(F.square(whitened), axis=1)
        + 0.5 * factor_log_determinant(F, factor)
        + HALF_LOG_2PI * F.sum(ones_like(F, whitened), axis=1)
    )
    column = F.expand_dims(weights, axis=2)
    # linalg.gemm is safe here: what it reads is used once, and everything is a constant.
    adjoint = F.linalg.gemm(
        column, column, factor_inverse(F, factor), transpose_b=True, alpha=-0.5, beta=0.5
    )
    return stop(F, value), weights, stop(F, adjoint)


def gaussian_weights(F, covariance, residual, name="GaussianNLL"):
    """L, L⁻¹r (B, n) and α = A⁻¹r (B, n), constants, from A = L Lᵀ and r."""
    factor = potrf(F, stop(F, covariance), name)
    residual = require(
        F,
        stop(F, residual),
        finite(F, residual),
        NonFiniteError,
        f"{name}: the targets, or the mean function, contain NaN or infinity.",
        axes=2,
    )
    whitened = triangular_solve(F, factor, F.expand_dims(residual, axis=2))
    weights = triangular_solve(F, factor, whitened, transpose=True)
    return factor, F.squeeze(whitened, axis=2), stop(F, F.squeeze(weights, axis=2))
