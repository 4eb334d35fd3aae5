"""The stationary prior of a Kalman layer, computed from its system."""

from typing import Optional, Tuple

from .. import functional as fn
from ..typing import Array, Namespace


def stationary_prior(
    F: Namespace,
    transition: Array,
    process_factor: Array,
    transition_offset: Optional[Array] = None,
    directions: Optional[Array] = None,
    name: str = "Kalman",
) -> Tuple[Array, Array]:
    """m (B or 1, d) and S (B or 1, d, d) of x = A x + b + G η in the long run, differentiable.

    A, G and b are those of the first step of arrays (B or 1, T or 1, ...). With diffuse directions
    D, (B or 1, d, q), the rest of the state is stationary: with the projection M beside the span of
    D, m and S are those of M A M, M G and M b. That is exact if A leads from the span into itself
    alone, as block triangular transitions do (a random walk beside a stationary process).

    Raises LinearAlgebraError (functional.stationary_factor) for a process that is not stationary.
    """

    def first(x: Array) -> Array:
        return F.squeeze(F.slice_axis(x, axis=1, begin=0, end=1), axis=1)

    transition, process = first(transition), first(process_factor)
    offset = None if transition_offset is None else F.expand_dims(first(transition_offset), axis=2)
    others = [x for x in (transition, process, offset, directions) if x is not None]
    batch = None
    for x in others:
        corner = fn.zeros_like(F, F.slice(x, begin=(None, 0, 0), end=(None, 1, 1)))
        batch = corner if batch is None else F.broadcast_add(batch, corner)
    transition, process = (F.broadcast_add(x, batch) for x in (transition, process))
    if offset is not None:
        offset = F.broadcast_add(offset, batch)
    if directions is not None:
        beside = _beside(F, F.broadcast_add(directions, batch))
        transition = fn.product(F, fn.product(F, beside, transition), beside)
        process = fn.product(F, beside, process)
        offset = None if offset is None else fn.product(F, beside, offset)
    factor = fn.stationary_factor(F, transition, process, name)
    # The signs of its columns are arbitrary, and a draw from given numbers has them.
    corners = F.expand_dims(F.sum(fn.identity_like(F, factor) * factor, axis=1), axis=1)
    factor = F.broadcast_mul(factor, fn.stop(F, 2.0 * (corners >= 0.0) - 1.0))
    if offset is None:
        row = F.slice_axis(factor, axis=2, begin=0, end=1)
        return F.squeeze(fn.zeros_like(F, row), axis=2), factor
    rest = fn.identity_like(F, transition) - transition
    mean = fn.product(F, fn.inverse(F, rest, name), offset)
    return F.squeeze(mean, axis=2), factor


def _beside(F: Namespace, directions: Array) -> Array:
    """I - D (DᵀD)⁻¹ Dᵀ, a constant."""
    directions = fn.stop(F, directions)
    lengths = F.sqrt(F.sum(F.square(directions), axis=1, keepdims=True))
    directions = F.broadcast_div(directions, lengths)
    gram = fn.product(F, directions, directions, transpose_a=True)
    inner = fn.product(F, fn.inverse_spd(F, gram), directions, transpose_b=True)
    along = fn.product(F, directions, inner)
    return fn.stop(F, fn.identity_like(F, along) - along)
