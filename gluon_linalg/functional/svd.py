"""Thin singular value decomposition."""

from typing import Tuple

from ..errors import NonFiniteError
from ..native import applies, spectra
from ..typing import Array, Namespace
from . import lapack
from .checks import finite, require, require_number
from .eigen import not_finite, reciprocal_above, row_signs, tie_bound
from .matrix import diagonal, product, transpose
from .tangent import stop


def svd(
    F: Namespace, a: Array, tall: bool = False, name: str = "SVD"
) -> Tuple[Array, Array, Array]:
    """(U, s, V) with A = U diag(s) V, s >= 0 descending, UᵀU = V Vᵀ = I (LAPACK gesvd).

    a: (B, m, n) -> U: (B, m, k), s: (B, k), V: (B, k, n), k = min(m, n): m <= n, or m >= n with
    `tall`. The element of largest magnitude of each row of V is positive (`row_signs`). Every s_i
    is accurate to a few ε s_max: relative to itself a small one is not. With C = Uᵀ dA Vᵀ in its
    symmetric and antisymmetric parts S and N the gradient is that of

        ds_i = C_ii
        dU = U Ω,                                   Ω_ij = S_ij / (s_j - s_i) + N_ij / (s_j + s_i)
        dV = Ψ V + diag(1/s) Uᵀ dA (I - VᵀV),       Ψ_ij = S_ij / (s_i - s_j) + N_ij / (s_j + s_i)

    and for tall matrices that of the transpose. Each term whose denominator is at most
    64 ε s_max is left out: the vectors of equal or vanishing singular values are not unique.
    Raises NonFiniteError. Townsend 2016, Differentiating the singular value decomposition.
    """
    if applies(F, a):
        first, s, second = spectra.svd(F, a, tall)
        require_number(F, s, NonFiniteError, not_finite(name))
        return first, s, second
    wide = transpose(F, a) if tall else a
    left, s, right = singular_vectors(F, wide, name)
    sign = row_signs(F, transpose(F, left) if tall else right)
    left = F.broadcast_mul(left, F.expand_dims(sign, axis=1))
    right = F.broadcast_mul(right, F.expand_dims(sign, axis=2))
    column, row, bound = F.expand_dims(s, axis=2), F.expand_dims(s, axis=1), tie_bound(F, s)
    over_difference = reciprocal_above(F, F.broadcast_sub(row, column), bound)
    over_sum = reciprocal_above(F, F.broadcast_add(row, column), bound)
    inverse = reciprocal_above(F, column, bound)

    # 0, with the gradient of `wide`.
    increment = wide - stop(F, wide)
    half = product(F, left, increment, transpose_a=True)
    moved = product(F, half, right, transpose_b=True)
    mirrored = transpose(F, moved)
    symmetric = over_difference * (0.5 * (moved + mirrored))
    antisymmetric = over_sum * (0.5 * (moved - mirrored))
    outside = F.broadcast_mul(half - product(F, moved, right), inverse)
    left = left + product(F, left, antisymmetric + symmetric)
    right = right + product(F, antisymmetric - symmetric, right) + outside
    s = s + diagonal(F, moved)
    return (transpose(F, right), s, transpose(F, left)) if tall else (left, s, right)


def singular_vectors(F: Namespace, wide: Array, name: str) -> Tuple[Array, Array, Array]:
    """(U, s, V) as LAPACK gives them, constants, of a finite matrix."""
    is_finite = finite(F, wide)
    left, s, right = lapack.gesvd(F, wide)
    text = not_finite(name)
    return (
        require(F, left, is_finite, NonFiniteError, text),
        require(F, s, is_finite, NonFiniteError, text, axes=2),
        require(F, right, is_finite, NonFiniteError, text),
    )
