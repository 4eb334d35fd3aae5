"""Fitted linear maps of features: what principal, discriminant and canonical analyses end in."""

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import NonFiniteError, ShapeError
from ..functional.covariance import as_batch, as_rows
from ..host_memory import from_loader
from .base import LinearAlgebraBlock
from .casting import FLOATS


class ProjectionBlock(LinearAlgebraBlock):
    """x -> (x - μ) W with constants μ and W, (B, n, d) -> (B, n, k). Exports like any block.

    mean: (d,) and matrix: (d, k), NumPy arrays; values: (k,), what belongs to the columns of W:
    explained variances, eigenvalues or correlations. It has the attributes `values`, `mean` and
    `matrix`. Made by the `fit` of PCABlock, LDABlock and CCABlock.
    """

    arguments = (("x", "B n d"),)

    def __init__(self, mean, matrix, values, dtype="float64", **kwargs):
        super().__init__(**kwargs)
        self.values = np.asarray(values, dtype="float64")
        with self.name_scope():
            self.mean = self.params.get_constant("mean", mx.nd.array(mean, dtype=dtype))
            self.matrix = self.params.get_constant("matrix", mx.nd.array(matrix, dtype=dtype))
        self.params.initialize()

    def hybrid_forward(self, F, x, mean, matrix):
        rows = F.broadcast_sub(as_rows(F, x), F.reshape(mean, shape=(1, 1, -1)))
        return as_batch(F, fn.product(F, rows, F.expand_dims(matrix, axis=0)), x)

    def reconstruct(self, scores):
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

    def check_shapes(self, sizes):
        features = self.matrix.shape[0]
        if sizes["d"] != features:
            raise ShapeError(
                f"{self.name}: 'x' has {sizes['d']} features; it was fitted to {features}."
            )


def samples(name, x, what="x"):
    """The samples to fit as float64 (1, N, d), and their dtype.

    x: a NumPy array or NDArray, (N, d) or (B, n, d), the samples of all batch elements together.
    """
    values = x.asnumpy() if isinstance(x, mx.nd.NDArray) else np.asarray(x)
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ShapeError(
            f"{name}: '{what}' has shape {values.shape}, expected samples in rows, (N, d) or "
            "(B, n, d)."
        )
    values = values.reshape(1, -1, values.shape[-1])
    if values.shape[1] < 2:
        raise ShapeError(f"{name}: '{what}' has one sample; fit needs two or more.")
    dtype = values.dtype.name if values.dtype.name in FLOATS else "float64"
    values = values.astype("float64")
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{name}: '{what}' contains NaN or infinity.")
    return mx.nd.array(values, dtype="float64"), dtype


def check_count(name, what, value):
    """`value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: {what} is {value!r}; expected a whole number of at least 1.")


def check_ridge(name, ridge):
    """`ridge` is a number that is not negative."""
    if not (np.isscalar(ridge) and np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"{name}: ridge is {ridge!r}; expected 0 or a positive number.")
