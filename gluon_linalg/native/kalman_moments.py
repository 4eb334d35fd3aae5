"""Moments of the states of a state space model in C++ (`source/kalman_moments.cc`)."""

from typing import NamedTuple, Optional, Sequence

from ..typing import Array, Namespace
from .library import call


class Moments(NamedTuple):
    """What was asked for, None else, with gradients in all arrays of the system.

    Where the status is not 0 all that belongs to the batch element is NaN.
    """

    status: Array  # 0 where all is well, 1 where an array or an observation is not, (B,)
    predicted_mean: Optional[Array] = None  # E[x_t | y_1..y_{t-1}], (B, ., d)
    predicted_covariance: Optional[Array] = None  # (B, ., d, d)
    filtered_mean: Optional[Array] = None  # E[x_t | y_1..y_t], (B, T, d)
    filtered_covariance: Optional[Array] = None  # (B, T, d, d)
    filtered_factor: Optional[Array] = None  # a lower factor of it, a constant
    step_likelihood: Optional[Array] = None  # log p(y_t | y_1..y_{t-1}), (B, T)
    smoothed_mean: Optional[Array] = None  # E[x_t | y_1..y_T], (B, T, d)
    smoothed_covariance: Optional[Array] = None  # (B, T, d, d)
    lag_one: Optional[Array] = None  # Cov(x_{t+1}, x_t | y_1..y_T), (B, T - 1, d, d)


# What to ask for, and how many results it has.
KINDS = {"predicted": 2, "filtered": 2, "factor": 1, "steps": 1, "smoothed": 2, "lag_one": 1}


def kalman_moments(
    F: Namespace,
    y: Array,
    transition: Array,
    emission: Array,
    process_factor: Array,
    observation_factor: Array,
    prior_mean: Array,
    prior_factor: Array,
    mask: Optional[Array] = None,
    transition_offset: Optional[Array] = None,
    emission_offset: Optional[Array] = None,
    prior_covariance: Optional[Array] = None,
    *,
    wanted: Sequence[str] = ("smoothed",),
    last: int = 0,
    following: bool = False,
    regular: bool = False,
) -> Moments:
    """`Moments` of the model of `blocks.kalman.KalmanLayer`, whose arrays these are.

    wanted: some of `KINDS`. prior_covariance: takes the gradient in S Sᵀ, in place of S; its values
    are not used. last: how many predictions to give, the last ones; 0 for all; following: whether
    that of x_{T+1} is one of them. regular: whether H Q Hᵀ + R is to be regular from the second
    step on.
    """
    options = {
        "mask": mask,
        "transition_offset": transition_offset,
        "emission_offset": emission_offset,
        "prior_covariance": prior_covariance,
    }
    given = {name: array for name, array in options.items() if array is not None}
    arrays = (y, transition, emission, process_factor, observation_factor, prior_mean, prior_factor)
    flags = {name: True for name in (*given, *wanted)}
    flags.update({k: True for k, on in (("following", following), ("regular", regular)) if on})
    found = call(F, "kalman_moments", *arrays, *given.values(), last=last, **flags)
    results = iter([*found] if wanted else [found])
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    places = zip(Moments._fields[1:], kinds)
    moments = {name: next(results) for name, kind in places if kind in wanted}
    return Moments(next(results), **moments)
