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
import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..typing import Array, Namespace, hook
from .matrix import product, transpose
from .matrix_exponential import UNSEEN, factor_of_noise, matrix_exponential
from .quadrature import even_nodes
from .rbf_chains import RBF_CHAINS
from .tangent import ones_like, stop, with_gradient, zeros_like

# Where the Kalman gain of Matérn gaps is as of independent points: exp(-x) is 0.
LONGEST = 1000.0
# Up to which 2 h the moments of `_moments` are a series, of so many terms.
SERIES, TERMS = 4.0, 40
# Points of the integrals that give the weights of harmonics, and what is added to their squares.
NODES, NEGLIGIBLE = 256, 1e-30


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


class Chain(LinearSDE):
    """A process whose d states are its value and its derivatives, made orthonormal.

    F has `couplings` c above and -c below its diagonal, and -damping in its last place, where all
    noise enters, L = √(2 damping) e_d: the normal form of Schwarz, of any process without zeros
    in its spectral density. rate: the reciprocal of the unit of time, (B or 1, 1).

    The gradient by the gap is that of Q alone, dQ/dh = φ φᵀ with φ = exp(F h) L, and comes through
    a column u φ of G, too small to be seen, with the derivative φ / (2 u): exact also where h = 0.
    """

    def __init__(self, couplings: Sequence[float], damping: float, rate: Array) -> None:
        self.size = len(couplings) + 1
        self._damping, self._rate = damping, rate
        above = np.diag(couplings, 1) if couplings else np.zeros((1, 1))
        self._drift = above - above.T
        self._drift[-1, -1] = -damping

    def emission(self, F: Namespace, times: Array) -> Array:
        return constant(F, times, np.eye(1, self.size))

    def transition(self, F: Namespace, gaps: Array) -> Array:
        gaps = self._scaled(F, gaps)
        value = self._exponential(F, stop(F, gaps))
        drift = spread(F, constant(F, gaps, self._drift), value)
        change = F.expand_dims(gaps - stop(F, gaps), axis=3)
        linear = F.broadcast_mul(stop(F, product(F, value, drift)), change)
        return with_gradient(F, value, linear)

    def process_factor(self, F: Namespace, gaps: Array) -> Array:
        gaps = self._scaled(F, gaps)
        fixed = stop(F, gaps)
        transition = self._exponential(F, fixed)
        impulse = F.slice_axis(transition, axis=3, begin=self.size - 1, end=None)
        impulse = stop(F, impulse) * (UNSEEN * math.sqrt(2.0 * self._damping))
        change = (gaps - fixed) * (0.5 / UNSEEN**2)
        column = impulse + F.broadcast_mul(impulse, F.expand_dims(change, axis=3))
        return F.concat(self._noise_factor(F, fixed), column, dim=3)

    def _scaled(self, F: Namespace, gaps: Array) -> Array:
        """Gaps in units of time of the chain, cut off where nothing is remembered."""
        gaps = F.broadcast_mul(gaps, F.expand_dims(self._rate, axis=2))
        return F.minimum(gaps, self._longest())

    def _longest(self) -> float:
        return _memory(tuple(np.diag(self._drift, 1)), self._damping)

    def _exponential(self, F: Namespace, gaps: Array) -> Array:
        """A of scaled gaps, a constant."""
        drift = F.broadcast_mul(constant(F, gaps, self._drift), F.expand_dims(gaps, axis=3))
        return stop(F, matrix_exponential(F, drift, self._squarings()))

    def _noise_factor(self, F: Namespace, gaps: Array) -> Array:
        """G of scaled gaps, a constant."""
        drift = constant(F, gaps, self._drift)
        noise = np.zeros((self.size, 1))
        noise[-1] = math.sqrt(2.0 * self._damping)
        return factor_of_noise(F, drift, constant(F, gaps, noise), gaps, self._squarings())

    def _squarings(self) -> int:
        largest = np.abs(self._drift).sum(axis=1).max() * self._longest()
        return max(1, math.ceil(math.log2(2.0 * largest)))


class Matern(Chain):
    """variance 1, of order d - ½: (d = 1 to 4), in closed form.

    With N = F + I, which is nilpotent, exp(F h) = exp(-h) Σ_k N^k h^k / k!. So Q is that of the
    moments m_k = ∫_0^h s^k exp(-2 s) ds, of which `_moments` has all digits, and so G has, whose
    rows are as h^½, h^(3/2) and so on.
    """

    # Couplings and damping in units of 1 / rate, rate = √(2 ν) / lengthscale.
    CHAINS: Dict[int, Tuple[Tuple[float, ...], float]] = {
        1: ((), 1.0),
        2: ((1.0,), 2.0),
        3: ((3.0**-0.5, (8.0 / 3.0) ** 0.5), 3.0),
        4: ((0.2**0.5, 0.8**0.5, 5.0**0.5), 4.0),
    }

    def __init__(self, size: int, rate: Array) -> None:
        couplings, damping = self.CHAINS[size]
        super().__init__(couplings, damping, rate)
        nilpotent = self._drift + np.eye(size)
        self._powers = [np.eye(size)]
        for k in range(1, size):
            self._powers.append(self._powers[-1] @ nilpotent / k)

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return self._series(F, self._scaled(F, gaps))

    def _longest(self) -> float:
        return LONGEST

    def _exponential(self, F: Namespace, gaps: Array) -> Array:
        return stop(F, self._series(F, gaps))

    def _series(self, F: Namespace, gaps: Array) -> Array:
        decay = F.exp(-gaps)
        # Not gaps**0, which has the derivative NaN at 0.
        powers = [decay, *(decay * gaps**k for k in range(1, self.size))]
        terms = F.concat(*powers, dim=2)
        return linear_map(F, terms, np.stack(self._powers))

    def _noise_factor(self, F: Namespace, gaps: Array) -> Array:
        d = self.size
        moments = _moments(F, gaps, 2 * d - 2)
        lower = _cholesky(F, [[moments[i + j] for j in range(i + 1)] for i in range(d)])
        entries, maps = [], []
        for i, row in enumerate(lower):
            for j, entry in enumerate(row):
                entries.append(entry * gaps**i)
                maps.append(np.zeros((d, d)))
                maps[-1][:, j] = self._powers[i][:, -1] * math.sqrt(2.0 * self._damping)
        terms = F.broadcast_mul(F.concat(*entries, dim=2), F.sqrt(gaps))
        return stop(F, linear_map(F, terms, np.stack(maps)))


def rbf_chain(order: int, rate: Array) -> Chain:
    """The RBF kernel of variance 1, by `order` states: `rbf_chains`."""
    couplings, _ = RBF_CHAINS[order]
    return Chain(couplings[:-1], couplings[-1], rate)


class Features(LinearSDE):
    """k(s, t) = φ(s)ᵀ φ(t), d features whose weights stay as they are: A = I, no noise, H = φ."""

    def __init__(self, size: int, features: Callable[[Namespace, Array], Array]) -> None:
        self.size, self._features = size, features

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return constant(F, gaps, np.eye(self.size))

    def emission(self, F: Namespace, times: Array) -> Array:
        return F.expand_dims(self._features(F, times), axis=2)

    def covariance(self, F: Namespace, times: Array) -> Array:
        features = self._features(F, times)
        return product(F, features, features, transpose_b=True)


def cosine_features(period: Array) -> Features:
    """cos(2π (s - t) / period), of a period (B or 1, 1)."""

    def features(F: Namespace, times: Array) -> Array:
        angle = _angle(F, times, period)
        return F.concat(F.cos(angle), F.sin(angle), dim=2)

    return Features(2, features)


def periodic_features(order: int, lengthscale: Array, period: Array) -> Features:
    """exp(-2 sin²(π (s - t) / period) / lengthscale²), by its harmonics up to `order` (B or 1, 1).

    Σ_j q_j² cos(2π j (s - t) / period) with q_j² = 2 I_j(z) e^-z, half of it for j = 0, and
    z = 1 / lengthscale² (Solin & Särkkä 2014, equation 26). All q_j² are positive and their sum is
    1, so what is left out is largest at s = t (`periodic_error`).
    """

    def features(F: Namespace, times: Array) -> Array:
        weights = _harmonics(F, times, order, lengthscale)
        parts = [F.slice_axis(weights, axis=2, begin=0, end=1)]
        parts[0] = F.broadcast_add(parts[0], zeros_like(F, times))
        angle = _angle(F, times, period)
        for j in range(1, order + 1):
            weight = F.slice_axis(weights, axis=2, begin=j, end=j + 1)
            parts += [F.broadcast_mul(wave(j * angle), weight) for wave in (F.cos, F.sin)]
        return F.concat(*parts, dim=2)

    return Features(2 * order + 1, features)


def periodic_error(order: int, lengthscale: float) -> float:
    """What `periodic_features` leaves out at most, of a variance of 1."""
    angle = (np.arange(NODES) + 0.5) * (np.pi / NODES)
    density = np.exp((np.cos(angle) - 1.0) / lengthscale**2) / NODES
    waves = 1.0 + 2.0 * sum(np.cos(j * angle) for j in range(1, order + 1))
    return max(0.0, 1.0 - float((waves * density).sum()))


def polynomial_features(degree: int, offset: Array, lengthscale: Array) -> Features:
    """(s t / lengthscale² + offset)^degree, of (B or 1, 1): the binomial series."""

    def features(F: Namespace, times: Array) -> Array:
        scaled = F.broadcast_div(times, F.expand_dims(lengthscale, axis=2))
        root = F.expand_dims(F.sqrt(offset), axis=2)
        up, down = [ones_like(F, scaled)], [ones_like(F, root)]
        for _ in range(degree):
            up.append(up[-1] * scaled)
            down.append(down[-1] * root)
        weight = [math.factorial(degree) / math.factorial(k) / math.factorial(degree - k)
                  for k in range(degree + 1)]  # fmt: skip
        parts = (F.broadcast_mul(up[k], down[degree - k]) * math.sqrt(w)
                 for k, w in enumerate(weight))  # fmt: skip
        return F.concat(*parts, dim=2)

    return Features(degree + 1, features)


class WhiteNoise(LinearSDE):
    """Of variance 1 at each time, independent of all others, also of those at the same time."""

    size = 1

    def transition(self, F: Namespace, gaps: Array) -> Array:
        return constant(F, gaps, np.zeros((1, 1)))

    def process_factor(self, F: Namespace, gaps: Array) -> Array:
        return constant(F, gaps, np.ones((1, 1)))

    def emission(self, F: Namespace, times: Array) -> Array:
        return constant(F, times, np.ones((1, 1)))

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
        deviation = F.expand_dims(F.expand_dims(F.sqrt(self._variance), axis=2), axis=3)
        return F.broadcast_mul(self._part.emission(F, times), deviation)

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


def _angle(F: Namespace, times: Array, period: Array) -> Array:
    """2π t / period, less whole turns."""
    turns = F.broadcast_div(times, F.expand_dims(period, axis=2))
    return 2.0 * math.pi * (turns - F.floor(stop(F, turns)))


def _harmonics(F: Namespace, like: Array, order: int, lengthscale: Array) -> Array:
    """The q_j, j = 0 ... order, (B or 1, 1, order + 1), by the midpoint rule: exact here."""
    one = F.slice(ones_like(F, like), begin=(0, 0, 0), end=(1, 1, 1))
    angle = math.pi * even_nodes(F, F.squeeze(one, axis=2), NODES)
    numbers = F.squeeze(constant(F, one, np.arange(order + 1.0)[:, None]), axis=0)
    waves = F.cos(F.broadcast_mul(numbers, angle))
    inverse = F.expand_dims(1.0 / F.square(lengthscale), axis=2)
    density = F.exp(F.broadcast_mul(F.cos(angle) - 1.0, inverse))
    sums = F.sum(F.broadcast_mul(waves, density), axis=2) * (2.0 / NODES)
    halves = F.squeeze(constant(F, one, np.array([[0.5] + [1.0] * order])), axis=0)
    squares = F.broadcast_mul(F.expand_dims(sums, axis=1), halves)
    # Rounding may leave less than 0 of a weight that is as good as 0.
    return F.sqrt(F.relu(squares) + NEGLIGIBLE)


def _moments(F: Namespace, gaps: Array, highest: int) -> List[Array]:
    """m_k / h^(k+1), m_k = ∫_0^h s^k exp(-2 s) ds, k = 0 ... highest, to all digits.

    The incomplete gamma function, for the highest k by a series of positive terms or, beyond, by
    its closed form; the others by k m_(k-1) = 2 m_k + h^k exp(-2 h), sums of positive numbers.
    """
    z, k = 2.0 * gaps, highest
    short, long = F.minimum(z, SERIES), F.maximum(z, SERIES)
    series = ones_like(F, z)
    for j in range(TERMS, 0, -1):
        series = 1.0 + series * short * (1.0 / (k + 1 + j))
    series = series * F.exp(-short) * (1.0 / (k + 1))
    rest = sum((long**j * (1.0 / math.factorial(j)) for j in range(1, k + 1)), ones_like(F, z))
    closed = (1.0 - F.exp(-long) * rest) * float(math.factorial(k)) / long ** (k + 1)
    found = [F.where(z < SERIES, series, closed)]
    for j in range(highest, 0, -1):
        found.insert(0, (z * found[0] + F.exp(-z)) * (1.0 / j))
    return found


def _cholesky(F: Namespace, rows: List[List[Array]]) -> List[List[Array]]:
    """The lower factor of small matrices, given by the entries of their lower triangle."""
    lower: List[List[Array]] = []
    for i, row in enumerate(rows):
        own: List[Array] = []
        for j, entry in enumerate(row):
            other = own if i == j else lower[j]
            for k in range(j):
                entry = entry - own[k] * other[k]
            own.append(F.sqrt(entry) if i == j else entry / lower[j][j])
        lower.append(own)
    return lower


@functools.lru_cache(maxsize=None)
def _memory(couplings: Tuple[float, ...], damping: float) -> float:
    """A gap after which a chain has forgotten its state, to 1e-20."""
    drift = np.diag(couplings, 1) if couplings else np.zeros((1, 1))
    drift = drift - drift.T
    drift[-1, -1] = -damping
    values, vectors = np.linalg.eig(drift)
    size = np.linalg.cond(vectors) * 1e20
    return float(math.log(size) / -values.real.max())
