"""Cholesky factors after rows of the matrix have come or gone, in n² k operations for k rows."""

from typing import Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..typing import Array, Namespace
from . import lapack
from .augmented_lq import augmented_lq, on_diagonal
from .cholesky import cholesky, cholesky_solve, factor_inverse, triangular_solve
from .matrix import diagonal, product, symmetrize, transpose

# Columns of a factor that are updated at a time.
PANEL = 64


def with_rows(factor: Array, across: Array, corner: Array, name: str) -> Array:
    """The factor of [[A, C], [Cᵀ, D]] from that of A, (B, n, n), (B, n, k), (B, k, k).

    [[L, 0], [Mᵀ, N]] with M = L⁻¹C and N Nᵀ = D - MᵀM. NDArrays, constants. Raises
    NotPositiveDefiniteError.
    """
    F = mx.nd
    moved = triangular_solve(F, factor, across)
    rest = symmetrize(F, corner - product(F, moved, moved, transpose_a=True))
    top = F.concat(factor, F.zeros_like(across), dim=2)
    bottom = F.concat(transpose(F, moved), cholesky(F, rest, name=name), dim=2)
    return F.concat(top, bottom, dim=1)


def without_rows(factor: Array, rows: Sequence[int]) -> Array:
    """The factor of A without its rows and columns `rows`, from that of A, (B, n, n).

    What stands before the first of them stays; behind it the columns that go are a positive
    update of rank k, A_22 = T Tᵀ + V Vᵀ (`with_products`): nothing is subtracted.
    """
    size, first = factor.shape[1], min(rows)
    kept = [i for i in range(size) if i not in set(rows)]
    before, behind = kept[:first], kept[first:]
    if not behind:
        return _taken(_taken(factor, before, axis=1), before, axis=2)
    chosen = _taken(factor, behind, axis=1)
    updated = with_products(_taken(chosen, behind, axis=2), _taken(chosen, sorted(rows), axis=2))
    if not before:
        return updated
    head = _taken(_taken(factor, before, axis=1), before, axis=2)
    left = _taken(chosen, before, axis=2)
    top = mx.nd.concat(head, mx.nd.zeros_like(transpose(mx.nd, left)), dim=2)
    return mx.nd.concat(top, mx.nd.concat(left, updated, dim=2), dim=1)


def with_products(factor: Array, columns: Array) -> Array:
    """The factor of L Lᵀ + V Vᵀ, (B, n, n), (B, n, k), by LQ of panels.

    For a panel [D; P] of L, the rows [V_1; V_2] beside it and G = D⁻¹V_1, with E Eᵀ = I + G Gᵀ
    and C Cᵀ = I + GᵀG from the LQ of [I, G] and [I, Gᵀ]:

        D -> D E,   P -> (P + V_2 Gᵀ) E⁻ᵀ,   V_2 -> (V_2 - P G) C⁻ᵀ.

    Golub & Van Loan, section 6.5.4, in blocks.
    """
    F, size, done = mx.nd, factor.shape[1], []
    for begin in range(0, size, PANEL):
        end = min(begin + PANEL, size)
        panel = F.slice_axis(factor, axis=2, begin=begin, end=end)
        own = F.slice_axis(panel, axis=1, begin=begin, end=end)
        count = end - begin
        ratio = triangular_solve(F, own, F.slice_axis(columns, axis=1, begin=0, end=count))
        left, _, _ = augmented_lq(F, on_diagonal(F, ratio, 1.0), ratio)
        parts = []
        if begin > 0:
            shape = (len(factor), begin, count)
            parts.append(F.zeros(shape, dtype=factor.dtype, ctx=factor.context))
        parts.append(lapack.lower_triangle(F, product(F, own, left)))
        if end < size:
            across = transpose(F, ratio)
            right, _, _ = augmented_lq(F, on_diagonal(F, across, 1.0), across)
            below = F.slice_axis(panel, axis=1, begin=end, end=size)
            others = F.slice_axis(columns, axis=1, begin=count, end=None)
            moved = below + product(F, others, ratio, transpose_b=True)
            parts.append(_over(moved, left))
            columns = _over(others - product(F, below, ratio), right)
        done.append(F.concat(*parts, dim=1) if len(parts) > 1 else parts[0])
    return F.concat(*done, dim=2) if len(done) > 1 else done[0]


def left_out(
    F: Namespace, factor: Array, residual: Array, folds: Optional[Array], name: str
) -> Tuple[Array, Array]:
    """r_i minus its mean given all folds but its own, and its variance then, (B, n) each.

    factor: L of r ~ N(0, A), (B, n, n); residual: r (B, n); folds: the number of the fold of each,
    (n,), or None for one for each. With I the values of a fold these are [A⁻¹]_II⁻¹ [A⁻¹r]_I and
    the diagonal of [A⁻¹]_II⁻¹, blocks of the factorization of A⁻¹ with 0 between folds.
    Rasmussen & Williams, section 5.4.2.
    """
    weights = cholesky_solve(F, factor, F.expand_dims(residual, axis=2))
    precision = factor_inverse(F, factor)
    if folds is None:
        own = diagonal(F, precision)
        return F.squeeze(weights, axis=2) / own, 1.0 / own
    lines, columns = F.reshape(folds, shape=(1, -1, 1)), F.reshape(folds, shape=(1, 1, -1))
    together = F.broadcast_equal(lines, columns)
    blocks = cholesky(F, F.broadcast_mul(precision, together), name=name)
    step = F.squeeze(cholesky_solve(F, blocks, weights), axis=2)
    return step, diagonal(F, factor_inverse(F, blocks))


def row_numbers(rows: object, size: int) -> Tuple[int, ...]:
    """Rows of `size` as whole numbers from 0, each once. Raises IndexError, ValueError."""
    numbers = np.atleast_1d(np.asarray(rows))
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or len(numbers) == 0:
        raise ValueError(f"rows is {rows!r}, expected whole numbers of rows, counted from 0.")
    outside = [int(i) for i in numbers if not -size <= i < size]
    if outside:
        raise IndexError(f"there is no row {outside[0]}: there are {size}, counted from 0.")
    chosen = tuple(sorted({int(i) % size for i in numbers}))
    if len(chosen) != len(numbers):
        raise ValueError(f"rows is {rows!r}, in which a row stands twice.")
    if len(chosen) == size:
        raise ValueError("all rows would go; at least one has to stay.")
    return chosen


def _over(a: Array, factor: Array) -> Array:
    """A L⁻ᵀ."""
    return transpose(mx.nd, triangular_solve(mx.nd, factor, transpose(mx.nd, a)))


def _taken(a: Array, numbers: Sequence[int], axis: int) -> Array:
    return mx.nd.take(a, mx.nd.array(numbers, dtype="int32", ctx=a.context), axis=axis)
