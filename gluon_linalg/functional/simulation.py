"""Draws from a state space model."""

from .matrix import product, with_axis
from .recursion import affine_recursion
from .state_space import leading_axes, over_batch, over_time, time_first


def simulated_states(F, system, prior_noise, process_noise, observation_noise, length=None):
    """x⁺ (1, T, B, d, 1) and y⁺ (1, T, B, p, 1) of a `System` from standard normal numbers.

    prior_noise (B, s), process_noise (B, T, r), observation_noise (B, T, q). What is missing in y
    is 0 in y⁺.
    """
    process_noise, observation_noise = (
        time_first(F, with_axis(F, x, 3)) for x in (process_noise, observation_noise)
    )
    prior_noise = leading_axes(F, with_axis(F, prior_noise, 2))
    spread = product(F, over_batch(F, system.prior_factor, prior_noise), prior_noise)
    initial = F.broadcast_add(system.prior_mean, spread)
    along = {
        name: over_time(F, getattr(system, name), process_noise)
        for name in ("transition", "emission", "process_factor", "observation_factor")
    }
    offset = product(F, along["process_factor"], process_noise)
    if system.transition_offset is not None:
        offset = F.broadcast_add(offset, system.transition_offset)
    states = affine_recursion(F, along["transition"], offset, initial, length)
    observed = product(F, along["emission"], states)
    observed = observed + product(F, along["observation_factor"], observation_noise)
    if system.emission_offset is not None:
        observed = F.broadcast_add(observed, system.emission_offset)
    return states, observed


def without_means(F, system, observed):
    """The same system for other observations, with a prior mean and offsets of 0."""
    return system._replace(
        observed=observed,
        prior_mean=0.0 * system.prior_mean,
        transition_offset=None,
        emission_offset=None,
    )
