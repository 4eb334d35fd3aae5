"""State space models in C++: the likelihood of linear-Gaussian ones, with its score."""

from typing import Optional, Sequence, Tuple

import mxnet as mx

from ..typing import Array, Namespace
from .library import call

# What `kalman_likelihood` says of a batch element.
BAD_OBSERVATION, BAD_MASK, NOT_FINITE, SINGULAR = 1, 2, 3, 4
OPTIONS = ("mask", "transition_offset", "emission_offset")


def kalman_likelihood(
    F: Namespace,
    y: Array,
    *arrays: Optional[Array],
    directions: Optional[Array] = None,
    parallel: bool = False,
    constants: Sequence[str] = (),
) -> Tuple[Array, Array]:
    """-log p(y), (B,), NaN where it fails, and why and at which step it does, (B, 2).

    arrays: transition, emission, process_factor, observation_factor, prior_mean, prior_factor and,
    unless left out or None, mask, transition_offset, emission_offset, as in
    `blocks.kalman.KalmanLayer`, (B or 1, T or 1, ...); directions: (B or 1, d, q). parallel:
    whether H Q Hᵀ + R is to be regular from the second step on. constants: names of arguments, y
    being 'y', whose gradients are left out, and come as 0. What failed is 0 for nothing, or
    one of the numbers above.
    """
    options = {"directions": directions, **dict(zip(OPTIONS, arrays[6:]))}
    keywords = {name: True for name, array in options.items() if array is not None}
    if F is mx.nd and not mx.autograd.is_recording():
        keywords["record"] = False
    if parallel:
        keywords["regular"] = True
    keywords.update({f"constant_{name}": True for name in constants})
    given = [array for array in (*arrays[:6], *options.values()) if array is not None]
    value, failure = call(F, "kalman_likelihood", y, *given, **keywords)
    return value, failure
