"""What the graphs of the Gaussian process and the regression estimator share."""

from typing import Tuple

from .. import functional as fn
from ..functional.matrix import counted
from ..typing import Array, Namespace

# The axes of the arrays of a window, for the checks of `LinearAlgebraBlock`.
AXES = {
    "static_categories": "B c",
    "static_reals": "B s",
    "phases": "B N q",
    "features": "B N k",
    "target": "B N",
    "observed": "B N",
}
PAST_AXES = {**AXES, "target": "B L", "observed": "B L"}


def centred_time(F: Namespace, features: Array) -> Array:
    """The steps from the middle of a window, for features (B, N, k) -> (B, N, 1)."""
    column = fn.zeros_like(F, F.slice_axis(features, axis=2, begin=0, end=1))
    steps = counted(F, features, axis=1)
    steps = F.broadcast_sub(steps, F.mean(steps, axis=0, keepdims=True))
    return F.broadcast_add(column, F.reshape(steps, shape=(1, -1, 1)))


def joint_paths(
    F: Namespace, mean: Array, factor: Array, noise: Array
) -> Tuple[Array, Array, Array]:
    """Paths (B, S, h), means (B, h) and standard deviations (B, h) of N(mean, N Nᵀ).

    mean: (B, h); factor: N (B, h, e); noise: standard normal numbers (B, S, e).
    """
    paths = fn.product(F, noise, factor, transpose_b=True)
    samples = F.broadcast_add(paths, F.expand_dims(mean, axis=1))
    return samples, mean, F.sqrt(F.sum(F.square(factor), axis=2))
