"""Covariates around their means: the same model in coordinates in which they do not round.

Beside a diffuse level a covariate may be anything plus a constant, since x_t β + μ_t =
(x_t - c) β + (μ_t + c β) and the level μ' = μ + c β is as diffuse as μ. What matters is the
numbers: a year, or a unix time, is almost the same column as that of the level.
"""

from typing import Optional, Tuple

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from .arrays import matrix, scalar_one
from .base import Sum, System


def centred_system(
    F: Namespace, component: Sum, system: System, mask: Array
) -> Tuple[Array, Array, Optional[Array]]:
    """(H, G, c): emission and process factor in the coordinates of μ', and c (B, 1, 1, d).

    component: a `Sum` and its `System`; mask: (B, T) of 0/1. c is a constant, the mean of each
    covariate over what was observed, and 0 for all other states; None where nothing is centred.
    """
    if not component.features or component.level_state is None:
        return system.emission, system.process_factor, None
    one = scalar_one(F, mask)
    chosen = matrix(F, one, [[float(c) for c in component.is_coefficient]])
    chosen = F.reshape(chosen, shape=(1, 1, 1, -1))
    seen = fn.stop(F, system.emission)
    # From the first on, so that a column of one number is centred to 0 exactly.
    first = F.slice_axis(seen, axis=1, begin=0, end=1)
    shifted = F.slice_like(F.broadcast_sub(seen, first), mask, axes=(1,))
    weights = F.reshape(mask, shape=(0, 0, 1, 1))
    count = F.sum(weights, axis=1, keepdims=True)
    total = F.sum(F.broadcast_mul(shifted, weights), axis=1, keepdims=True)
    mean = F.broadcast_div(total, F.broadcast_maximum(count, fn.ones_like(F, count)))
    centre = fn.stop(F, F.broadcast_mul(F.broadcast_add(first, mean), chosen))
    emission = F.broadcast_sub(system.emission, centre)
    process = system.process_factor
    if component.drifts:
        level = [[float(j == component.level_state)] for j in range(component.state_size)]
        level = F.reshape(matrix(F, one, level), shape=(1, 1, -1, 1))
        moved = F.broadcast_mul(level, centre)
        spread = fn.zeros_like(F, moved)
        process = F.broadcast_add(process, F.slice_axis(spread, axis=3, begin=0, end=1))
        process = process + fn.product(F, moved, process)
    return emission, process, centre


def uncentred(
    mean: mx.nd.NDArray, covariance: mx.nd.NDArray, centre: mx.nd.NDArray, component: Sum
) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
    """Means (B, T, d) and covariances (B, T, d, d) in the coordinates of μ: NDArrays."""
    size, level = component.state_size, component.level_state
    turn = mx.nd.array(np.eye(size), dtype="float64", ctx=mean.context)
    turn = mx.nd.broadcast_add(turn.expand_dims(0), mx.nd.zeros_like(centre[:, 0]))
    turn[:, level] = turn[:, level] - centre[:, 0, 0]
    steps = mean.shape[1]
    turn = turn.expand_dims(1).broadcast_axes(axis=1, size=steps)
    turn = mx.nd.broadcast_add(turn, mx.nd.zeros_like(mean[:, :1, :1]).expand_dims(3))
    mean = fn.product(mx.nd, turn, mean.expand_dims(3)).squeeze(axis=3)
    covariance = fn.product(mx.nd, turn, covariance)
    return mean, fn.product(mx.nd, covariance, turn, transpose_b=True)
