"""Fitted linear maps of features: what principal, discriminant and canonical analyses end in."""

import numbers
from typing import Any, Mapping, Tuple

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import NonFiniteError, ShapeError
from ..functional.covariance import as_batch, as_rows
from ..host_memory import from_loader
from ..typing import Array, ArrayLike, Dtype, Namespace
from .arguments import data_dtype
from .base import LinearAlgebraBlock


class ProjectionBlock(LinearAlgebraBlock):
    """x -> (x - μ) W with constants μ and W, (B, n, d) -> (B, n, k). Exports like any block.

    mean: (d,) and matrix: (d, k), NumPy arrays; values: (k,), what belongs to the columns of W:
    explained variances, eigenvalues or correlations. It has the attributes `values`, `mean` and
    `matrix`. Made by the `fit` of `PCABlock`, `LDABlock` and `CCABlock`.

    Raises ShapeError, DtypeError.

    >>> projection = gl.ProjectionBlock(np.ones(2), np.array([[1.0], [2.0]]), np.ones(1))
    >>> projection(mx.nd.array([[[2.0, 3.0]]], dtype="float64")).asnumpy()
    array([[[5.]]])
    """

    arguments = (("x", "B n d"),)

    def __init__(
        self,
        mean: ArrayLike,
        matrix: ArrayLike,
        values: ArrayLike,
        dtype: Dtype = "float64",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.values = np.asarray(values, dtype="float64")
        with self.name_scope():
            self.mean = self.params.get_constant("mean", mx.nd.array(mean, dtype=dtype))
            self.matrix = self.params.get_constant("matrix", mx.nd.array(matrix, dtype=dtype))
        self.params.initialize()

    def hybrid_forward(self, F: Namespace, x: Array, mean: Array, matrix: Array) -> Array:
        rows = F.broadcast_sub(as_rows(F, x), F.reshape(mean, shape=(1, 1, -1)))
        return as_batch(F, fn.product(F, rows, F.expand_dims(matrix, axis=0)), x)

    def reconstruct(self, scores: Array) -> Array:
        """The x nearest to μ that has these scores, (B, n, k) -> (B, n, d): μ + scores W⁺."""
        scores = from_loader(scores)
        self._check_array("scores", scores)
        self._check_parameters(scores)
        columns = self.matrix.shape[1]
        if scores.ndim != 3 or scores.shape[2] != columns:
            raise ShapeError(
                f"{self.name}: 'scores' has shape {scores.shape}, expected (B, n, {columns})."
            )
        matrix = self.matrix.data(scores.context)
        inverse = np.linalg.pinv(matrix.asnumpy().astype("float64"))
        inverse = mx.nd.array(inverse, dtype=self.dtype, ctx=scores.context)
        found = mx.nd.dot(scores, inverse)
        return mx.nd.broadcast_add(found, self.mean.data(scores.context).reshape((1, 1, -1)))

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        features = self.matrix.shape[0]
        if sizes["d"] != features:
            raise ShapeError(
                f"{self.name}: 'x' has {sizes['d']} features; it was fitted to {features}."
            )


def samples(
    block: LinearAlgebraBlock, *args: ArrayLike
) -> Tuple[Tuple[Array, ...], Tuple[str, ...]]:
    """The arguments of `fit` in float64, and the dtype in which the result of each is meant.

    All samples are those of one batch element, (1, N, ...).
    """
    data = block._from_data(*args, dtype="float64")
    for (name, _), array in zip(block.arguments, data):
        if not np.isfinite(array.asnumpy()).all():
            raise NonFiniteError(f"{block.name}: '{name}' contains NaN or infinity.")
    rows = tuple(array.reshape((1, -1, *array.shape[2:])) for array in data)
    if rows[0].shape[1] < 2:
        name = block.arguments[0][0]
        raise ShapeError(f"{block.name}: '{name}' has one sample; fit needs two or more.")
    own = block._data_dtype()
    return rows, tuple(own or data_dtype(array) for array in args)


def check_count(name: str, what: str, value: Any) -> None:
    """`value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: {what} is {value!r}; expected a whole number of at least 1.")


def check_ridge(name: str, ridge: Any) -> None:
    """`ridge` is a number that is not negative."""
    is_number = isinstance(ridge, numbers.Real) and np.isfinite(float(ridge))
    if not (is_number and ridge >= 0):
        raise ValueError(f"{name}: ridge is {ridge!r}; expected 0 or a positive number.")
