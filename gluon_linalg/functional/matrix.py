"""Products and rearrangements of batches of matrices `(B, m, n)`.

F is `mxnet.nd` or `mxnet.sym`: nothing here reads a shape or a dtype.
"""

from typing import Tuple, Union

from ..typing import Array, Namespace
from . import lapack
from .tangent import ones_like, stop, with_gradient


def product(
    F: Namespace, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False
) -> Array:
    """C = op(A) op(B), shapes (B, m, k) and (B, k, n) -> (B, m, n).

    `batch_dot` and never `linalg.gemm2`/`linalg.gemm`: with static allocation those lose all but
    the last contribution to the gradient of an array that is used eight times or more.
    """
    return F.batch_dot(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def transpose(F: Namespace, a: Array, axes: int = 3) -> Array:
    """Aᵀ, (B, m, n) -> (B, n, m), or of arrays with so many axes: the last two change places."""
    return F.transpose(a, axes=(*range(axes - 2), axes - 1, axes - 2))


def symmetrize(F: Namespace, a: Array, axes: int = 3) -> Array:
    """½(A + Aᵀ), (B, n, n) or with so many axes: bitwise symmetric."""
    return 0.5 * (a + transpose(F, a, axes))


def congruence(F: Namespace, b: Array, x: Array) -> Array:
    """B X Bᵀ, (B, m, n) and (B, n, n) -> (B, m, m), also with more leading axes."""
    return product(F, product(F, b, x), b, transpose_b=True)


def column_squares(F: Namespace, a: Array) -> Array:
    """Σ_i a_ij², (B, m, n) -> (B, n), by a product: MXNet's sums are slow but along last axes."""
    ones = ones_like(F, F.slice_axis(a, axis=2, begin=0, end=1))
    return F.reshape(product(F, ones, F.square(a), transpose_a=True), shape=(0, -1))


def kronecker(F: Namespace, a: Array, b: Array) -> Array:
    """A ⊗ B, the blocks a_ij B, (B, k, l) and (B, m, n) -> (B, k m, l n); a batch of 1 serves all.

    The covariance of several outputs on shared inputs (Bonilla, Chai & Williams 2007).
    """
    left = F.expand_dims(F.expand_dims(a, axis=2), axis=4)
    right = F.expand_dims(F.expand_dims(b, axis=1), axis=3)
    return F.reshape(F.broadcast_mul(left, right), shape=(0, -3, -3))


def mirror_lower(F: Namespace, a: Array) -> Array:
    """The symmetric matrix whose lower triangle is A's, (B, n, n), with a symmetric gradient."""
    lower = lapack.lower_triangle(F, a)
    diagonal_part = diagonal_matrix(F, diagonal(F, a))
    mirrored = lower + transpose(F, lower) - diagonal_part
    return with_gradient(F, mirrored, symmetrize(F, a))


def with_axis(F: Namespace, x: Array, axis: int) -> Array:
    """x with one more axis of size 1: `expand_dims` without oneDNN (`recursion.for_each`)."""
    return F.stack(x, axis=axis)


def counted(F: Namespace, x: Array, axis: int) -> Array:
    """0, 1, ..., n - 1 in the dtype of x, a constant, for an axis of x that has n entries, (n,)."""
    return F.contrib.arange_like(stop(F, x), axis=axis)


def diagonal(F: Namespace, a: Array) -> Array:
    """The diagonals, (B, n, n) -> (B, n)."""
    return lapack.extractdiag(F, a)


def diagonal_matrix(F: Namespace, d: Array) -> Array:
    """Diagonal matrices, (B, n) -> (B, n, n)."""
    return lapack.makediag(F, d)


def add_diagonal(F: Namespace, a: Array, d: Array) -> Array:
    """A + diag(d), (B, n, n) and (B, n) -> (B, n, n)."""
    return a + diagonal_matrix(F, d)


def identity_like(F: Namespace, a: Array) -> Array:
    """The identity of A's shape (B, n, n), dtype and device."""
    return diagonal_matrix(F, ones_like(F, diagonal(F, a)))


def inner(F: Namespace, a: Array, b: Array) -> Array:
    """Σ_ij A_ij B_ij of each batch element, square (B, n, n) twice -> (B,).

    The row sums are a product with a column of ones: MXNet's own reduction over the last axis
    takes several times as long.
    """
    ones = F.expand_dims(ones_like(F, diagonal(F, b)), axis=2)
    return F.sum(product(F, a * b, ones), axis=(1, 2))


def magnitude(F: Namespace, a: Array, axis: Union[int, Tuple[int, ...]]) -> Array:
    """The power of 2 next below the largest |a| along `axis`, which is kept; 1 where that is 0.

    A constant: dividing by it rounds nothing, and what was divided can be squared.
    """
    largest = F.max(F.abs(stop(F, a)), axis=axis, keepdims=True)
    return stop(F, 2.0 ** F.floor(F.log2(largest + (largest == 0.0))))
