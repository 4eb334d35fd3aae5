"""Folds of observations, and what a posterior says of each without its own."""

from typing import Optional, Sequence, Tuple, Union

import numpy as np

from .. import functional as fn
from ..functional.gaussian import HALF_LOG_2PI
from ..typing import Array, Namespace

Folds = Union[None, int, Sequence[int], np.ndarray]


def factored_nll(F: Namespace, factor: Array, residual: Array) -> Array:
    """-log N(r | 0, L Lᵀ), (B,), of L (B, n, n) and r (B, n)."""
    whitened = fn.triangular_solve(F, factor, F.expand_dims(residual, axis=2))
    value = 0.5 * F.sum(F.square(whitened), axis=(1, 2))
    return value + F.sum(F.log(fn.diagonal(F, factor)) + HALF_LOG_2PI, axis=1)


def held_out(
    F: Namespace, y: Array, step: Array, variance: Array, seen: Optional[Array]
) -> Tuple[Array, Array, Array]:
    """Mean y - step, variance and log density of y, (B, n) each, 0 where the mask hides it."""
    density = -0.5 * (F.square(step) / variance + F.log(variance)) - HALF_LOG_2PI
    found = (y - step, variance, density)
    if seen is not None:
        found = tuple(F.where(seen, a, fn.zeros_like(F, a)) for a in found)
    return found


def fold_numbers(name: str, folds: Folds, size: int) -> np.ndarray:
    """The number of the fold of each of `size` rows, (n,). Raises ValueError."""
    labels = np.asarray(folds)
    if labels.ndim == 0 and labels.dtype.kind in "iu" and 2 <= labels <= size:
        labels = np.arange(size) % labels
    found, numbers = np.unique(labels, return_inverse=True)
    if labels.shape != (size,) or len(found) < 2 or labels.dtype.kind == "O":
        raise ValueError(
            f"{name}: folds is {folds!r}, expected a number from 2 to {size}, or the fold of each "
            f"of {size} rows, of at least two folds."
        )
    return numbers
