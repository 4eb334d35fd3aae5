"""Observations that are certain: the elements of y that what was seen before determines.

The univariate treatment (Anderson & Moore 1979, section 6.4; Koopman & Durbin 2000): one element of
an observation after the other, and one without variance of its own is passed over. With [H S  D]
the rows R of the joint factor, and q = r / |r| of the row that is taken, both R and the states S
lose their part along q (Gram & Schmidt): no variance is a difference.

What is 0 comes out as rounding. The errors of rows, and of residuals and means, are taken through
the linear maps of the rows themselves, from time to time by A, as the rows of a factor E of their
covariance. An element is certain if its row is no longer than its errors.
"""

from typing import Any, List, Tuple

from ..errors import SingularMatrixError
from ..typing import Array, Namespace
from .checks import require_each
from .cholesky import unit_roundoff
from .matrix import identity_like, product
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

# So many times its errors a row is at least that tells something: those of 0 were found up to 3.
CERTAIN = 16.0


def uncertain_mask(
    F: Namespace, system: LinearGaussianSystem, states: int, observations: int, name: str = "Kalman"
) -> Array:
    """The mask of a system with 0 also for what is certain, a constant (B, T, p).

    Certain is an element whose standard deviation, given all before it, is no more than what
    rounding has made of it: some ε of what its terms were, at whatever time and as far as later
    steps have carried it on. Counted as missing, it changes no moment, and the likelihood is that
    of the others. Directions of a flat prior are known from no observation: system without them,
    or with them as columns of the prior factor.

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
    none = zeros_like(F, product(F, prior, prior, transpose_b=True))
    initial = F.concat(prior, mean, none, none, dim=4)

    def body(now: List[Array], state: List[Array]) -> Tuple[List[Array], List[Array]]:
        emission, noise, transition, process, residual, seen, moved = now
        ends = [states, states + 1, 2 * states + 1, None]
        factor, mean, rounded, doubt = (
            F.slice_axis(state[0], axis=2, begin=begin, end=end)
            for begin, end in zip([0, *ends], ends)
        )
        step = _Step(F, emission, noise, factor, mean, residual, rounded, doubt)
        kept: List[Any] = []
        wrong: List[Any] = []
        for index in range(observations):
            taken, contradicts = step.take(seen, index)
            kept.append(taken)
            wrong.append(contradicts)
        factor = F.concat(product(F, transition, step.states), process, dim=2)
        factor = lower_factor(F, F.concat(factor, zeros_like(F, transition), dim=2))
        rounded, doubt = step.errors(transition)
        mean = product(F, transition, step.mean) + moved
        results = [F.concat(*x, dim=1) if len(x) > 1 else x[0] for x in (kept, wrong)]
        return results, [F.concat(factor, mean, rounded, doubt, dim=2)]

    (kept, wrong), _ = for_each(F, body, data, initial)
    text = (
        f"{name}: an observation without noise is determined by the others, and is not what they "
        "make of it; check its row of the emission, give it some noise, or mask it"
    )
    kept = require_each(F, kept, 1.0 - wrong, SingularMatrixError, text)
    return stop(F, F.squeeze(batch_first(F, kept), axis=3))


class _Step:
    """One time: rows of the observations and of the states in the coordinates of all noises.

    rounded, doubt: E of the rows of the states, and of their mean, (B, d, d).
    """

    def __init__(
        self,
        F: Namespace,
        emission: Array,
        noise: Array,
        factor: Array,
        mean: Array,
        residual: Array,
        rounded: Array,
        doubt: Array,
    ) -> None:
        self.F = F
        blank = zeros_like(F, product(F, emission, noise, transpose_a=True))
        self.rows = F.concat(product(F, emission, factor), noise, dim=2)
        self.states = F.concat(factor, blank, dim=2)
        self.mean, self.residual = mean, residual - product(F, emission, mean)
        self.directions: List[Array] = []
        # Fresh errors are as large as the terms that were added.
        spread = F.sum(F.square(factor), axis=2, keepdims=True)
        of_rows = product(F, F.square(emission), spread)
        of_rows = of_rows + F.sum(F.square(noise), axis=2, keepdims=True)
        of_data = F.square(F.abs(residual) + product(F, F.abs(emission), F.abs(mean)))
        fresh = (of_rows, spread), (of_rows + of_data, zeros_like(F, spread))
        self.rounded, self.doubt = (
            F.concat(
                F.concat(product(F, emission, own), own, dim=1),
                _diagonal(F, F.sqrt(F.concat(*squares, dim=1))),
                dim=2,
            )
            for own, squares in zip((rounded, doubt), fresh)
        )

    def take(self, seen: Array, index: int) -> Tuple[Array, Array]:
        """1 if the element tells something, and 1 if it tells what cannot be, (B, 1, 1) each."""
        F = self.F

        def own(x: Array) -> Array:
            return F.slice_axis(x, axis=1, begin=index, end=index + 1)

        row = own(self.rows)
        for direction in self.directions:
            # Once more: what the first subtraction has left by rounding.
            row = row - F.broadcast_mul(direction, product(F, row, direction, transpose_b=True))
        square = F.sum(F.square(row), axis=2, keepdims=True)
        errors = own(self.rounded), own(self.doubt)
        error, doubt = (F.sum(F.square(x), axis=2, keepdims=True) for x in errors)
        roundoff = unit_roundoff(F, error)
        has_own = square > error * F.square(CERTAIN * roundoff)
        taken = has_own * own(seen)
        size = F.sqrt(F.where(has_own, square, ones_like(F, square)))
        direction = F.broadcast_mul(row, taken / size)
        self.directions.append(direction)
        # As much as y and what it should be can round.
        bound = F.sqrt(roundoff * doubt)
        contradicts = (1.0 - has_own) * own(seen) * (F.abs(own(self.residual)) > bound)
        along = product(F, self.rows, direction, transpose_b=True)
        gain = product(F, self.states, direction, transpose_b=True)
        innovation = own(self.residual) * taken / size
        self.rows = self.rows - product(F, along, direction)
        self.states = self.states - product(F, gain, direction)
        self.residual = self.residual - product(F, along, innovation)
        self.mean = self.mean + product(F, gain, innovation)
        both = F.concat(along, gain, dim=1)
        rounded, doubt = (F.broadcast_mul(x, taken / size) for x in errors)
        self.rounded = self.rounded - product(F, both, rounded)
        self.doubt = self.doubt - product(F, both, doubt)
        return taken, contradicts

    def errors(self, transition: Array) -> List[Array]:
        """`rounded` and `doubt` of the next time."""
        F = self.F
        rounded, doubt = (
            product(F, transition, F.slice_axis(x, axis=1, begin=len(self.directions), end=None))
            for x in (self.rounded, self.doubt)
        )
        spread = F.sum(F.square(self.states), axis=2, keepdims=True)
        fresh = _diagonal(F, F.sqrt(product(F, F.square(transition), spread)))
        return [lower_factor(F, F.concat(rounded, fresh, dim=2)), lower_factor(F, doubt)]


def _diagonal(F: Namespace, column: Array) -> Array:
    """The diagonal matrices (B, n, n) of columns (B, n, 1)."""
    return F.broadcast_mul(identity_like(F, product(F, column, column, transpose_b=True)), column)
