"""Canonical correlation analysis, as a loss and as fitted transforms."""

from typing import Any, Mapping, Sequence, Tuple, Union

import mxnet as mx

from .. import functional as fn
from ..errors import ShapeError, SingularMatrixError
from ..functional.canonical import View, canonical_correlations, canonical_view
from ..functional.eigen import row_signs
from ..functional.svd import svd
from ..typing import Array, ArrayLike, Namespace
from .base import LinearAlgebraBlock
from .projection import ProjectionBlock, check_count, check_ridge, samples


class CCABlock(LinearAlgebraBlock):
    """Minus the sum of the k largest canonical correlations, (x, y) -> (B,): a loss.

    loss = -Σ σ_i of T = (S_xx + r_x I)^{-1/2} S_xy (S_yy + r_y I)^{-1/2}, k largest σ.

    x: (B, n, p), y: (B, n, q): two views of n samples; S have the divisor n - 1; k is at most
    min(p, q), for which the loss is minus the trace norm of T. ridge: r_x = r_y, or the pair
    (r_x, r_y), in units of S, or with `relative_ridge` of mean(diag S), as `jitter` is: then the
    loss does not depend on the units of x and y. 0 needs covariances of full rank, and gives
    correlations proper, at most 1. For deep networks give one, such as 1e-4.
    details: returns (loss, σ (B, k)) instead: descending, not squared, each with its gradient.

    The gradient is analytic and finite: exact where correlations are equal; where the k-th equals
    the next they share its place, and σ = 0 (at most 64 ε) gets the subgradient 0.
    Raises SingularMatrixError, NonFiniteError, ShapeError.
    Hotelling 1936; Andrew, Arora, Bilmes & Livescu 2013, Deep canonical correlation analysis.

    >>> x = mx.nd.array(np.random.RandomState(0).randn(1, 30, 2))
    >>> round(gl.CCABlock(2)(x, 3.0 * x + 1.0).asnumpy().item(), 4)  # two correlations of 1
    -2.0
    """

    arguments = (("x", "B n p"), ("y", "B n q"))

    def __init__(
        self,
        k: int,
        ridge: Union[float, Sequence[float]] = 0.0,
        details: bool = False,
        relative_ridge: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count(self.name, "k", k)
        pair = tuple(ridge) if isinstance(ridge, (tuple, list)) else (ridge, ridge)
        if len(pair) != 2:
            raise ValueError(f"{self.name}: ridge is {ridge!r}; expected a number or a pair.")
        for each in pair:
            check_ridge(self.name, each)
        self._k, self._ridges, self._details = k, tuple(map(float, pair)), bool(details)
        self._relative = bool(relative_ridge)

    def hybrid_forward(self, F: Namespace, x: Array, y: Array) -> Union[Array, Tuple[Array, Array]]:
        correlations, total = canonical_correlations(F, *self._views(F, x, y), self._k, self.name)
        return (-total, correlations) if self._details else -total

    def fit(self, x: ArrayLike, y: ArrayLike) -> Tuple[ProjectionBlock, ProjectionBlock]:
        """The k canonical directions of fixed data, two `ProjectionBlock`s: x -> and y -> scores.

        x: (n, p); y: (n, q), or both with a batch axis before, all samples together; NumPy arrays
        or NDArrays. Scores have unit variance (without a ridge) and correlations σ, the `values` of
        both. The element of largest magnitude of each direction of x is positive. Computed in
        float64; the dtypes of the results are those of `PCABlock.fit`.
        """
        data, dtypes = samples(self, x, y)
        self._check_sizes(data)
        views = self._views(mx.nd, *data)
        cross = fn.product(mx.nd, views[0].rows, views[1].rows, transpose_b=True)
        left, values, right = svd(mx.nd, cross, cross.shape[1] >= cross.shape[2], self.name)
        values = values[0, : self._k].asnumpy()
        x_rows = _directions(views[0], fn.transpose(mx.nd, left)[:, : self._k])
        y_rows = _directions(views[1], right[:, : self._k])
        sign = row_signs(mx.nd, x_rows).asnumpy()[0]
        with self.name_scope():
            x_block, y_block = (
                ProjectionBlock(
                    view.mean[0, 0].asnumpy(), rows[0].asnumpy().T * sign, values, dtype
                )
                for view, rows, dtype in zip(views, (x_rows, y_rows), dtypes)
            )
        return x_block, y_block

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        most = min(sizes["p"], sizes["q"])
        if self._k > most:
            raise ShapeError(
                f"{self.name}: k is {self._k}, but 'x' has {sizes['p']} and 'y' {sizes['q']} "
                f"features: at most {most} correlations."
            )
        for name, letter, ridge in zip("xy", "pq", self._ridges):
            if ridge == 0.0 and sizes["n"] <= sizes[letter]:
                raise SingularMatrixError(
                    f"{self.name}: the covariance of '{name}' is singular: {sizes['n']} samples "
                    f"of {sizes[letter]} features. Give ridge=..., more samples, or fewer features."
                )

    def _views(self, F: Namespace, x: Array, y: Array) -> Tuple[View, View]:
        x_view, y_view = (
            canonical_view(F, view, ridge, self._relative, f"'{what}'", self.name)
            for view, ridge, what in zip((x, y), self._ridges, "xy")
        )
        return x_view, y_view


def _directions(view: View, rows: Array) -> Array:
    """(L⁻ᵀ u)ᵀ of rows u, (1, k, p)."""
    solved = fn.triangular_solve(mx.nd, view.factor, fn.transpose(mx.nd, rows), transpose=True)
    return fn.transpose(mx.nd, solved)
