"""The exact posterior of several dependent processes by a dense factor, and its data."""

from typing import Any, List, Optional, Sequence, Tuple, cast

import mxnet as mx

from .. import functional as fn
from ..functional.factor_update import left_out, row_numbers, with_rows, without_rows
from ..typing import Array, ArrayLike, Namespace
from .held_out import Folds, factored_nll, held_out
from .multi_output_exact_predictor import ExactMultiOutputPredictor
from .multi_output_observations import TARGETS
from .multi_output_parts import output_means, seen_outputs
from .posterior import HeldOut, column_products

DATA = (("x", "B n d"), ("y", "B n k"), ("noise", "B n k"), ("mask", "B n k"))


class DenseMultiOutputPredictor(ExactMultiOutputPredictor):
    """By the factor L of A, (B, n k, n k), one row after the other, and α = A⁻¹(y - m), (B, n k).

    With rows before outputs, further observations are further rows of A.
    """

    def __init__(self, factor: mx.nd.NDArray, weights: mx.nd.NDArray, **given: Any) -> None:
        super().__init__(constants={"factor": factor, "weights": weights}, **given)

    def _dense(self) -> "DenseMultiOutputPredictor":
        return self

    def negative_log_likelihood(self, y: Optional[ArrayLike] = None) -> mx.nd.NDArray:
        return self._negative_log_likelihood_view(mx.nd, self._own_targets(y))

    def cross_validation(self, folds: Folds = None, y: Optional[ArrayLike] = None) -> HeldOut:
        targets = self._own_targets(y)
        options = self._call_options("cross_validation", targets, folds=folds)
        return HeldOut(*self._cross_validation_view(mx.nd, targets, **options))

    def with_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "DenseMultiOutputPredictor":
        F, dtype = mx.nd, self._compute_dtype
        given: List[Any] = self._from_people(DATA, x, y, noise, mask)
        x, y, noise, mask = seen_outputs(
            F, given[0], given[1], given[2], given[3], dtype, self.name
        )
        context = x.context
        across, corner = self._columns(F, self._crosses(F, x)), self._noisy(F, x, noise)
        own = None if mask is None else _flat(F, mask)
        if own is not None:
            across = F.broadcast_mul(across, F.expand_dims(own, axis=1))
            corner, _ = fn.hide_missing(F, corner, _flat(F, y), own)
        factor = with_rows(self.factor.data(context), across, corner, self.name)
        targets = self._from_aside("targets", like=x)
        seen = None if self.mask is None else self.mask.data(context)
        if seen is not None or mask is not None:
            seen = F.ones_like(targets) if seen is None else seen
            seen = F.concat(seen, F.ones_like(y) if mask is None else mask, dim=1)
        inputs = F.concat(self.inputs.data(context), x, dim=1)
        return dense_posterior(self, inputs, F.concat(targets, y, dim=1), factor, seen)

    def without_observations(self, rows: Sequence[int]) -> "DenseMultiOutputPredictor":
        gone, size, k = row_numbers(rows, self._size()), self._size(), self.outputs
        context = self.inputs.list_ctx()[0]
        left = [i for i in range(size) if i not in gone]
        kept = mx.nd.array(left, dtype="int32", ctx=context)
        values = [i * k + a for i in gone for a in range(k)]
        mask = None if self.mask is None else mx.nd.take(self.mask.data(context), kept, axis=1)
        return dense_posterior(
            self,
            mx.nd.take(self.inputs.data(context), kept, axis=1),
            mx.nd.take(self._from_aside("targets"), kept, axis=1),
            without_rows(self.factor.data(context), values),
            mask,
        )

    # Inside a graph.

    def _negative_log_likelihood_view(self, F: Namespace, y: Array) -> Array:
        residual, _ = self._residual(F, y)
        factor = self._constant(F, "factor", y)
        value = factored_nll(F, factor, _flat(F, residual))
        return F.cast(value, dtype=self.dtype)

    def _cross_validation_view(
        self, F: Namespace, y: Array, folds: Optional[Array] = None
    ) -> Tuple[Array, ...]:
        residual, seen = self._residual(F, y)
        factor = self._constant(F, "factor", y)
        step, variance = left_out(F, factor, _flat(F, residual), folds, self.name)
        y = F.cast(y, dtype=self._compute_dtype)
        step, variance = (F.reshape_like(a, fn.stop(F, y)) for a in (step, variance))
        found = held_out(F, y, step, variance, seen)
        return tuple(F.cast(a, dtype=self.dtype) for a in found)

    def _own_targets(self, y: Optional[ArrayLike]) -> mx.nd.NDArray:
        if y is not None:
            return self._from_people(TARGETS, y)[0]
        return self._from_aside("targets")

    def _residual(self, F: Namespace, y: Array) -> Tuple[Array, Optional[Array]]:
        """y - m(X) with 0 where the mask hides a value, and the mask, (B, n, k)."""
        dtype, inputs = self._compute_dtype, self._constant(F, "inputs", y)
        y = F.cast(y, dtype=dtype)
        shift = output_means(F, self.mean_function, inputs, y, dtype, cast(str, self.dtype))
        residual = y - shift
        if self.mask is None:
            return residual, None
        seen = self._constant(F, "mask", y)
        return F.where(seen, residual, fn.zeros_like(F, residual)), seen

    def _columns(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        """Σ_q c_q(X, x) ⊗ B_q, (B, n k, m k), without the rows that the mask hides."""
        total = self._of_kernels(
            F, lambda q, _: fn.kronecker(F, crosses[q], self._matrix(F, q, crosses[q]))
        )
        if self.mask is None:
            return total
        seen = _flat(F, self._constant(F, "mask", total))
        return F.broadcast_mul(total, F.expand_dims(seen, axis=2))

    def _projected(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        factor = self._constant(F, "factor", crosses[0])
        return fn.triangular_solve(F, factor, self._columns(F, crosses))

    def _whitened(self, F: Namespace, x: Array) -> Array:
        return self._projected(F, self._crosses(F, x))

    def _by_row(self, F: Namespace, flat: Array) -> Array:
        """(B, m k) as (B, m, k)."""
        return F.reshape(flat, shape=(0, -1, self.outputs))

    def _explained(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        row = F.expand_dims(self._constant(F, "weights", crosses[0]), axis=1)
        return self._by_row(F, fn.product(F, row, self._columns(F, crosses)))

    def _taken(self, F: Namespace, a: Array, b: Array) -> Array:
        return self._by_row(F, column_products(F, a, b))

    def _between(self, F: Namespace, x: Array) -> Array:
        parts = F.transpose(self._whitened(F, x), axes=(0, 2, 1))
        flat = F.reshape(parts, shape=(-3, 0))
        flat = F.reshape(flat, shape=(-4, -1, self.outputs, 0))
        learned = fn.product(F, flat, flat, transpose_b=True)
        prior = self._prior_between(F, x)
        learned = F.reshape_like(
            learned, fn.stop(F, prior), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2
        )
        return prior - learned

    def _joint(self, F: Namespace, x: Array) -> Array:
        parts = F.reshape(self._whitened(F, x), shape=(0, 0, -4, -1, self.outputs))
        whitened = F.reshape(F.transpose(parts, axes=(0, 1, 3, 2)), shape=(0, 0, -3))
        learned = fn.product(F, whitened, whitened, transpose_a=True)
        return fn.symmetrize(F, self._prior_joint(F, x) - learned)


def dense_posterior(
    exact: ExactMultiOutputPredictor,
    inputs: mx.nd.NDArray,
    targets: mx.nd.NDArray,
    factor: mx.nd.NDArray,
    mask: Optional[mx.nd.NDArray],
) -> DenseMultiOutputPredictor:
    """The posterior given other data, of which L is known, with all else as `exact` has it."""
    F, dtype = mx.nd, exact._compute_dtype
    outer = cast(str, exact.dtype)
    residual = targets - output_means(F, exact.mean_function, inputs, targets, dtype, outer)
    residual = residual if mask is None else F.where(mask, residual, F.zeros_like(residual))
    columns = F.expand_dims(_flat(F, residual), axis=2)
    weights = fn.cholesky_solve(F, factor, columns).squeeze(axis=2)
    kept = exact._kept(inputs.context)
    return DenseMultiOutputPredictor(
        factor, weights, inputs=inputs, targets=targets, mask=mask, **kept
    )


def _flat(F: Namespace, values: Array) -> Array:
    """(B, n, k) as (B, n k), one row after the other."""
    return F.reshape(values, shape=(0, -3))
