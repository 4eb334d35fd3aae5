"""Draws and moments of what a state space model says before anything is observed.

Arrays are those of a `state_space.LinearGaussianSystem`, time first: (1, T, B, m, n).
"""

from typing import Optional, Tuple

from ..typing import Array, Namespace
from .matrix import product, transpose, with_axis
from .recursion import affine_recursion, quadratic_recursion
from .state_space import (
    LinearGaussianSystem,
    batch_first,
    leading_axes,
    over_batch,
    over_time,
    time_first,
)
from .tangent import zeros_like


def simulated_states(
    F: Namespace,
    system: LinearGaussianSystem,
    prior_noise: Array,
    process_noise: Array,
    observation_noise: Array,
    length: Optional[int] = None,
) -> Tuple[Array, Array]:
    """x⁺ (1, T, B, d, 1) and y⁺ (1, T, B, p, 1) of a system, from standard normal numbers.

    prior_noise (B, s), process_noise (B, T, r), observation_noise (B, T, q). What is missing in y
    is 0 in y⁺.
    """
    process_noise, observation_noise = (
        time_first(F, with_axis(F, x, 3)) for x in (process_noise, observation_noise)
    )
    prior_noise = leading_axes(F, with_axis(F, prior_noise, 2))
    system = _along_time(F, system, process_noise)
    return _simulated(F, system, prior_noise, process_noise, observation_noise, length)


def without_means(
    F: Namespace, system: LinearGaussianSystem, observed: Array
) -> LinearGaussianSystem:
    """The same system for other observations, with a prior mean and offsets of 0.

    observed: (T, B, p).
    """
    return system._replace(
        observed=observed,
        prior_mean=0.0 * system.prior_mean,
        transition_offset=None,
        emission_offset=None,
    )


def drawn_observations(F: Namespace, system: LinearGaussianSystem, count: int) -> Array:
    """`count` draws of y_1, ..., y_T, joint over time, (count, B, T, p), by MXNet's generator."""
    system = _along_time(F, system, system.observed)
    observation_noise, process_noise, prior_noise = (
        _normals(F, factor, count)
        for factor in (system.observation_factor, system.process_factor, system.prior_factor)
    )
    _, observed = _simulated(F, system, prior_noise, process_noise, observation_noise)
    return F.squeeze(F.transpose(observed, axes=(4, 2, 1, 3, 0)), axis=4)


def observation_marginals(F: Namespace, system: LinearGaussianSystem) -> Tuple[Array, Array]:
    """Mean (B, T, p) and covariance (B, T, p, p) of each y_t before anything was observed."""
    system = _along_time(F, system, system.observed)
    noise, process, initial = (
        product(F, factor, factor, transpose_b=True)
        for factor in (system.observation_factor, system.process_factor, system.prior_factor)
    )
    covariance = quadratic_recursion(F, system.transition, process, initial)
    nothing = zeros_like(F, F.slice_axis(process, axis=4, begin=0, end=1))
    mean = affine_recursion(F, system.transition, nothing, system.prior_mean)
    observed = product(F, system.emission, mean)
    if system.emission_offset is not None:
        observed = F.broadcast_add(observed, system.emission_offset)
    spread = product(F, system.emission, covariance)
    spread = product(F, spread, system.emission, transpose_b=True) + noise
    return F.squeeze(batch_first(F, observed), axis=3), batch_first(F, spread)


def _along_time(F: Namespace, system: LinearGaussianSystem, like: Array) -> LinearGaussianSystem:
    """The system with the arrays of noise and dynamics over all times and batch elements."""
    names = ("transition", "emission", "process_factor", "observation_factor")
    arrays = {name: over_time(F, getattr(system, name), like) for name in names}
    for name in ("prior_mean", "prior_factor"):
        arrays[name] = over_batch(F, getattr(system, name), like)
    return system._replace(**arrays)


def _simulated(
    F: Namespace,
    system: LinearGaussianSystem,
    prior_noise: Array,
    process_noise: Array,
    observation_noise: Array,
    length: Optional[int] = None,
) -> Tuple[Array, Array]:
    """x⁺ and y⁺ of a system `_along_time`, a draw for each column of the noises."""
    spread = product(F, system.prior_factor, prior_noise)
    initial = F.broadcast_add(spread, system.prior_mean)
    offset = product(F, system.process_factor, process_noise)
    if system.transition_offset is not None:
        offset = F.broadcast_add(offset, system.transition_offset)
    states = affine_recursion(F, system.transition, offset, initial, length)
    observed = product(F, system.emission, states)
    observed = observed + product(F, system.observation_factor, observation_noise)
    if system.emission_offset is not None:
        observed = F.broadcast_add(observed, system.emission_offset)
    return states, observed


def _normals(F: Namespace, factor: Array, count: int) -> Array:
    """Standard normal numbers for the columns of a factor (1, T, B, m, r): (1, T, B, r, count)."""
    row = transpose(F, F.slice_axis(factor, axis=3, begin=0, end=1), axes=5)
    shape_of = F.broadcast_axis(zeros_like(F, row), axis=4, size=count)
    return F.random.normal_like(shape_of)
