"""Observations that are certain: the elements of y that what was seen before determines.

The univariate treatment (Anderson & Moore 1979, section 6.4; Koopman & Durbin 2000): one element of
an observation after the other, and one without variance of its own is passed over. With [H S  D]
the rows R of the joint factor, and q = r / |r| of the row that is taken, both R and the states S
lose their part along q (Gram & Schmidt): no variance is a difference.
"""

from typing import Any, List, Tuple

from ..errors import SingularMatrixError
from ..typing import Array, Namespace
from .checks import require_each
from .cholesky import unit_roundoff
from .kalman_gains import SINGULAR
from .matrix import product
from .recursion import for_each
from .state_space import (
    LinearGaussianSystem,
    batch_first,
    lower_factor,
    over_batch,
    over_time,
    square_factor,
    stopped,
)
from .tangent import ones_like, stop, zeros_like


def uncertain_mask(
    F: Namespace, system: LinearGaussianSystem, states: int, observations: int, name: str = "Kalman"
) -> Array:
    """The mask of a system with 0 also for what is certain, a constant (B, T, p).

    Certain is an element whose standard deviation, given all before it, is below 4 ε of what it was
    before anything was observed. Counted as missing, it changes no moment, and the likelihood is
    that of the others. Directions of a flat prior are known from no observation: system without
    them, or with them as columns of the prior factor.

    Raises SingularMatrixError for a certain element that is not what it must be.
    """
    fixed = stopped(F, system)
    y = fixed.observed
    if fixed.emission_offset is not None:
        y = F.broadcast_sub(y, fixed.emission_offset)
    prior = over_batch(F, square_factor(F, fixed.prior_factor), y)
    mean = over_batch(F, fixed.prior_mean, y)
    offset = zeros_like(F, over_time(F, mean, y))
    if fixed.transition_offset is not None:
        offset = F.broadcast_add(offset, fixed.transition_offset)
    mask = ones_like(F, y)
    if fixed.mask is not None:
        mask = F.broadcast_mul(mask, fixed.mask)
    arrays = (
        fixed.emission,
        fixed.observation_factor,
        fixed.transition,
        fixed.process_factor,
    )
    data = [*(over_time(F, array, y) for array in arrays), y, mask, offset]
    initial = F.concat(prior, zeros_like(F, mean), mean, dim=4)

    def body(now: List[Array], state: List[Array]) -> Tuple[List[Array], List[Array]]:
        emission, noise, transition, process, residual, seen, moved = now
        factor = F.slice_axis(state[0], axis=2, begin=0, end=states)
        removed = F.slice_axis(state[0], axis=2, begin=states, end=states + 1)
        mean = F.slice_axis(state[0], axis=2, begin=states + 1, end=None)
        size = F.abs(residual) + product(F, F.abs(emission), F.abs(mean))
        step = _Step(F, emission, noise, factor, removed, size)
        residual = residual - product(F, emission, mean)
        kept: List[Any] = []
        wrong: List[Any] = []
        for index in range(observations):
            taken, contradicts = step.take(residual, mean, seen, index)
            residual, mean = step.residual, step.mean
            kept.append(taken)
            wrong.append(contradicts)
        factor = F.concat(product(F, transition, step.states), process, dim=2)
        factor = lower_factor(F, F.concat(factor, zeros_like(F, transition), dim=2))
        removed = product(F, F.square(transition), step.removed)
        mean = product(F, transition, mean) + moved
        following = F.concat(factor, removed, mean, dim=2)
        results = [F.concat(*x, dim=1) if len(x) > 1 else x[0] for x in (kept, wrong)]
        return results, [following]

    (kept, wrong), _ = for_each(F, body, data, initial)
    text = (
        f"{name}: an observation without noise is determined by the others, and is not what they "
        "make of it; check its row of the emission, give it some noise, or mask it"
    )
    kept = require_each(F, kept, 1.0 - wrong, SingularMatrixError, text)
    return stop(F, F.squeeze(batch_first(F, kept), axis=3))


class _Step:
    """One time: rows of the observations and of the states in the coordinates of all noises."""

    def __init__(
        self,
        F: Namespace,
        emission: Array,
        noise: Array,
        factor: Array,
        removed: Array,
        size: Array,
    ) -> None:
        self.F, self.size = F, size
        spread = F.sum(F.square(factor), axis=2, keepdims=True) + removed
        self.scale = product(F, F.square(emission), spread)
        self.scale = self.scale + F.sum(F.square(noise), axis=2, keepdims=True)
        self.rows = F.concat(product(F, emission, factor), noise, dim=2)
        blank = zeros_like(F, product(F, emission, noise, transpose_a=True))
        self.states = F.concat(factor, blank, dim=2)
        self.removed = removed
        self.directions: List[Array] = []

    def take(self, residual: Array, mean: Array, seen: Array, index: int) -> Tuple[Array, Array]:
        """1 if the element tells something, and 1 if it tells what cannot be, (B, 1, 1) each."""
        F = self.F

        def own(x: Array) -> Array:
            return F.slice_axis(x, axis=1, begin=index, end=index + 1)

        row = own(self.rows)
        for direction in self.directions:
            # Once more: what the first subtraction has left by rounding.
            row = row - F.broadcast_mul(direction, product(F, row, direction, transpose_b=True))
        square = F.sum(F.square(row), axis=2, keepdims=True)
        scale, rounding = own(self.scale), SINGULAR * unit_roundoff(F, own(self.scale))
        has_own = square > scale * F.square(rounding)
        taken = has_own * own(seen)
        size = F.sqrt(F.where(has_own, square, ones_like(F, square)))
        direction = F.broadcast_mul(row, taken / size)
        self.directions.append(direction)
        innovation = own(residual) * taken / size
        along = product(F, self.rows, direction, transpose_b=True)
        self.rows = self.rows - product(F, along, direction)
        self.residual = residual - product(F, along, innovation)
        gain = product(F, self.states, direction, transpose_b=True)
        self.states = self.states - product(F, gain, direction)
        self.mean = mean + product(F, gain, innovation)
        self.removed = self.removed + F.square(gain)
        # As much as y and what it should be can round.
        bound = F.sqrt(unit_roundoff(F, scale)) * (F.sqrt(scale) + own(self.size))
        contradicts = (1.0 - has_own) * own(seen) * (F.abs(own(residual)) > bound)
        return taken, contradicts
