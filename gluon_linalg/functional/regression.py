"""Bayesian linear regression by LQ of augmented features (Seeger et al. 2017, section 2.2)."""

from typing import NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from ..errors import NonFiniteError
from ..native import applies, matrices
from ..typing import Array, Namespace
from .augmented_lq import augmented_lq, on_diagonal
from .checks import finite, likelihood_in_range, require_rows
from .cholesky import triangular_solve
from .gaussian import HALF_LOG_2PI, checked_mask
from .matrix import diagonal, product, transpose
from .tangent import ones_like, stop, with_gradient, zeros_like


class Posterior(NamedTuple):
    """The weights given the data, constants in units of the prior and the noise."""

    factor: Array  # L, (B, d, d)
    prior_rows: Array  # Q_I, (B, d, d)
    data_rows: Array  # Q_M, (B, d, n)
    weights: Array  # u, (B, d, k)
    residuals: Array  # e = r - M u, (B, n, k)


class Observed(NamedTuple):
    """What the likelihood sees, behind the mask."""

    features: Array  # (B, n, d)
    targets: Array  # (B, n, k)
    noise_variance: Array  # (B, n)
    mask: Optional[Array]  # which rows count, (B, n); None for all


def regression_nll(
    F: Namespace, observed: Observed, prior_variance: Array, targets: int = 1, name: str = "BLR"
) -> Array:
    """φ = -log N(y | 0, Φ V Φᵀ + S), summed over the targets, (B,).

    prior_variance: (1, 1 or d), the diagonal of V; the noise variances are the diagonal of S;
    targets: k. With M = S^-½ Φ V^½, r = S^-½ y and [I, Mᵀ] = L [Q_I, Q_M] the posterior weights
    are u = L⁻ᵀ Q_M r and the residuals e = r - M u:

        φ = ½ |e|² + ½ |u|² + log|L| + ½ log|2π S|.

    Nothing is subtracted and ΦᵀΦ never formed. The gradient is analytic, from the same LQ:

        ∂φ/∂M = Q_Mᵀ L⁻¹ - e uᵀ,   ∂φ/∂r = e,
        ∂φ/∂log V_jj = ½ (1 - |Q_I e_j|² - u_j²),   ∂φ/∂log S_ii = ½ (1 - |Q_M e_i|² - e_i²),

    finite for any Φ, also one of deficient rank. Raises NonFiniteError.
    """
    features, y, noise_variance, mask = observed
    if applies(F, features):
        value = matrices.regression(F, features, y, noise_variance, prior_variance)
        rows_seen = ones_like(F, noise_variance) if mask is None else stop(F, mask)
        value = value + targets * HALF_LOG_2PI * F.sum(rows_seen, axis=1)
        if F is mx.nd and not np.isfinite(value.asnumpy()).all():
            # Which array it was.
            regression_posterior(F, observed, prior_variance, name)
        return likelihood_in_range(F, value, name)
    posterior = regression_posterior(F, observed, prior_variance, name)
    factor, prior_rows, data_rows, weights, residuals = posterior
    log_noise = F.log(noise_variance)
    value = posterior_nll(F, observed, posterior, targets)
    by_features = targets * transpose(
        F, triangular_solve(F, factor, data_rows, transpose=True)
    ) - product(F, residuals, weights, transpose_b=True)
    by_features, scale = _whitened(F, by_features, prior_variance, noise_variance)
    by_log_prior = _by_log_variance(F, prior_rows, weights, targets)
    by_log_noise = _by_log_variance(F, data_rows, residuals, targets)
    linear = (
        _dot(F, stop(F, by_features), features - stop(F, features))
        + _dot(F, stop(F, F.broadcast_mul(residuals, scale)), y - stop(F, y))
        + F.sum(F.broadcast_mul(stop(F, by_log_prior), F.log(prior_variance)), axis=1)
        + F.sum(stop(F, by_log_noise) * log_noise, axis=1)
    )
    return with_gradient(F, likelihood_in_range(F, value, name), linear)


def posterior_nll(
    F: Namespace, observed: Observed, posterior: Posterior, targets: int = 1
) -> Array:
    """φ of `regression_nll` from the posterior, a constant (B,)."""
    noise_variance = stop(F, observed.noise_variance)
    seen = ones_like(F, noise_variance) if observed.mask is None else stop(F, observed.mask)
    return (
        0.5 * F.sum(F.square(posterior.residuals), axis=(1, 2))
        + 0.5 * F.sum(F.square(posterior.weights), axis=(1, 2))
        + targets * F.sum(F.log(diagonal(F, posterior.factor)), axis=1)
        + targets * F.sum(0.5 * F.log(noise_variance) + HALF_LOG_2PI * seen, axis=1)
    )


def observed_data(
    F: Namespace,
    features: Array,
    targets: Array,
    noise_variance: Array,
    mask: Optional[Array] = None,
    name: str = "BLR",
) -> Observed:
    """`Observed` with rows hidden where mask (B, n) is 0, whatever stands there.

    A row of zeros with noise variance 1 adds exactly 0 to φ when its 2π is left out.
    """
    if mask is None:
        return Observed(features, targets, noise_variance, None)
    mask = checked_mask(F, mask, name)
    rows = F.expand_dims(mask, axis=2)
    return Observed(
        F.where(F.broadcast_like(rows, stop(F, features)), features, zeros_like(F, features)),
        F.where(F.broadcast_like(rows, stop(F, targets)), targets, zeros_like(F, targets)),
        F.where(mask, noise_variance, ones_like(F, noise_variance)),
        mask,
    )


def regression_posterior(
    F: Namespace, observed: Observed, prior_variance: Array, name: str = "BLR"
) -> Posterior:
    """The `Posterior` of the whitened weights given the data, all constants.

    observed: of `observed_data`; prior_variance: (1, d) or (B, d).
    """
    features, targets, noise_variance = (stop(F, array) for array in observed[:3])
    whitened, scale = _whitened(F, features, stop(F, prior_variance), noise_variance)
    targets = F.broadcast_mul(targets, scale)
    whitened = require_rows(
        F,
        whitened,
        finite(F, F.sum(whitened, axis=2)),
        NonFiniteError,
        f"{name}: the features contain NaN or infinity, or a noise variance is not a positive "
        "number.",
        axes=3,
    )
    targets = require_rows(
        F,
        targets,
        F.min(finite(F, targets), axis=2),
        NonFiniteError,
        f"{name}: the targets contain NaN or infinity; a mask hides them.",
        axes=3,
    )
    wide = transpose(F, whitened)
    factor, prior_rows, data_rows = augmented_lq(F, on_diagonal(F, wide, 1.0), wide)
    projected = product(F, data_rows, targets)
    weights = triangular_solve(F, factor, projected, transpose=True)
    residuals = targets - product(F, data_rows, projected, transpose_a=True)
    return Posterior(*(stop(F, a) for a in (factor, prior_rows, data_rows, weights, residuals)))


def _whitened(
    F: Namespace, rows: Array, prior_variance: Array, noise_variance: Array
) -> Tuple[Array, Array]:
    """S^-½ X V^½ of X (B, n, d), and S^-½ as (B, n, 1)."""
    scale = F.expand_dims(F.rsqrt(noise_variance), axis=2)
    deviation = F.expand_dims(F.sqrt(prior_variance), axis=1)
    return F.broadcast_mul(F.broadcast_mul(rows, scale), deviation), scale


def _by_log_variance(F: Namespace, rows: Array, values: Array, targets: int) -> Array:
    """½ (k (1 - |q_j|²) - Σ values_j²) for columns q_j of (B, d, n), rows of values (B, n, k)."""
    leverage = F.sum(F.square(rows), axis=1)
    return 0.5 * (targets * (1.0 - leverage) - F.sum(F.square(values), axis=2))


def _dot(F: Namespace, a: Array, b: Array) -> Array:
    """Σ_ij A_ij B_ij of each batch element, (B, m, n) twice -> (B,), by one product."""
    total = product(F, F.reshape(a, shape=(0, 1, -1)), F.reshape(b, shape=(0, -1, 1)))
    return F.reshape(total, shape=(-1,))
