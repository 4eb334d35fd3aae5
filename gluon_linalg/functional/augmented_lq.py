"""The LQ factorization of a matrix beside a diagonal one.

Regression, least squares, discriminant and canonical analysis need L with A Aᵀ + diag(δ²) = L Lᵀ.
From the LQ of [diag(δ), A] the product A Aᵀ is never formed: what survives has the condition
number of A, not its square.
"""

from typing import Callable, Optional, Tuple, Type, Union

from ..typing import Array, Namespace
from .checks import require
from .lq import independent_rows, lq_factors
from .matrix import diagonal_matrix
from .tangent import ones_like, stop


def augmented_lq(
    F: Namespace,
    shift: Array,
    a: Array,
    factorize: Callable[[Namespace, Array], Tuple[Array, Array]] = lq_factors,
) -> Tuple[Array, Array, Array]:
    """L, Q_1 and Q_2 with [diag(shift), A] = L [Q_1, Q_2], (B, m), (B, m, n).

    Constants, or with factorize=lq differentiable. The small block comes first: the other order
    was found to lose up to ten times as much.
    """
    small = diagonal_matrix(F, shift)
    q, factor = factorize(F, F.concat(small, a, dim=2))
    # Under Symbol no size is known, and slice_like starts from the left: the end is reversed.
    tail = F.slice_like(F.reverse(q, axis=2), stop(F, a), axes=(2,))
    return factor, F.slice_like(q, stop(F, small), axes=(2,)), F.reverse(tail, axis=2)


def full_rank_lq(
    F: Namespace, a: Array, shift: Optional[Array], error_class: Type[Exception], text: str
) -> Tuple[Array, Array]:
    """L and Q with A = L Q, or with [diag(shift), A] = L [·, Q], constants, (B, m, n), m <= n.

    shift: (B, m), or None for none. `error_class(text)` where rows are dependent by the rule of
    `independent_rows`.
    """
    if shift is None:
        q, factor = lq_factors(F, a)
    else:
        factor, _, q = augmented_lq(F, stop(F, shift), stop(F, a))
    factor = require(F, factor, independent_rows(F, factor), error_class, text)
    return stop(F, factor), stop(F, q)


def on_diagonal(F: Namespace, a: Array, value: Union[Array, float]) -> Array:
    """`value` (B, 1) for each row of A (B, m, n), (B, m); value may also be a number."""
    ones = ones_like(F, F.reshape(F.slice_axis(a, axis=2, begin=0, end=1), shape=(0, -1)))
    return ones * value if isinstance(value, float) else F.broadcast_mul(ones, value)
