"""Principal component analysis."""

from typing import Any, Mapping, Optional, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.covariance import (
    as_batch,
    centred_samples,
    require_in_range,
    scaled_samples,
)
from ..functional.eigen import TIE
from ..functional.svd import svd
from ..typing import Array, ArrayLike, Namespace
from .base import LinearAlgebraBlock
from .moments import Moments
from .projection import ProjectionBlock, check_count, samples


class PCABlock(LinearAlgebraBlock):
    """Scores on the k principal components, (B, n, d) -> (B, n, k).

    S = Uᵀ diag(λ) U, λ descending:  scores = (x - μ) U_kᵀ  [/ √λ when `whiten`],
    S = Σ_i (x_i - μ)(x_i - μ)ᵀ / (n - 1).

    x: n samples of d features. momentum: all B n samples are one set; in training μ and S are
    those of the batch, and in inference running averages over batches, as in gluon.nn.BatchNorm
    (updated in the forward pass); None: each of the B sets has components of its own, always.
    details: returns (scores, reconstruction (B, n, d), explained variances λ (1 or B, k)) instead.
    in_features: d, found in the first call if left out.

    Explained variances are never negative; below 64 ε λ_1 they are rounding (ε is 1.1e-16 in
    float64, 6.0e-8 in float32), and `whiten` drops their components: scores 0. The element of
    largest magnitude of each component is positive, of magnitudes within 1/1024 of it the first.
    The gradient, through μ and S too, is finite; components whose λ are nearer than 64 ε λ_1 have
    no rotation in it. Scores change order and sign from batch to batch, the reconstruction does
    not: what is trained behind this block should see the latter, or scores of `fit`.
    Raises ShapeError, NonFiniteError. Jolliffe 2002.

    >>> x = mx.nd.array([[[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]])
    >>> gl.PCABlock(1, momentum=None)(x).asnumpy().round(4).tolist()
    [[[-5.0], [0.0], [5.0]]]
    """

    arguments = (("x", "B n d"),)
    unique = False

    def __init__(
        self,
        k: int,
        whiten: bool = False,
        momentum: Optional[float] = 0.9,
        details: bool = False,
        in_features: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count(self.name, "k", k)
        self._k, self._whiten, self._details = k, bool(whiten), bool(details)
        self._momentum = momentum
        with self.name_scope():
            self.moments = Moments(momentum, ddof=1, in_features=in_features)

    def hybrid_forward(self, F: Namespace, x: Array) -> Union[Array, Tuple[Array, Array, Array]]:
        centred, mean, covariance, unit = self.moments(x)
        covariance = require_in_range(F, covariance, self.name, centred)
        components, variances = fn.eigh(F, covariance, self.name, descending=True, top_k=self._k)
        variances = F.relu(variances)
        scores = plain = fn.product(F, centred, components, transpose_b=True)
        if self._whiten:
            scores = F.broadcast_mul(scores, F.expand_dims(_inverse_root(F, variances), axis=1))
        else:
            scores = F.broadcast_mul(scores, unit)
        scores = self._restored(F, scores, x)
        if not self._details:
            return scores
        moved = F.broadcast_mul(fn.product(F, plain, components), unit)
        reconstruction = F.broadcast_add(moved, mean)
        variances = F.broadcast_mul(
            F.broadcast_mul(variances, F.squeeze(unit, axis=2)), F.squeeze(unit, axis=2)
        )
        return scores, self._restored(F, reconstruction, x), variances

    def fit(self, x: ArrayLike) -> ProjectionBlock:
        """Components of fixed data, a `ProjectionBlock` x -> scores with `reconstruct`.

        x: (n, d) or (B, n, d), all samples together; NumPy array or NDArray. Computed in float64 by
        singular values of the data: variances down to (64 ε)² λ_1 are told from 0. The result has
        the dtype that this block was cast to, or that of x. This block is left as it is.
        """
        (data,), (dtype,) = samples(self, x)
        rows, features = data.shape[1:]
        if self._k > min(rows, features):
            raise ShapeError(
                f"{self.name}: k is {self._k}, but {rows} samples of {features} features have "
                f"{min(rows, features)} components."
            )
        centred, mean = centred_samples(mx.nd, data)
        scaled = scaled_samples(mx.nd, centred, ddof=1)
        _, deviations, components = svd(mx.nd, scaled, tall=rows >= features, name=self.name)
        deviations = deviations[0, : self._k].asnumpy()
        matrix = components[0, : self._k].asnumpy().T
        if self._whiten:
            kept = deviations > TIE * float(np.finfo("float64").eps) / 2 * deviations[0]
            matrix = matrix * np.where(kept, 1.0 / np.where(kept, deviations, 1.0), 0.0)
        with self.name_scope():
            return ProjectionBlock(mean[0, 0].asnumpy(), matrix, deviations**2, dtype)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if self._k > sizes["d"]:
            raise ShapeError(f"{self.name}: k is {self._k}, but 'x' has {sizes['d']} features.")
        if self._momentum is None and sizes["n"] < 2:
            raise ShapeError(
                f"{self.name}: 'x' has one sample in each batch element; with momentum=None its "
                "components need two or more."
            )

    def _restored(self, F: Namespace, rows: Array, x: Array) -> Array:
        return rows if self._momentum is None else as_batch(F, rows, x)


def _inverse_root(F: Namespace, variances: Array) -> Array:
    """1/√λ, and 0 where λ is at most 64 ε λ_1, (B, k)."""
    largest = F.slice_axis(variances, axis=1, begin=0, end=1)
    bound = TIE * fn.unit_roundoff(F, largest) * largest
    above = F.broadcast_greater(variances, bound)
    return above * F.rsqrt(F.where(above, variances, fn.ones_like(F, variances)))
