"""Recursions over time in C++ (`source/recursion.cc`).

Arrays are (1, T, B, m, n), where T and B may be 1 for what is the same for all times or for all
batch elements.
"""

from typing import Iterable, List

import mxnet as mx

from ..typing import Array, Namespace
from .library import call


def affine_recursion(
    F: Namespace, matrix: Array, offset: Array, initial: Array, reverse: bool
) -> Array:
    """x_1 = initial, x_{t+1} = Φ_t x_t + c_t, all of x, (1, T, B, d, n), with its gradients.

    matrix Φ: (1, T, B, d, d); offset c: (1, T, B, d, n); initial: (1, 1, B, d, n); reverse: from
    the last time on.
    """
    return call(F, "affine_recursion", matrix, offset, initial, reverse=reverse)


def quadratic_recursion(
    F: Namespace, matrix: Array, offset: Array, initial: Array, reverse: bool
) -> Array:
    """X_1 = initial, X_{t+1} = Φ_t X_t Φ_tᵀ + C_t, as `affine_recursion`."""
    return call(F, "quadratic_recursion", matrix, offset, initial, reverse=reverse)


def corrected_recursion(
    F: Namespace, gain: Array, matrix: Array, target: Array, initial: Array
) -> Array:
    """x_1 = initial, x_{t+1} = W_t (c_t - M_t x_t), all of x, (1, T, B, d, k), constants.

    gain W: (1, T, B, d, n); matrix M: (1, T, B, n, d); target c: (1, T, B, n, k); initial:
    (1, 1, B, d, k).
    """
    return _constants(F, [call(F, "corrected_recursion", gain, matrix, target, initial)])[0]


def square_root_recursion(F: Namespace, matrix: Array, noise: Array, factor: Array) -> List[Array]:
    """L, the columns [Ω; Θ] of Q, Ψ and S of the square-root filter, constants.

    matrix M: (1, T, B, p + d, d); noise N = diag(D, G): (1, T, B, p + d, p + r); factor S:
    (1, 1, B, d, d). With [M S  N] = L Q: L (1, T, B, p + d, p + d), the first d columns of Q
    (1, T, B, p + d, d), what completes them to orthonormal columns, (1, T, B, d + p + r, d), and S
    (1, T, B, d, d), which is the last block of L of the time before.
    """
    return _constants(F, call(F, "square_root_recursion", matrix, noise, factor))


def covariance_recursion(
    F: Namespace, matrix: Array, covariance: Array, prior: Array
) -> List[Array]:
    """F½, K̄ and P of the filter by P itself, constants; NaN from where F is not positive.

    matrix M: (1, T, B, p + d, d); covariance N Nᵀ: (1, T, B, p + d, p + d); prior: (1, 1, B, d, d).
    Results (1, T, B, p, p), (1, T, B, d, p) and (1, T, B, d, d).
    """
    return _constants(F, call(F, "covariance_recursion", matrix, covariance, prior))


def _constants(F: Namespace, results: Iterable[Array]) -> List[Array]:
    """Results that are not differentiated: a graph refuses operators without a gradient."""
    return [result.detach() if F is mx.nd else F.BlockGrad(result) for result in results]
