"""Processes of a value and its derivatives: Matérn kernels, and the RBF kernel by a chain."""

import functools
import math
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..typing import Array, Namespace
from .linear_sde import LinearSDE, constant, linear_map, spread
from .matrix import product
from .matrix_exponential import UNSEEN, factor_of_noise, matrix_exponential
from .rbf_chains import RBF_CHAINS
from .tangent import ones_like, stop, with_gradient

# Where the Kalman gain of Matérn gaps is as of independent points: exp(-x) is 0.
LONGEST = 1000.0
# Up to which 2 h the moments of `_moments` are a series, of so many terms.
SERIES, TERMS = 4.0, 40


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

    def slope(self, F: Namespace, times: Array) -> Array:
        return self._of_rate(F, times, self._drift[:1])

    def shock(self, F: Namespace, times: Array) -> Optional[Array]:
        # Noise enters the last state alone.
        if self.size > 1:
            return None
        return self._of_rate(F, times, np.full((1, 1), 2.0 * self._damping))

    def _of_rate(self, F: Namespace, times: Array, row: np.ndarray) -> Array:
        rate = F.expand_dims(F.expand_dims(self._rate, axis=2), axis=3)
        return F.broadcast_mul(constant(F, times, row), rate)

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
