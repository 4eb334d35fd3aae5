"""Stationary Gaussian processes in time as linear stochastic differential equations.

A kernel k of one input that has a rational spectral density is that of f(t) = H x(t), with

    dx = F x dt + L dβ,   F + Fᵀ = -L Lᵀ,   k(t, t + h) = H exp(F h) Hᵀ,

in coordinates in which the stationary covariance is I (Hartikainen & Särkkä 2010; Särkkä & Solin
2019, chapter 12). From one time to the next x(t + h) = A x(t) + G η with A Aᵀ + G Gᵀ = I: what the
Kalman layers take. Sums stack states, products multiply them:

    A = A₁ ⊗ A₂,   H = H₁ ⊗ H₂,   G = [G₁ ⊗ I,  A₁ ⊗ G₂],   no difference of covariances.

All in float64. Gaps and times are (B, n, 1), hyperparameters (B or 1, 1).
"""

import functools
import itertools
from typing import Any, List, NamedTuple, Optional, Sequence

import numpy as np

from ..typing import Array, Namespace, hook
from .matrix import product, transpose
from .tangent import ones_like, zeros_like


class Orders(NamedTuple):
    """How many states stand for an RBF kernel, and how many harmonics for a periodic one."""

    rbf: int = 6
    periodic: int = 6


class LinearSDE:
    """One kernel: `size` d states of stationary covariance I, and what leads from time to time."""

    size: int

    @hook
    def transition(self, F: Namespace, gaps: Array) -> Array:
        """A of each gap, (B, n, 1) -> (B or 1, n or 1, d, d)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement transition")

    @hook
    def process_factor(self, F: Namespace, gaps: Array) -> Optional[Array]:
        """G of each gap, (B, n, 1) -> (B or 1, n or 1, d, r); None for 0."""
        return None

    @hook
    def emission(self, F: Namespace, times: Array) -> Array:
        """H at each time, (B, n, 1) -> (B or 1, n or 1, 1, d)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement emission")

    @hook
    def slope(self, F: Namespace, times: Array) -> Array:
        """H F + ∂H/∂t: what makes of the states the derivative of f, where it has one."""
        raise NotImplementedError(f"{type(self).__name__} does not implement slope")

    def shock(self, F: Namespace, times: Array) -> Optional[Array]:
        """H L Lᵀ, how the noise enters f itself, of the shape of H; None for 0: f is smooth."""
        return None

    def covariance(self, F: Namespace, times: Array) -> Array:
        """k of each two times, (B, n, 1) -> (B or 1, n, n); its diagonal has no meaning."""
        difference = F.broadcast_sub(times, transpose(F, times))
        transition = self.transition(F, F.reshape(F.abs(difference), shape=(0, -1, 1)))
        row, pair = self.emission(F, times), zeros_like(F, difference)
        pair = F.expand_dims(F.expand_dims(pair, axis=3), axis=4)
        later, earlier = (
            F.reshape(F.broadcast_add(F.expand_dims(row, axis=k), pair), shape=(0, -3, 0, 0))
            for k in (2, 1)
        )
        later, earlier, transition = on_one_grid(F, (later, earlier, transition))
        moved = product(F, transition, earlier, transpose_b=True)
        found = F.reshape_like(product(F, later, moved), difference)
        return F.where(difference >= 0.0, found, transpose(F, found))


class WhiteNoise(LinearSDE):
    """Of variance 1 at each time, independent of all others, also of those at the same time."""

    size = 1

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return constant(F, gaps, np.zeros((1, 1)))

    def process_factor(self, F: Namespace, gaps: Array) -> Array:
        return constant(F, gaps, np.ones((1, 1)))

    def emission(self, F: Namespace, times: Array) -> Array:
        return constant(F, times, np.ones((1, 1)))

    def slope(self, F: Namespace, times: Array) -> Array:
        """0, of a mean that is 0 and a variance that is constant."""
        return constant(F, times, np.zeros((1, 1)))

    def covariance(self, F: Namespace, times: Array) -> Array:
        return zeros_like(F, F.broadcast_sub(times, transpose(F, times)))


class ScaledSDE(LinearSDE):
    """variance (B or 1, 1) times the kernel of another."""

    def __init__(self, part: LinearSDE, variance: Array) -> None:
        self.size, self._part, self._variance = part.size, part, variance

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return self._part.transition(F, gaps)

    def process_factor(self, F: Namespace, gaps: Array) -> Optional[Array]:
        return self._part.process_factor(F, gaps)

    def emission(self, F: Namespace, times: Array) -> Array:
        return self._scaled(F, self._part.emission(F, times))

    def slope(self, F: Namespace, times: Array) -> Array:
        return self._scaled(F, self._part.slope(F, times))

    def shock(self, F: Namespace, times: Array) -> Optional[Array]:
        found = self._part.shock(F, times)
        return None if found is None else self._scaled(F, found)

    def _scaled(self, F: Namespace, row: Array) -> Array:
        deviation = F.expand_dims(F.expand_dims(F.sqrt(self._variance), axis=2), axis=3)
        return F.broadcast_mul(row, deviation)

    def covariance(self, F: Namespace, times: Array) -> Array:
        return F.broadcast_mul(
            self._part.covariance(F, times), F.expand_dims(self._variance, axis=2)
        )


class SumSDE(LinearSDE):
    """The sum of kernels: their states one below the other."""

    def __init__(self, *parts: LinearSDE) -> None:
        self.size, self._parts = sum(part.size for part in parts), parts

    def transition(self, F: Namespace, gaps: Array) -> Array:
        blocks = [part.transition(F, gaps) for part in self._parts]
        return block_diagonal(F, blocks, [part.size for part in self._parts])

    def process_factor(self, F: Namespace, gaps: Array) -> Optional[Array]:
        factors = [part.process_factor(F, gaps) for part in self._parts]
        if all(factor is None for factor in factors):
            return None
        return block_diagonal(F, factors, [part.size for part in self._parts])

    def emission(self, F: Namespace, times: Array) -> Array:
        rows = on_one_grid(F, [part.emission(F, times) for part in self._parts])
        return F.concat(*rows, dim=3)

    def slope(self, F: Namespace, times: Array) -> Array:
        rows = on_one_grid(F, [part.slope(F, times) for part in self._parts])
        return F.concat(*rows, dim=3)

    def shock(self, F: Namespace, times: Array) -> Optional[Array]:
        rows: List[Any] = [part.shock(F, times) for part in self._parts]
        if all(row is None for row in rows):
            return None
        zeros = (constant(F, times, np.zeros((1, part.size))) for part in self._parts)
        rows = [zero if row is None else row for row, zero in zip(rows, zeros)]
        return F.concat(*on_one_grid(F, rows), dim=3)

    def covariance(self, F: Namespace, times: Array) -> Array:
        return functools.reduce(F.broadcast_add, (p.covariance(F, times) for p in self._parts))


class ProductSDE(LinearSDE):
    """The product of two kernels."""

    def __init__(self, left: LinearSDE, right: LinearSDE) -> None:
        self.size, self._left, self._right = left.size * right.size, left, right

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return kronecker(F, self._left.transition(F, gaps), self._right.transition(F, gaps))

    def process_factor(self, F: Namespace, gaps: Array) -> Optional[Array]:
        left, right = (part.process_factor(F, gaps) for part in (self._left, self._right))
        factors = []
        if left is not None:
            factors.append(kronecker(F, left, constant(F, gaps, np.eye(self._right.size))))
        if right is not None:
            factors.append(kronecker(F, self._left.transition(F, gaps), right))
        if len(factors) < 2:
            return factors[0] if factors else None
        return F.concat(*on_one_grid(F, factors), dim=3)

    def emission(self, F: Namespace, times: Array) -> Array:
        return kronecker(F, self._left.emission(F, times), self._right.emission(F, times))

    def slope(self, F: Namespace, times: Array) -> Array:
        """By the rule of products: F = F₁ ⊗ I + I ⊗ F₂."""
        return self._of_parts(F, times, self._left.slope(F, times), self._right.slope(F, times))

    def shock(self, F: Namespace, times: Array) -> Optional[Array]:
        left, right = (part.shock(F, times) for part in (self._left, self._right))
        return None if left is right is None else self._of_parts(F, times, left, right)

    def _of_parts(
        self, F: Namespace, times: Array, left: Optional[Array], right: Optional[Array]
    ) -> Array:
        """a ⊗ H₂ + H₁ ⊗ b of rows a and b, of which one may be None for 0."""
        found = []
        if left is not None:
            found.append(kronecker(F, left, self._right.emission(F, times)))
        if right is not None:
            found.append(kronecker(F, self._left.emission(F, times), right))
        return functools.reduce(F.broadcast_add, found)

    def covariance(self, F: Namespace, times: Array) -> Array:
        parts = (part.covariance(F, times) for part in (self._left, self._right))
        return functools.reduce(F.broadcast_mul, parts)


def gaps_between(F: Namespace, times: Array) -> Array:
    """t_{i+1} - t_i, and 0 after the last, (B, n, 1)."""
    last = F.slice_axis(times, axis=1, begin=-1, end=None)
    following = F.slice_axis(F.concat(times, last, dim=1), axis=1, begin=1, end=None)
    return following - times


# Arrays (B or 1, n or 1, p, q).


def constant(F: Namespace, like: Array, numbers: np.ndarray) -> Array:
    """A matrix of numbers, (1, 1, p, q), with the dtype and on the device of `like` (B, n, k)."""
    one = ones_like(F, F.slice(like, begin=(0, 0, 0), end=(1, 1, 1)))
    runs = [(value, len(list(run))) for value, run in itertools.groupby(numbers.ravel().tolist())]
    pieces = [F.broadcast_axis(one * value, axis=2, size=count) for value, count in runs]
    row = pieces[0] if len(pieces) == 1 else F.concat(*pieces, dim=2)
    return F.reshape(row, shape=(1, 1, *numbers.shape))


def linear_map(F: Namespace, terms: Array, maps: np.ndarray) -> Array:
    """Σ_k terms_k M_k, (B, n, k) and k matrices (p, q) -> (B, n, p, q)."""
    count, *shape = maps.shape
    flat = F.squeeze(constant(F, terms, maps.reshape(count, -1)), axis=0)
    batch = F.slice(zeros_like(F, terms), begin=(None, 0, 0), end=(None, 1, 1))
    return F.reshape(product(F, terms, F.broadcast_add(flat, batch)), shape=(0, 0, *shape))


def on_one_grid(F: Namespace, arrays: Sequence[Array]) -> List[Array]:
    """The arrays over all batch elements and times that any of them has."""
    corners = [F.slice_axis(F.slice_axis(x, axis=2, begin=0, end=1), axis=3, begin=0, end=1)
               for x in arrays]  # fmt: skip
    grid = functools.reduce(F.broadcast_add, (zeros_like(F, corner) for corner in corners))
    return [F.broadcast_add(array, grid) for array in arrays]


def spread(F: Namespace, array: Array, like: Array) -> Array:
    """An array over all batch elements and times of another."""
    return on_one_grid(F, (array, like))[0]


def block_diagonal(F: Namespace, blocks: Sequence[Any], heights: Sequence[int]) -> Array:
    """Blocks (., ., p_i, q_i), of heights p_i, on the diagonal; None for one without columns."""
    present = [block for block in blocks if block is not None]
    spread_blocks = iter(on_one_grid(F, present))
    grid = [next(spread_blocks) if block is not None else None for block in blocks]
    columns = []
    for index, block in enumerate(grid):
        if block is None:
            continue
        row = F.slice_axis(zeros_like(F, block), axis=2, begin=0, end=1)
        pieces = [block if k == index else F.tile(row, reps=(1, 1, height, 1))
                  for k, height in enumerate(heights)]  # fmt: skip
        columns.append(F.concat(*pieces, dim=2))
    return columns[0] if len(columns) == 1 else F.concat(*columns, dim=3)


def kronecker(F: Namespace, a: Array, b: Array) -> Array:
    """A ⊗ B, the blocks a_ij B."""
    left = F.expand_dims(F.expand_dims(a, axis=3), axis=5)
    right = F.expand_dims(F.expand_dims(b, axis=2), axis=4)
    return F.reshape(F.broadcast_mul(left, right), shape=(0, 0, -3, -3))
