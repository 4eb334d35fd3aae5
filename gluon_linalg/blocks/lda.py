"""Linear discriminant analysis, as a loss and as a fitted transform."""

from typing import Any, Mapping, Optional, Tuple, Union

import mxnet as mx

from .. import functional as fn
from ..errors import ShapeError, SingularMatrixError
from ..functional.discriminant import (
    Discriminants,
    checked_indicator,
    class_indicator,
    discriminant_loss,
    discriminants,
)
from ..functional.eigen import row_signs
from ..typing import Array, ArrayLike, Namespace
from .base import LinearAlgebraBlock
from .projection import ProjectionBlock, check_count, check_ridge, samples


class LDABlock(LinearAlgebraBlock):
    """Minus the mean of the k largest discriminant eigenvalues, (x, labels) -> (B,): a loss.

    S_b w = λ (S_w + ridge I) w,   loss = -(1/k) Σ λ_i,
    S_w = (1/n) Σ_c Σ_{i in c} (x_i - μ_c)(x_i - μ_c)ᵀ,  S_b = (1/n) Σ_c n_c (μ_c - μ)(μ_c - μ)ᵀ.

    x: (B, n, d); labels: (B, n), whole numbers from 0 to classes - 1 in x's dtype, or with
    one_hot (B, n, classes). Classes may be absent. k: at most classes - 1, its default, and d.
    ridge: in units of S_w, or with `relative_ridge` in units of mean(diag S_w), as `jitter` is:
    then λ and the loss do not depend on the units of x. 0 needs S_w of full rank. For deep
    networks give one, such as 1e-3.
    threshold: only those of the k eigenvalues count that are at most `threshold` above the
    smallest of them, so that training lifts the weak directions (Dorfer et al. use 1).
    details: returns (loss, λ (B, k)) instead: descending, each with its gradient.

    The gradient is analytic, also where eigenvalues are equal; where the k-th equals the next the
    two share its place. Raises SingularMatrixError ("within-class scatter singular"),
    NonFiniteError, ShapeError, and ValueError for other labels.
    Fisher 1936; Dorfer, Kelz & Widmer 2016, Deep linear discriminant analysis.

    >>> x, labels = mx.nd.array([[[0.0], [2.0], [10.0], [12.0]]]), mx.nd.array([[0, 0, 1, 1]])
    >>> round(gl.LDABlock(classes=2)(x, labels).asnumpy().item(), 4)  # 25 between, 1 within
    -25.0
    """

    def __init__(
        self,
        classes: int,
        k: Optional[int] = None,
        ridge: float = 0.0,
        threshold: Optional[float] = None,
        one_hot: bool = False,
        details: bool = False,
        relative_ridge: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count(self.name, "classes", classes)
        k = classes - 1 if k is None else k
        check_count(self.name, "k" if classes > 1 else "classes - 1", k)
        check_ridge(self.name, ridge)
        if k > classes - 1:
            raise ValueError(
                f"{self.name}: k is {k}; {classes} classes have at most {classes - 1} "
                "discriminant directions."
            )
        if threshold is not None and not threshold >= 0:
            raise ValueError(
                f"{self.name}: threshold is {threshold!r}; expected None, or 0 or more."
            )
        self._classes, self._k = classes, k
        self._ridge, self._relative = float(ridge), bool(relative_ridge)
        self._threshold, self._one_hot, self._details = threshold, bool(one_hot), bool(details)
        self.arguments = (("x", "B n d"), ("labels", "B n C" if one_hot else "B n"))

    def hybrid_forward(
        self, F: Namespace, x: Array, labels: Array
    ) -> Union[Array, Tuple[Array, Array]]:
        found = self._found(F, x, labels)
        loss = discriminant_loss(F, found, self._k, self._threshold)
        if not self._details:
            return loss
        values = found.eigenvalues + found.changes
        return loss, F.slice_axis(values, axis=1, begin=0, end=self._k)

    def fit(self, x: ArrayLike, labels: ArrayLike) -> ProjectionBlock:
        """The k directions of fixed data, a `ProjectionBlock` x -> (x - μ) W.

        x: (n, d); labels: (n,) or (n, classes), or both with a batch axis before, all samples
        together; NumPy arrays or NDArrays. Wᵀ (S_w + ridge I) W = I, with the ridge of the loss;
        the element of largest magnitude of each direction is positive. Its `values` are the
        eigenvalues. Computed in float64; the dtype of the result is that of `PCABlock.fit`.
        """
        (data, classes), (dtype, _) = samples(self, x, labels)
        self._check_sizes((data, classes))
        found = self._found(mx.nd, data, classes)
        rows = fn.transpose(mx.nd, found.directions)[:, : self._k]
        rows = mx.nd.broadcast_mul(rows, row_signs(mx.nd, rows).expand_dims(axis=2))
        with self.name_scope():
            return ProjectionBlock(
                found.mean[0, 0].asnumpy(),
                rows[0].asnumpy().T,
                found.eigenvalues[0, : self._k].asnumpy(),
                dtype,
            )

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes.get("C", self._classes) != self._classes:
            raise ShapeError(
                f"{self.name}: 'labels' has {sizes['C']} columns for {self._classes} classes."
            )
        if self._k > sizes["d"]:
            raise ShapeError(
                f"{self.name}: k is {self._k}, but 'x' has {sizes['d']} features; give "
                f"k={sizes['d']} or less."
            )
        if self._ridge == 0.0 and sizes["n"] <= sizes["d"]:
            raise SingularMatrixError(
                f"{self.name}: within-class scatter singular: {sizes['n']} samples of "
                f"{sizes['d']} features. Give ridge=..., more samples, or fewer features."
            )

    def _found(self, F: Namespace, x: Array, labels: Array) -> Discriminants:
        indicator = self._indicator(F, labels)
        return discriminants(F, x, indicator, self._k, self._ridge, self._relative, self.name)

    def _indicator(self, F: Namespace, labels: Array) -> Array:
        if self._one_hot:
            return checked_indicator(F, labels, self.name)
        return class_indicator(F, labels, self._classes, self.name)
