"""The kernel of labels."""

import math
from typing import Any, Optional, Sequence

import numpy as np

from ... import functional as fn
from ...errors import ShapeError, wrong_columns
from ...functional.coregionalization import label_indicators
from ...typing import Array, ArrayLike, Namespace, given
from ..given import given_parameter
from ..parameters import positive_parameter
from .base import ActiveDims, Kernel


class Categorical(Kernel):
    """B[x, z] of labels x and z, with B = factor factorᵀ + diag(variance).

    x: one active column with the numbers of labels, 0 to levels - 1; or with `one_hot` a column for
    each level, of which one is 1 and the others are 0, where B is spread over what is between.
    factor: (levels, rank), any numbers, None for waves of unequal frequency with ½ on the diagonal
    of factor factorᵀ on average; rank 0 makes labels independent. variance: levels positive
    numbers, or one for all. Times another kernel it is the covariance of a process for each label
    (Bonilla, Chai & Williams 2007). Raises ValueError for what is no label.

    >>> kernel = gl.kernels.Categorical(3, rank=0, variance=[1.0, 2.0, 3.0])
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[0.0], [2.0], [2.0]]])).asnumpy().round(4))
    [[[1. 0. 0.]
      [0. 3. 3.]
      [0. 3. 3.]]]
    """

    def __init__(
        self,
        levels: int,
        rank: int = 1,
        factor: Optional[ArrayLike] = None,
        variance: Any = 0.5,
        one_hot: bool = False,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        if not (isinstance(levels, (int, np.integer)) and levels > 0):
            raise ValueError(f"{self.name}: levels is {levels!r}, expected a number from 1 on.")
        values = _waves(levels, rank) if factor is None else np.asarray(factor, dtype="float64")
        if values.ndim != 2 or len(values) != levels or not np.isfinite(values).all():
            raise ShapeError(
                f"{self.name}: 'factor' has shape {values.shape}, expected numbers of shape "
                f"({levels}, rank)."
            )
        if np.shape(variance) not in ((), (1,), (levels,)):
            raise ShapeError(
                f"{self.name}: 'variance' has shape {np.shape(variance)}, expected one number or "
                f"{levels}."
            )
        self.levels, self._rank, self.one_hot = int(levels), values.shape[1], one_hot
        self.factor = given_parameter(self, "factor", values) if self._rank else None
        each = np.broadcast_to(variance, (levels,))
        self.variance = positive_parameter(self, "variance", each)

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        factor: Optional[Array] = None,
    ) -> Array:
        left = self._root(F, x, dtype, variance, factor)
        right = left if z is None else self._root(F, z, dtype, variance, factor)
        return fn.product(F, left, right, transpose_b=True)

    def variances(
        self,
        F: Namespace,
        x: Array,
        dtype: str,
        variance: Array,
        factor: Optional[Array] = None,
    ) -> Array:
        return F.sum(F.square(self._root(F, x, dtype, variance, factor)), axis=2)

    def check_columns(self, count: int) -> None:
        super().check_columns(count)
        seen, wanted = given(self._columns.count(count)), self.levels if self.one_hot else 1
        if seen != wanted:
            raise wrong_columns(self.name, "levels" if self.one_hot else "label", wanted, seen)

    def _root(
        self, F: Namespace, x: Array, dtype: str, variance: Array, factor: Optional[Array]
    ) -> Array:
        """Rows (B, n, rank + levels) whose inner products are the covariances."""
        indicators = self._indicators(F, x, dtype)
        parts = [F.broadcast_mul(indicators, F.expand_dims(F.sqrt(variance), axis=1))]
        if factor is not None:
            # (B or 1, 1, levels, rank): a product would want as many matrices as there are x.
            values = F.reshape(factor, shape=(0, 1, self.levels, self._rank))
            parts.append(F.sum(F.broadcast_mul(F.expand_dims(indicators, axis=3), values), axis=2))
        return F.concat(*parts, dim=2) if len(parts) > 1 else parts[0]

    def _indicators(self, F: Namespace, x: Array, dtype: str) -> Array:
        """1 for the label of each row and 0 for the others, (B, n, levels)."""
        if self.one_hot:
            return F.cast(x, dtype=dtype)
        return label_indicators(F, F.cast(x, dtype=dtype), self.levels, self.name)


def _waves(levels: int, rank: int) -> np.ndarray:
    """(levels, rank): the first `rank` columns of the discrete cosine transform, of norm ½."""
    places = (np.arange(levels) + 0.5) / levels
    columns: Sequence[np.ndarray] = [np.cos(math.pi * r * places) for r in range(rank)]
    if not columns:
        return np.zeros((levels, 0))
    values = np.stack(columns, axis=1)
    return values * np.sqrt(0.5 / np.mean(np.sum(values**2, axis=1)))
