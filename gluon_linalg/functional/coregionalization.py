"""Likelihoods of several outputs on shared inputs: covariances B ⊗ K.

Bonilla, Chai & Williams 2007.
"""

from typing import NamedTuple, Tuple

from ..typing import Array, Dtype, Namespace
from . import lapack
from .augmented_lq import augmented_lq
from .checks import require
from .gaussian import HALF_LOG_2PI
from .matrix import product, symmetrize, transpose
from .tangent import ones_like, stop, zeros_like


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


def by_output(F: Namespace, values: Array) -> Array:
    """(B, n, k) as (B, k n), one output after the other."""
    return F.reshape(transpose(F, values), shape=(0, -3))


def from_outputs(F: Namespace, values: Array, outputs: int) -> Array:
    """(B, k n), one output after the other, as (B, n, k)."""
    return transpose(F, F.reshape(values, shape=(0, outputs, -1)))


def output_rows(F: Namespace, x: Array, outputs: int) -> Array:
    """(B, n, d) as (B, k n, d + 1), with the number of the output in the last column."""
    zeros = zeros_like(F, F.slice_axis(x, axis=2, begin=0, end=1))
    return F.concat(*(F.concat(x, zeros + float(a), dim=2) for a in range(outputs)), dim=1)


def label_indicators(F: Namespace, labels: Array, count: int, name: str) -> Array:
    """1 for the label of each row and 0 for the others, (B, n, 1) -> (B, n, count), a constant.

    Raises ValueError where a label is not one of the numbers 0 to count - 1.
    """
    labels = stop(F, labels)
    holds = (F.round(labels) == labels) * (labels >= 0.0) * (labels <= count - 1.0)
    text = f"{name}: a label is not one of the numbers 0 to {count - 1}."
    each = [labels == float(level) for level in range(count)]
    found = F.concat(*each, dim=2) if len(each) > 1 else each[0]
    return require(F, found, holds, ValueError, text)


def of_labels(
    F: Namespace, values: Array, x: Array, column: int, count: int, dtype: Dtype, name: str
) -> Array:
    """Of k = `count` values in `dtype` the one that the label in `column` of each row names.

    (B or 1, n or 1, k), (B, n, d) -> (B, n).
    """
    end = None if column == -1 else column + 1
    labels = F.cast(F.slice_axis(x, axis=2, begin=column, end=end), dtype=dtype)
    indicators = label_indicators(F, labels, count, name)
    return F.sum(F.broadcast_mul(indicators, values), axis=2)


def _turned_diagonal(F: Namespace, v: Array, column: Array) -> Array:
    """V diag(c) Vᵀ of Vᵀ (B, n, n) and c (B, n, 1)."""
    return product(F, v, F.broadcast_mul(v, column), transpose_a=True)


def _turned_back(F: Namespace, v: Array, a: Array) -> Array:
    """V A Vᵀ of Vᵀ."""
    return product(F, product(F, v, a, transpose_a=True), v)
