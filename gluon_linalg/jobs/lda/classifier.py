"""The graph of a discriminant analysis."""

from typing import Any, Tuple

import mxnet as mx
import numpy as np

from ...blocks.projection import ProjectionBlock
from ...typing import Array, Dtype, Namespace


class Classifier(mx.gluon.HybridBlock):
    """x (1, m, d) -> scores z = x W (1, m, k) and the probabilities of the classes (1, m, C).

        p_c(x) ∝ π_c exp(-½ |z - c|²) ∝ π_c exp(z·c - ½ |c|²)

    with c the scores of the mean of a class: normal distributions of one covariance, which is I for
    the scores. matrix: (d, k); values: (k,), the eigenvalues; centres: (C, k); priors: π, (C,).
    Hastie, Tibshirani & Friedman, section 4.3.
    """

    def __init__(
        self,
        matrix: np.ndarray,
        values: np.ndarray,
        centres: np.ndarray,
        priors: np.ndarray,
        dtype: Dtype = "float64",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        offsets = np.log(priors) - 0.5 * np.sum(centres**2, axis=1)
        with self.name_scope():
            self.projection = ProjectionBlock(np.zeros(len(matrix)), matrix, values, dtype)
            self.centres = self.params.get_constant("centres", mx.nd.array(centres.T, dtype=dtype))
            self.offsets = self.params.get_constant("offsets", mx.nd.array(offsets, dtype=dtype))
        self.params.initialize()

    def hybrid_forward(
        self, F: Namespace, x: Array, centres: Array, offsets: Array
    ) -> Tuple[Array, Array]:
        scores = self.projection(x)
        logarithms = F.broadcast_add(F.dot(scores, centres), F.reshape(offsets, shape=(1, 1, -1)))
        return scores, F.softmax(logarithms, axis=2)
