"""What is not known of the first state, in units in which the filter is well conditioned."""

from typing import NamedTuple, Optional, Sequence

from ... import functional as fn
from ...typing import Array, Namespace
from .arrays import matrix, scalar_one
from .base import Sum

REMEDY = (
    "Give more observations, leave the component out, or give it a known prior (prior=(mean, "
    "standard deviations)); a constant covariate beside a level cannot be told from it."
)


class Diffuse(NamedTuple):
    """The diffuse part of the prior."""

    prior_mean: Array  # (B or 1, d)
    directions: Array  # D, a column for each diffuse state, (B or 1, d, q)


def diffuse_part(
    F: Namespace,
    component: Sum,
    prior_mean: Array,
    emission: Array,
    y: Array,
    observed: Array,
    variances: Sequence[Array],
) -> Optional[Diffuse]:
    """The `Diffuse` of a component; None where no state is diffuse.

    A diffuse state k gets the column s u_k e_k: s² is the sum of the variances of the model, or the
    mean square of the observed y where that is 0; u_k = 1, or for a coefficient 1 over the root
    mean square of its covariate. Nothing but rounding depends on these (`functional.diffuse`), so
    no gradient passes through them. The first diffuse level takes the mean of the observed y as its
    prior mean, which changes nothing either: numbers far from 0 would round.

    emission: H (B or 1, T or 1, 1, d), centred; y: (B, T), 0 where `observed` (B, T) is 0;
    variances: arrays (1, n).
    """
    states = [state for state, is_diffuse in enumerate(component.diffuse) if is_diffuse]
    if not states:
        return None
    y, one = fn.stop(F, y), scalar_one(F, y)
    count = F.sum(observed, axis=1, keepdims=True)
    divisor = F.maximum(count, fn.ones_like(F, count))
    if component.level_state is not None:
        location = F.sum(y, axis=1, keepdims=True) / divisor
        y = F.broadcast_mul(F.broadcast_sub(y, location), observed)
        chosen = [float(j == component.level_state) for j in range(component.state_size)]
        selector = F.reshape(matrix(F, one, [chosen]), shape=(1, -1))
        prior_mean = F.broadcast_add(F.broadcast_mul(location, selector), prior_mean)
    square = F.sum(F.square(y), axis=1, keepdims=True) / divisor
    square = F.where(square == 0.0, fn.ones_like(F, square), square)
    total = None
    for variance in variances:
        part = F.sum(fn.stop(F, variance), axis=1, keepdims=True)
        total = part if total is None else total + part
    total = F.broadcast_add(total, fn.zeros_like(F, square))
    size = F.sqrt(F.where(total == 0.0, square, total))
    units = F.broadcast_mul(size, _units(F, component, one, emission))
    rows = [[float(j == state) for j in range(component.state_size)] for state in states]
    columns = F.broadcast_mul(matrix(F, one, rows), F.expand_dims(units, axis=1))
    return Diffuse(prior_mean, F.transpose(columns, axes=(0, 2, 1)))


def _units(F, component, one, emission):
    """u, (B or 1, d)."""
    if not component.features:
        return F.reshape(matrix(F, one, [[1.0] * component.state_size]), shape=(1, -1))
    square = F.squeeze(F.mean(F.square(fn.stop(F, emission)), axis=1), axis=1)
    square = F.where(square == 0.0, fn.ones_like(F, square), square)
    is_coefficient = [float(f) for f in component.is_coefficient]
    is_coefficient = F.reshape(matrix(F, one, [is_coefficient]), shape=(1, -1))
    return F.broadcast_power(square, -0.5 * is_coefficient)
