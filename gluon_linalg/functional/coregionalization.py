"""Likelihoods of several outputs on shared inputs: covariances B ⊗ K.

Bonilla, Chai & Williams 2007.
"""

from typing import NamedTuple, Tuple

from ..typing import Array, Namespace
from . import lapack
from .augmented_lq import augmented_lq
from .gaussian import HALF_LOG_2PI
from .matrix import product, symmetrize, transpose
from .tangent import ones_like, stop


class KroneckerSpectrum(NamedTuple):
    """B ⊗ K = (U ⊗ V)(Λ ⊗ M)(U ⊗ V)ᵀ, constants."""

    inputs: Array  # Vᵀ, eigenvectors of K in rows, (B, n, n)
    outputs: Array  # U, eigenvectors of B in columns, (B, k, k)
    input_values: Array  # the diagonal of M, (B, n)
    output_values: Array  # the diagonal of Λ, (B, k)
    shrinkage: Array  # 1/(1 + μ_i λ_a), (B, n, k)


def coregionalization_factor(F: Namespace, mixing: Array, deviation: Array) -> Array:
    """C with W Wᵀ + diag(δ²) = C Cᵀ from the LQ of [diag(δ), W], a constant.

    mixing: W (B, k, r); deviation: δ (B, k). The sum is never formed.
    """
    factor, _, _ = augmented_lq(F, stop(F, deviation), stop(F, mixing))
    return factor


def kronecker_spectrum(F: Namespace, covariance: Array, factor: Array) -> KroneckerSpectrum:
    """The spectrum of C Cᵀ ⊗ K for K (B, n, n) and C (1, k, k).

    Eigenvalues of C Cᵀ are squares of singular values of C. Those of K below 0 are rounding.
    """
    v, values = lapack.syevd(F, stop(F, covariance))
    one = ones_like(
        F, F.slice_axis(F.slice_axis(v, axis=1, begin=0, end=1), axis=2, begin=0, end=1)
    )
    u, singular, _ = lapack.gesvd(F, F.broadcast_mul(stop(F, factor), one))
    inputs, outputs = F.relu(values), F.square(singular)
    products = product(F, F.expand_dims(inputs, axis=2), F.expand_dims(outputs, axis=1))
    parts = (v, u, inputs, outputs, 1.0 / (1.0 + products))
    return KroneckerSpectrum(*(stop(F, part) for part in parts))


def kronecker_adjoint(
    F: Namespace, spectrum: KroneckerSpectrum, residual: Array
) -> Tuple[Array, Array, Array, Array]:
    """φ = -log N(vec R | 0, B ⊗ K + I) of R (B, n, k), and its derivatives, all constants.

    φ (B,), ∂φ/∂R = α (B, n, k), ∂φ/∂K (B, n, n) and ∂φ/∂B (B, k, k), with Z = VᵀR U and
    S_ia = 1/(1 + μ_i λ_a):

        φ = ½ Σ (Z² S - log S + log 2π),   α = V (Z S) Uᵀ,
        ∂φ/∂K = ½ (V diag(S λ) Vᵀ - α B αᵀ),   ∂φ/∂B = ½ (U diag(Sᵀμ) Uᵀ - αᵀK α).
    """
    v, u, inputs, outputs, shrinkage = spectrum
    turned = product(F, product(F, v, stop(F, residual)), u)
    shrunk = turned * shrinkage
    each = turned * shrunk - F.log(shrinkage)
    value = F.sum(0.5 * each + HALF_LOG_2PI, axis=(1, 2))
    weights = product(F, product(F, v, shrunk, transpose_a=True), u, transpose_b=True)
    by_input = product(F, shrinkage, F.expand_dims(outputs, axis=2))
    by_output = product(F, shrinkage, F.expand_dims(inputs, axis=2), transpose_a=True)
    # α B αᵀ and αᵀK α in the eigenvectors: no (n, n) product more than is needed.
    moved_k = F.broadcast_mul(shrunk, F.expand_dims(F.sqrt(outputs), axis=1))
    moved_b = F.broadcast_mul(shrunk, F.expand_dims(F.sqrt(inputs), axis=2))
    inner_k = product(F, moved_k, moved_k, transpose_b=True)
    inner_b = product(F, moved_b, moved_b, transpose_a=True)
    adjoint_k = 0.5 * (_turned_diagonal(F, v, by_input) - _turned_back(F, v, inner_k))
    rows = transpose(F, u)
    adjoint_b = 0.5 * (_turned_diagonal(F, rows, by_output) - _turned_back(F, rows, inner_b))
    found = (value, weights, symmetrize(F, adjoint_k), symmetrize(F, adjoint_b))
    return tuple(stop(F, a) for a in found)  # type: ignore[return-value]


def _turned_diagonal(F: Namespace, v: Array, column: Array) -> Array:
    """V diag(c) Vᵀ of Vᵀ (B, n, n) and c (B, n, 1)."""
    return product(F, v, F.broadcast_mul(v, column), transpose_a=True)


def _turned_back(F: Namespace, v: Array, a: Array) -> Array:
    """V A Vᵀ of Vᵀ."""
    return product(F, product(F, v, a, transpose_a=True), v)
