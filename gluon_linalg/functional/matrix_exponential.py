"""Exponentials of any square matrices, and linear stochastic differential equations at times apart.

    dx = F x dt + L dβ,  β of unit diffusion:   x(t + h) = A x(t) + η,  η ~ N(0, Q),
    A = exp(F h),   Q = ∫_0^h exp(F s) L Lᵀ exp(F s)ᵀ ds

(Van Loan 1978; Särkkä & Solin 2019, section 6.2). The graph is one for all numbers: of a fixed
number of squarings each matrix takes those that it needs. Arrays are (B, n, d, d).
"""

import math
from typing import Any, List, Tuple

from ..errors import NonFiniteError
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, require
from .matrix import congruence, identity_like, magnitude, product, symmetrize
from .tangent import stop, zeros_like

# A matrix is halved until its rows sum to at most this; then so many terms of the series do.
SMALL, TERMS, COVARIANCE_TERMS = 0.5, 16, 19
# Of the column that carries the gradient of a covariance, relative to the diffusion: its own
# variance, 2^-120, is never seen beside another one.
UNSEEN = 2.0**-60


def matrix_exponential(
    F: Namespace, a: Array, squarings: int = 16, name: str = "MatrixExponential"
) -> Array:
    """exp(A), (B, n, d, d), by scaling and squaring (Higham 2008, section 10.3), differentiable.

    squarings: at most so many; the rows of A may sum to 2^squarings / 2 in absolute value.
    Raises NonFiniteError for NaN and for larger matrices.
    """
    a, count = _halved(F, a, squarings, name)
    return _squared(F, _series(F, a), count, squarings)


def discretized(
    F: Namespace,
    drift: Array,
    diffusion: Array,
    gaps: Array,
    squarings: int = 16,
    name: str = "Discretized",
) -> Tuple[Array, Array]:
    """(A, G) with Q = G Gᵀ, (B, n, d, d) and (B, n, d, 2 d), for Kalman layers, differentiable.

    drift F: (B or 1, n or 1, d, d); diffusion L: (B or 1, n or 1, d, r), of any rank; gaps h >= 0:
    (B, n, 1). squarings: as in `matrix_exponential`, of F h. A constant input u, dx = (F x + u) dt,
    is another state that stays 1.

    The first d columns of G are a lower factor of Q, found without Q (`factor_of_noise`), and
    constant. The gradient is that of Q, and comes through d columns c = u I, too small to be seen,
    with δc = δQ / (2 u): so a Q of any rank has it, also where h = 0. As in all Kalman layers only
    functions of G Gᵀ have a gradient in G that means anything.
    """
    transition, covariance = transition_and_covariance(F, drift, diffusion, gaps, squarings, name)
    fixed = (stop(F, drift), stop(F, diffusion), stop(F, gaps))
    factor = factor_of_noise(F, *fixed, squarings, name)
    unit = magnitude(F, diffusion, axis=(2, 3)) * UNSEEN
    column = F.broadcast_mul(identity_like(F, covariance), unit)
    change = F.broadcast_div(covariance - stop(F, covariance), 2.0 * unit)
    return transition, F.concat(factor, column + change, dim=3)


def transition_and_covariance(
    F: Namespace,
    drift: Array,
    diffusion: Array,
    gaps: Array,
    squarings: int = 16,
    name: str = "Discretized",
) -> Tuple[Array, Array]:
    """(A, Q), (B, n, d, d) each, as in `discretized`.

    Q by Q(2 h) = Q(h) + A(h) Q(h) A(h)ᵀ, a sum of what is positive: without the exponential of
    -F h, by which Van Loan's block matrix overflows for long gaps.
    """
    a, share, count = _short(F, drift, gaps, squarings, name)
    noise = product(F, diffusion, diffusion, transpose_b=True)
    covariance = term = F.broadcast_mul(noise, share)
    for k in range(2, COVARIANCE_TERMS + 1):
        term = 2.0 / k * symmetrize(F, product(F, a, term), axes=4)
        covariance = covariance + term
    transition = _series(F, a)
    for k in range(squarings):
        doubled = covariance + symmetrize(F, congruence(F, transition, covariance), axes=4)
        covariance = _where(F, count > k, doubled, covariance)
        transition = _where(F, count > k, product(F, transition, transition), transition)
    return transition, covariance


def factor_of_noise(
    F: Namespace,
    drift: Array,
    diffusion: Array,
    gaps: Array,
    squarings: int = 16,
    name: str = "Discretized",
) -> Array:
    """A lower G with Q = G Gᵀ, a constant (B, n, d, d), as in `discretized`.

    For a short h, exp(F s) L is a polynomial in s, with coefficients V_j / h^j, and
    Q = h Σ_jk V_j V_kᵀ / (j + k + 1): the factor of that Hilbert matrix is known (shifted Legendre
    polynomials), without a difference. Then G(2 h) is the factor of [G(h), A(h) G(h)], by LQ. So
    G keeps what Q, whose eigenvalues are as h, h³, h⁵, ..., cannot hold.
    """
    a, share, count = _short(F, drift, gaps, squarings, name)
    columns: List[Any] = [0.0] * TERMS
    term = F.broadcast_mul(diffusion, F.sqrt(share))
    for j in range(TERMS):
        for k in range(j + 1):
            columns[k] = columns[k] + term * _hilbert_factor(j, k)
        term = product(F, a, term) * (1.0 / (j + 1))
    factor = F.concat(*columns, zeros_like(F, a), dim=3)
    factor, transition = _lower(F, factor), _series(F, a)
    for k in range(squarings):
        doubled = F.concat(factor, product(F, transition, factor), dim=3)
        factor = _where(F, count > k, _lower(F, doubled), factor)
        transition = _where(F, count > k, product(F, transition, transition), transition)
    return stop(F, factor)


def _short(
    F: Namespace, drift: Array, gaps: Array, squarings: int, name: str
) -> Tuple[Array, Array, Array]:
    """F h and h, (B, n, 1, 1), of gaps that are halved `count` times, and count."""
    gaps = F.expand_dims(gaps, axis=3)
    a, count = _halved(F, F.broadcast_mul(drift, gaps), squarings, name)
    return a, F.broadcast_mul(gaps, 2.0**-count), count


def _halved(F: Namespace, a: Array, squarings: int, name: str) -> Tuple[Array, Array]:
    """A / 2^count, and count, (B, n, 1, 1), so that rows sum to at most SMALL."""
    size = F.max(F.sum(F.abs(stop(F, a)), axis=3, keepdims=True), axis=2, keepdims=True)
    holds = finite(F, size) * (size <= SMALL * 2.0**squarings)
    a = require(
        F,
        a,
        holds,
        NonFiniteError,
        f"{name}: a matrix to be exponentiated has NaN or infinity, or its rows sum to more than "
        f"{SMALL * 2.0**squarings:g} in absolute value (choose another unit of time, or more "
        "squarings)",
        axes=4,
    )
    count = F.ceil(F.log2(F.maximum(size / SMALL, 1.0)))
    count = stop(F, F.where(finite(F, size), F.minimum(count, squarings), zeros_like(F, size)))
    return F.broadcast_mul(a, 2.0**-count), count


def _series(F: Namespace, a: Array) -> Array:
    """Σ_{j < TERMS} A^j / j!, in powers of A⁴ (Paterson & Stockmeyer 1973)."""
    second = product(F, a, a)
    powers = [identity_like(F, a), a, second, product(F, second, a)]
    fourth = product(F, second, second)
    total: Any = None
    for begin in range(TERMS - 4, -1, -4):
        block: Any = 0.0
        for j, power in enumerate(powers, start=begin):
            block = block + power * (1.0 / math.factorial(j))
        total = block if total is None else block + product(F, fourth, total)
    return total


def _squared(F: Namespace, a: Array, count: Array, squarings: int) -> Array:
    """A to the power of 2^count, each its own."""
    for k in range(squarings):
        a = _where(F, count > k, product(F, a, a), a)
    return a


def _where(F: Namespace, holds: Array, a: Array, b: Array) -> Array:
    """a where `holds`, (B, n, 1, 1), is 1, else b."""
    return F.where(F.broadcast_add(holds, zeros_like(F, a)), a, b)


def _lower(F: Namespace, wide: Array) -> Array:
    """L (B, n, d, d) of A = L Q, a constant; the signs of its diagonal are arbitrary."""
    return stop(F, lapack.gelqf(F, stop(F, wide))[1])


def _hilbert_factor(j: int, k: int) -> float:
    """Element (j, k), j >= k, of the lower factor of the matrix 1 / (j + k + 1): above 0."""
    factorial = math.factorial
    ratio = factorial(j) ** 2 / (factorial(j - k) * factorial(j + k + 1))
    return math.sqrt(2 * k + 1) * ratio
