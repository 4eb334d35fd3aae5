"""The posterior of several dependent processes through inducing points."""

from typing import Any, Dict, Optional, Tuple, cast

import mxnet as mx
import numpy as np

from ..functional.coregionalization import by_output, from_outputs
from ..functional.coregionalization import output_rows as rows_of
from ..typing import Array, ArrayLike, Namespace
from .held_out import Folds
from .inducing import WIDE
from .multi_output_predictor import MultiOutputPredictor, X, value_folds
from .posterior import HeldOut
from .sparse_gp_predictor import SparseGPPredictor

DATA = (("x", "B n d"), ("y", "B n k"), ("noise", "B n k"), ("mask", "B n k"))


class SparseMultiOutputPredictor(MultiOutputPredictor):
    """x -> (mean, variance), or (x, y) -> log p(y), of k outputs, (B, m, d) -> (B, m, k).

    A `SparseGPPredictor` of rows (x, output), whose views are put in this shape: it costs as much
    for each x whatever the data were, and keeps none of them. What looks at the data takes them
    again, as they were given to `condition`, in the shapes (B, n, d) and (B, n, k).

    rows: the posterior of rows, which is also that of single values (x, output); outputs: k.

    Raises ShapeError, DtypeError.

    Made by `MultiOutputSGPRLikelihoodLayer` and `MultiOutputSVGPLikelihoodLayer`.

    >>> points = gl.output_rows([[0.0], [1.0]], 2)
    >>> layer = gl.MultiOutputSGPRLikelihoodLayer(gl.kernels.RBF(), points, outputs=2)
    >>> layer.initialize()
    >>> predictor = layer.condition([[0.0], [0.5], [1.0]], np.ones((3, 2)))
    >>> predictor.output_covariance(mx.nd.zeros((1, 4, 1))).shape
    (1, 4, 2, 2)
    """

    views = {
        **MultiOutputPredictor.views,
        "cross_validation": (DATA, 2),
    }
    _compute_dtype = WIDE

    def __init__(self, rows: SparseGPPredictor, outputs: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows, self.outputs = rows, outputs

    # The data, which are given again.

    def negative_log_likelihood(self) -> mx.nd.NDArray:
        """What the layer gave for the data so far, (B,); SVGP is a TypeError."""
        return self.rows.negative_log_likelihood()

    def leave_one_out(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of each value given all others, (B, n, k) each.

        Those of other outputs at the same x are among the others; `cross_validation` leaves out
        whole rows.
        """
        mean, variance, _ = self.cross_validation(x, y, None, noise, mask)
        return mean, variance

    def cross_validation(
        self,
        x: ArrayLike,
        y: ArrayLike,
        folds: Folds = None,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> HeldOut:
        """Each value given all folds but its own: mean, variance, log density, (B, n, k) each.

        folds: how many, row i with all its outputs being in fold i mod folds; the fold of each row,
        (n,), or of each value, (n, k); None for one for each value. See
        `SparseGPPredictor.cross_validation`.
        """
        data = self._from_people(DATA, x, y, noise, mask)
        size = data[1].shape[1]
        options = self._call_options("cross_validation", data[0], folds=folds, size=size)
        return HeldOut(*self._cross_validation_view(mx.nd, *data, **options))

    def with_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "SparseMultiOutputPredictor":
        """The posterior given further rows of values: `SparseGPPredictor.with_observations`."""
        rows = self._rows(mx.nd, *self._from_people(DATA, x, y, noise, mask))
        return self._remade(self.rows.with_observations(*cast(Any, rows)))

    def without_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "SparseMultiOutputPredictor":
        """The posterior without values that are given again; the mask says which of the rows'.

        Raises NotPositiveDefiniteError where they cannot have been among the data.
        """
        rows = self._rows(mx.nd, *self._from_people(DATA, x, y, noise, mask))
        return self._remade(self.rows.without_observations(*cast(Any, rows)))

    def sample_targets(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of new targets at x, (B, m, d) -> (size, B, m, k)."""
        (x,) = self._arrays((X,), x)
        drawn = self.rows.sample_targets(self._at(mx.nd, x), size)
        return drawn.reshape((0, 0, -4, self.outputs, -1)).transpose((0, 1, 3, 2))

    # Views inside a graph.

    def _moments(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        found = self.rows.hybrid_forward(F, self._at(F, x))
        mean, variance = (from_outputs(F, a, self.outputs) for a in found)
        return mean, variance

    def _mean_view(self, F: Namespace, x: Array) -> Array:
        return from_outputs(F, self.rows._mean_view(F, self._at(F, x)), self.outputs)

    def _variance_view(self, F: Namespace, x: Array) -> Array:
        return from_outputs(F, self.rows._variance_view(F, self._at(F, x)), self.outputs)

    def _covariance_view(self, F: Namespace, x: Array) -> Array:
        return self.rows._covariance_view(F, self._at(F, x))

    def _samples_view(self, F: Namespace, x: Array, noise: Array) -> Array:
        """(B, m, k, s) of normal noise (B, m k, s)."""
        drawn = self.rows._samples_view(F, self._at(F, x), noise)
        parts = F.reshape(drawn, shape=(0, -4, self.outputs, -1, 0))
        return F.transpose(parts, axes=(0, 2, 1, 3))

    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        found = self.rows._log_density_view(F, self._at(F, x), by_output(F, y))
        return from_outputs(F, found, self.outputs)

    def _joint_log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        return self.rows._joint_log_density_view(F, self._at(F, x), by_output(F, y))

    def _gradient_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        mean, variance = self.rows._gradient_view(F, self._at(F, x))
        return self._of_columns(F, mean), self._of_columns(F, variance)

    def _derivative_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        mean, covariance = self.rows._derivative_view(F, self._at(F, x))
        own = F.slice_axis(covariance, axis=3, begin=0, end=-1)
        return self._of_columns(F, mean), self._of_columns(F, own, axes=4)

    def _of_columns(self, F: Namespace, rows: Array, axes: int = 3) -> Array:
        """(B, k m, d + 1[, d]) of rows (x, output) as (B, m, k, d[, d])."""
        own = F.slice_axis(rows, axis=2, begin=0, end=-1)
        each = F.reshape(own, shape=(0, -4, self.outputs, -1, *[0] * (axes - 2)))
        return F.transpose(each, axes=(0, 2, 1, *range(3, axes + 1)))

    def _output_covariance_view(self, F: Namespace, x: Array) -> Array:
        wide = self.rows._wide(F, self._at(F, x))
        projected = self.rows._projected(F, 0, self.rows._cross(F, 0, wide))
        each = [projected]
        if self.outputs > 1:
            each = F.split(projected, num_outputs=self.outputs, axis=2)
        inputs, prior = F.cast(x, dtype=WIDE), cast(Any, None)
        # Σ_q k_q(x, x) B_q of the products in the kernel of rows.
        for product in cast(Any, self.rows.kernels[0]).kernels:
            own, between = product.kernels
            variance = F.reshape(own.evaluate_diagonal(F, inputs, WIDE), shape=(0, 0, 1, 1))
            matrix = between.coregionalization.matrix(F, inputs, WIDE)
            part = F.broadcast_mul(variance, F.expand_dims(matrix, axis=1))
            prior = part if prior is None else prior + part
        learned = {
            (a, b): self.rows._learned(F, 0, each[a], each[b], wide)
            for b in range(self.outputs)
            for a in range(b + 1)
        }
        lines = [
            F.stack(*(learned[min(a, b), max(a, b)] for b in range(self.outputs)), axis=2)
            for a in range(self.outputs)
        ]
        return F.cast(prior + F.stack(*lines, axis=2), dtype=self.dtype)

    def _cross_validation_view(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array] = None,
        mask: Optional[Array] = None,
        folds: Optional[Array] = None,
        count: int = 0,
    ) -> Tuple[Array, ...]:
        inputs, values, variances, seen = self._rows(F, x, y, noise, mask)
        found = self.rows._cross_validation_view(F, inputs, values, variances, seen, folds, count)
        return tuple(from_outputs(F, a, self.outputs) for a in found)

    # The rest.

    @property
    def dtype(self) -> Optional[str]:
        return self.rows.dtype

    def _input_sizes(self) -> Tuple[int, int]:
        return self.rows._batch(), self.rows.columns - 1

    def _check_parameters(self, array: Array) -> None:
        self.rows._check_parameters(array)

    def _options(
        self, name: str, folds: Folds = None, size: Optional[int] = None
    ) -> Dict[str, Any]:
        if name != "cross_validation" or folds is None:
            return {}
        if size is None:
            if isinstance(folds, (int, np.integer)):
                raise TypeError(
                    f"{self.name}: a view needs the fold of each row, (n,), or value, (n, k): the "
                    "data are not known."
                )
            size = len(folds)
        numbers = value_folds(self.name, folds, size, self.outputs)
        return {"folds": numbers.T.reshape(-1), "count": int(numbers.max()) + 1}

    def _at(self, F: Namespace, x: Array) -> Array:
        return rows_of(F, x, self.outputs)

    def _rows(self, F: Namespace, x: Array, *others: Optional[Array]) -> Tuple[Any, ...]:
        flat = (None if a is None else by_output(F, a) for a in others)
        return (self._at(F, x), *flat)

    def _remade(self, rows: SparseGPPredictor) -> "SparseMultiOutputPredictor":
        return SparseMultiOutputPredictor(rows, self.outputs)
