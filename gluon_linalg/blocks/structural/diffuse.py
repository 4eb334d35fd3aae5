"""Diffuse priors as large but finite ones, in units of the data."""

from ... import functional as fn
from ...functional.gaussian import HALF_LOG_2PI
from .arrays import matrix, scalar_one

# Standard deviation of a diffuse state in units of the data. What is missing from the diffuse
# limit falls with its square; rounding grows with it, of loops (which keep square roots) in
# proportion, of scans faster. Measured against the exact diffuse filter.
LARGE = {
    "sequential": {"float64": 1e5, "float32": 1e2},
    "parallel": {"float64": 1e4, "float32": 3e1},
}


def diffuse_prior(F, component, system, y, observed, variances, large):
    """Prior mean (B or 1, d), factor (B or 1, d, d), and the diffuse constant (B,).

    A diffuse state j has the standard deviation κ_j = K s u_j, with K = `large`, u_j of
    `system.diffuse_units` and, for each batch element, s² = mean square of the observed y + sum
    of the variances of the model. The first diffuse level takes the mean of the observed y as its
    prior mean, and s is then taken around it: series far from 0 need no larger prior.

    The constant is Σ_j log(κ_j √2π) over the k diffuse states, which turns log p(y) into the
    diffuse log likelihood; with n < k observations n / k of it, as only n states are determined.

    y: (B, T), 0 where `observed` (B, T) is 0; variances: arrays (1, n). No gradient passes through
    κ, since the limit does not depend on it.
    """
    if not any(component.diffuse):
        nothing = F.sum(fn.zeros_like(F, y), axis=1)
        return system.prior_mean, system.prior_factor, nothing
    y, one = fn.stop(F, y), scalar_one(F, y)
    count = F.sum(observed, axis=1, keepdims=True)
    divisor = F.maximum(count, fn.ones_like(F, count))
    prior_mean, centred = system.prior_mean, y
    if component.level_state is not None:
        location = F.sum(y, axis=1, keepdims=True) / divisor
        centred = F.broadcast_sub(y, location)
        chosen = [float(j == component.level_state) for j in range(component.state_size)]
        selector = F.reshape(matrix(F, one, [chosen]), shape=(1, -1))
        prior_mean = F.broadcast_add(F.broadcast_mul(location, selector), prior_mean)
    square = F.sum(F.square(centred) * observed, axis=1, keepdims=True) / divisor
    for variance in variances:
        total = F.sum(fn.stop(F, variance), axis=1, keepdims=True)
        square = F.broadcast_add(square, total)
    square = square + (square == 0)
    units = fn.stop(F, system.diffuse_units)
    deviations = F.broadcast_mul(F.sqrt(square) * large, units)
    factor = F.broadcast_add(system.prior_factor, fn.diagonal_matrix(F, deviations))
    is_known = F.broadcast_add(fn.zeros_like(F, deviations), units == 0)
    logs = (F.log(deviations + is_known) + HALF_LOG_2PI) * (1.0 - is_known)
    share = F.minimum(count / float(sum(component.diffuse)), fn.ones_like(F, count))
    return prior_mean, factor, F.sum(F.broadcast_mul(logs, share), axis=1)
