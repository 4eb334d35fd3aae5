"""The posterior of a Gaussian process (Rasmussen & Williams, equations 2.25, 2.26 and 5.12)."""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.factor_update import left_out, row_numbers, with_rows, without_rows
from ..functional.gaussian import HALF_LOG_2PI
from ..typing import Array, ArrayLike, Namespace
from .copying import frozen_copies
from .held_out import Folds, factored_nll, fold_numbers, held_out
from .kernels import Kernel
from .mean import mean_values
from .parameters import parameter_array
from .posterior import HeldOut, Posterior


class GPPredictor(Posterior):
    """x -> (mean, variance), or (x, y) -> log p(y), of the posterior, (B, m, d) -> (B, m).

    mean = m(x) + k(x, X) α,  variance = k(x, x) - |L⁻¹ k(X, x)|²  [+ noise variance],
    with A = L Lᵀ and α = A⁻¹(y - m(X)) computed once, by `GPLikelihoodLayer.condition`. All views
    (`Posterior`) come from this factor, and none factors A again.

    kernel, mean: of the layer, of which the predictor has copies. The others are arrays: inputs
    (B, n, d), targets (B, n), factor (B, n, n), weights (B, n), noise_variance (1,) or None, mask
    (B, n) of the rows that count, or None for all. include_noise: whether the variance is that of
    a new observation; None: where there is a noise_variance. jitter: (B, 1), what jitter added to
    the diagonal of A, for observations to come. known_noise: whether every observation needs a
    variance of its own. copied: whether kernel and mean are copies already.

    The variance never falls below ε k(x, x), where rounding would make it negative or its square
    root would lose its gradient. With y it is the log density of each y by itself.

    Raises ShapeError, DtypeError.

    >>> layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=1.0)
    >>> layer.initialize()
    >>> predictor = layer.condition([[0.0]], [2.0])
    >>> print(*(a.asnumpy().round(4) for a in predictor(mx.nd.array([[[0.0]]]))))
    [[1.]] [[0.5]]
    """

    arguments = (("x", "B m d"), ("y", "B m"))
    required = 1
    views = {
        **Posterior.views,
        "negative_log_likelihood": ((("y", "B n"),), 1),
        "cross_validation": ((("y", "B n"),), 1),
    }

    def __init__(
        self,
        kernel: Kernel,
        mean: Optional[mx.gluon.HybridBlock],
        inputs: mx.nd.NDArray,
        targets: mx.nd.NDArray,
        factor: mx.nd.NDArray,
        weights: mx.nd.NDArray,
        noise_variance: Optional[mx.nd.NDArray],
        include_noise: Optional[bool] = None,
        mask: Optional[mx.nd.NDArray] = None,
        jitter: Optional[mx.nd.NDArray] = None,
        known_noise: bool = False,
        copied: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._compute_dtype = np.dtype(inputs.dtype).name
        self._known_noise = known_noise
        self._keep_aside(inputs.context, targets=targets, jitter=jitter)
        self._include_noise = noise_variance is not None if include_noise is None else include_noise
        with self.name_scope():
            parts = (kernel, mean) if copied else frozen_copies(self.prefix, kernel, mean)
            self.kernel, self.mean_function = parts
            self.inputs = self.params.get_constant("inputs", inputs)
            self.factor = self.params.get_constant("factor", factor)
            self.weights = self.params.get_constant("weights", weights)
            self.noise_variance: Optional[mx.gluon.Parameter] = None
            if noise_variance is not None:
                self.noise_variance = self.params.get_constant("noise_variance", noise_variance)
            self.mask: Optional[mx.gluon.Parameter] = None
            if mask is not None:
                self.mask = self.params.get_constant("mask", mask)
        self.params.initialize(ctx=inputs.context)

    def hybrid_forward(
        self, F: Namespace, x: Array, y: Optional[Array] = None, **stored: Array
    ) -> Union[Array, Tuple[Array, Array]]:
        if y is not None:
            return self._log_density_view(F, x, y)
        wide = self._wide(F, x)
        cross = self._cross(F, 0, wide)
        mean = self._latent_mean_of(F, 0, wide, cross)
        variance = self._latent_variance(F, 0, wide, cross)
        if self.noise_variance is not None:
            # Gluon warns of parameters that a graph does not have.
            share = 1.0 if self._include_noise else 0.0
            variance = F.broadcast_add(variance, share * self._noise_variance(F, wide))
        return F.cast(mean, dtype=self.dtype), F.cast(variance, dtype=self.dtype)

    # Views of the data themselves.

    def negative_log_likelihood(self, y: Optional[ArrayLike] = None) -> mx.nd.NDArray:
        """-log N(y | m(X), A), (B,), of the targets or of others at the same inputs, (B, n)."""
        return self._negative_log_likelihood_view(mx.nd, self._own_targets(y))

    def leave_one_out(self) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of each y_i given all others, (B, n) each, from the same factor.

        mean_i = y_i - α_i / [A⁻¹]_ii,  variance_i = 1 / [A⁻¹]_ii (of the noisy observation).
        """
        mean, variance, _ = self._cross_validation_view(mx.nd, self._own_targets(None))
        return mean, variance

    def cross_validation(self, folds: Folds = None, y: Optional[ArrayLike] = None) -> HeldOut:
        """Each y_i given all folds but its own: mean, variance and log density, (B, n) each.

        folds: how many, row i being in fold i mod folds, or the fold of each row, (n,); None for
        one for each row. y: other targets at the same inputs. With I the rows of a fold

            mean_I = y_I - [A⁻¹]_II⁻¹ α_I,   covariance_I = [A⁻¹]_II⁻¹,

        which are all blocks of one factorization: that of A⁻¹ with 0 between folds. All three are 0
        where the mask hides a row. Rasmussen & Williams, section 5.4.2.
        """
        targets = self._own_targets(y)
        options = self._call_options("cross_validation", targets, folds=folds)
        return HeldOut(*self._cross_validation_view(mx.nd, targets, **options))

    # More and fewer observations.

    def with_observations(
        self, x: ArrayLike, y: ArrayLike, noise: Optional[ArrayLike] = None
    ) -> "GPPredictor":
        """The posterior given k observations more, in n² k operations: A is not factored again.

        x, y, noise: (B, k, d), (B, k), (B, k), NDArrays or NumPy arrays, with or without the batch
        axis; noise: as in the call of the layer, variances that are added to the learned one. The
        jitter stays what it was for the first observations.
        """
        rules = (("x", "B k d"), ("y", "B k"), ("noise", "B k"))
        if self._known_noise and noise is None:
            raise TypeError(
                f"{self.name}: the observations have variances of their own: give `noise`, the "
                "(B, k) variances of the new ones."
            )
        given: List[Any] = [
            a if a is None else a.astype(self._compute_dtype)
            for a in self._from_people(rules, x, y, noise)
        ]
        inputs, targets, variances = given
        F, context = mx.nd, inputs.context
        fn.require_inputs(F, inputs, self.name)
        variances = F.zeros_like(targets) if variances is None else variances
        for shift in (self._jitter_or_none(inputs), self._noise_or_none(F, inputs)):
            if shift is not None:
                variances = F.broadcast_add(variances, shift)
        own = self.kernel.evaluate(F, inputs, None, self._compute_dtype)
        factor = with_rows(
            self.factor.data(context),
            self._cross(F, 0, inputs),
            fn.add_diagonal(F, own, variances),
            self.name,
        )
        mask = None if self.mask is None else self.mask.data(context)
        return self._remade(
            F.concat(self.inputs.data(context), inputs, dim=1),
            F.concat(self._from_aside("targets", like=inputs), targets, dim=1),
            factor,
            None if mask is None else F.concat(mask, F.ones_like(targets), dim=1),
        )

    def without_observations(self, rows: Sequence[int]) -> "GPPredictor":
        """The posterior without the observations `rows`, numbers from 0, in n² k operations.

        What stands behind the first of them is updated by LQ; nothing is subtracted.
        """
        size = self.inputs.shape[1]
        gone = row_numbers(rows, size)
        context = self.inputs.list_ctx()[0]
        kept = mx.nd.array([i for i in range(size) if i not in gone], dtype="int32", ctx=context)
        mask = None if self.mask is None else mx.nd.take(self.mask.data(context), kept, axis=1)
        return self._remade(
            mx.nd.take(self.inputs.data(context), kept, axis=1),
            mx.nd.take(self._from_aside("targets"), kept, axis=1),
            without_rows(self.factor.data(context), gone),
            mask,
        )

    # Inside graphs.

    def _negative_log_likelihood_view(self, F: Namespace, y: Array) -> Array:
        residual, _ = self._residual(F, y)
        value = factored_nll(F, parameter_array(F, self.factor, y), residual)
        return F.cast(value, dtype=self.dtype)

    def _cross_validation_view(
        self, F: Namespace, y: Array, folds: Optional[Array] = None
    ) -> Tuple[Array, Array, Array]:
        residual, seen = self._residual(F, y)
        factor = parameter_array(F, self.factor, y)
        step, variance = left_out(F, factor, residual, folds, self.name)
        found = held_out(F, F.cast(y, dtype=self._compute_dtype), step, variance, seen)
        mean, variance, density = (F.cast(a, dtype=self.dtype) for a in found)
        return mean, variance, density

    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        wide = self._wide(F, x)
        cross = self._cross(F, 0, wide)
        residual = F.cast(y, dtype=self._compute_dtype) - self._latent_mean_of(F, 0, wide, cross)
        variance = self._latent_variance(F, 0, wide, cross)
        variance = F.broadcast_add(variance, self._noise_variance(F, wide))
        value = -0.5 * (F.square(residual) / variance + F.log(variance)) - HALF_LOG_2PI
        return F.cast(value, dtype=self.dtype)

    def _variance_view(self, F: Namespace, x: Array) -> Array:
        variance = self._latent_variance(F, 0, self._wide(F, x))
        if self._include_noise:
            variance = F.broadcast_add(variance, self._noise_variance(F, x))
        return F.cast(variance, dtype=self.dtype)

    # What `Posterior` asks for.

    @property
    def kernels(self) -> Sequence[Kernel]:  # type: ignore[override]
        return [self.kernel]

    @property
    def means(self) -> Sequence[Optional[mx.gluon.HybridBlock]]:  # type: ignore[override]
        return [self.mean_function]

    @property
    def columns(self) -> int:
        return int(self.inputs.shape[2])

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        super().check_shapes(sizes)
        if sizes.get("n", self._size()) != self._size():
            raise ShapeError(
                f"{self.name}: 'y' has {sizes['n']} values; the data it was conditioned on has "
                f"{self._size()} rows."
            )

    def _batch(self) -> int:
        return int(self.inputs.shape[0])

    def _size(self) -> int:
        return int(self.inputs.shape[1])

    def _points(self, F: Namespace, like: Array) -> Array:
        return parameter_array(F, self.inputs, like)

    def _seen(self, F: Namespace, i: int, columns: Array) -> Array:
        if self.mask is None:
            return columns
        rows = F.expand_dims(parameter_array(F, self.mask, columns), axis=2)
        return F.broadcast_mul(columns, rows)

    def _projected(self, F: Namespace, i: int, columns: Array) -> Array:
        return fn.triangular_solve(F, parameter_array(F, self.factor, columns), columns)

    def _explained(
        self, F: Namespace, i: int, columns: Array, projected: Optional[Array] = None
    ) -> Array:
        weights = F.expand_dims(parameter_array(F, self.weights, columns), axis=1)
        return F.reshape(fn.product(F, weights, columns), shape=(0, -1))

    def _noise_variance(self, F: Namespace, like: Array) -> Array:
        noise = self._noise_or_none(F, like)
        if noise is None:
            raise TypeError(
                f"{self.name}: without a noise_variance for new observations there is no density "
                "of y."
            )
        return noise

    def _noise_or_none(self, F: Namespace, like: Array) -> Optional[Array]:
        if self.noise_variance is None:
            return None
        return F.reshape(parameter_array(F, self.noise_variance, like), shape=(1, 1))

    def _jitter_or_none(self, like: Array) -> Optional[Array]:
        return self._from_aside("jitter", like=like) if self._is_aside("jitter") else None

    # The rest.

    def _own_targets(self, y: Optional[ArrayLike]) -> mx.nd.NDArray:
        if y is None:
            return self._from_aside("targets")
        (found,) = self._from_people((("y", "B n"),), y)
        return found

    def _residual(self, F: Namespace, y: Array) -> Tuple[Array, Optional[Array]]:
        """y - m(X) with 0 where the mask hides a row, and the mask."""
        dtype = self._compute_dtype
        inputs = parameter_array(F, self.inputs, y)
        mean = mean_values(F, self.mean_function, inputs, dtype, cast(str, self.dtype))
        residual = F.cast(y, dtype=dtype) - mean
        seen = None
        if self.mask is not None:
            seen = parameter_array(F, self.mask, y)
            residual = F.where(seen, residual, fn.zeros_like(F, residual))
        return fn.finite_targets(F, residual, self.name), seen

    def _options(self, name: str, folds: Folds = None) -> Dict[str, Any]:
        if name != "cross_validation" or folds is None:
            return {}
        return {"folds": fold_numbers(self.name, folds, self._size())}

    def _remade(
        self,
        inputs: mx.nd.NDArray,
        targets: mx.nd.NDArray,
        factor: mx.nd.NDArray,
        mask: Optional[mx.nd.NDArray],
    ) -> "GPPredictor":
        """A predictor of other data with everything else as it is."""
        dtype, outer = self._compute_dtype, cast(str, self.dtype)
        residual = targets - mean_values(mx.nd, self.mean_function, inputs, dtype, outer)
        if mask is not None:
            residual = mx.nd.where(mask, residual, mx.nd.zeros_like(residual))
        residual = fn.finite_targets(mx.nd, residual, self.name)
        weights = fn.cholesky_solve(mx.nd, factor, residual.expand_dims(axis=2)).squeeze(axis=2)
        noise = None if self.noise_variance is None else self.noise_variance.data(inputs.context)
        return GPPredictor(
            self.kernel,
            self.mean_function,
            inputs,
            targets,
            factor,
            weights,
            noise,
            include_noise=self._include_noise,
            mask=mask,
            jitter=self._jitter_or_none(inputs),
            known_noise=self._known_noise,
            copied=True,
        )
