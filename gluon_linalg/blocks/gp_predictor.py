"""The posterior of a Gaussian process (Rasmussen & Williams, equations 2.25, 2.26 and 5.12)."""

from typing import Any, Mapping, Optional, Tuple

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import DtypeError, ShapeError
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .casting import check_casts
from .copying import frozen_copies
from .kernels import Kernel
from .mean import mean_values


class GPPredictor(LinearAlgebraBlock):
    """x -> (mean, variance) of the posterior, (B, m, d) -> (B, m), (B, m).

    mean = m(x) + k(x, X) α,  variance = k(x, x) - |L⁻¹ k(X, x)|²  [+ noise variance],
    with A = L Lᵀ and α = A⁻¹(y - m(X)) computed once, by `GPLikelihoodLayer.condition`.

    kernel, mean: of the layer, of which the predictor has copies. The others are arrays.

    The variance never falls below ε k(x, x), where rounding would make it negative or its square
    root would lose its gradient. Exports like any block; the other methods work on arrays.
    """

    arguments = (("x", "B m d"),)

    def __init__(
        self,
        kernel: Kernel,
        mean: Optional[mx.gluon.HybridBlock],
        inputs: mx.nd.NDArray,
        targets: mx.nd.NDArray,
        factor: mx.nd.NDArray,
        weights: mx.nd.NDArray,
        noise_variance: Optional[mx.nd.NDArray],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._compute_dtype = np.dtype(inputs.dtype).name
        self._targets = targets
        with self.name_scope():
            self.kernel, self.mean_function = frozen_copies(self.prefix, kernel, mean)
            self.inputs = self.params.get_constant("inputs", inputs)
            self.factor = self.params.get_constant("factor", factor)
            self.weights = self.params.get_constant("weights", weights)
            if noise_variance is not None:
                self.noise_variance = self.params.get_constant("noise_variance", noise_variance)
        self.params.initialize(ctx=inputs.context)

    @property
    def dtype(self) -> Optional[str]:
        return self.kernel.dtype

    def hybrid_forward(
        self,
        F: Namespace,
        x: Array,
        inputs: Array,
        factor: Array,
        weights: Array,
        noise_variance: Optional[Array] = None,
    ) -> Tuple[Array, Array]:
        dtype, outer = self._compute_dtype, self.kernel.dtype
        x = F.cast(fn.require_columns(F, x, inputs, self.name, "x"), dtype=dtype)
        cross = self.kernel.evaluate(F, inputs, x, dtype)
        mean = mean_values(F, self.mean_function, x, dtype, outer) + _row_times(F, weights, cross)
        prior = self.kernel.evaluate_diagonal(F, x, dtype)
        whitened = fn.triangular_solve(F, factor, cross)
        explained = _row_times(F, fn.ones_like(F, weights), F.square(whitened))
        variance = F.maximum(prior - explained, prior * fn.unit_roundoff(F, prior))
        if noise_variance is not None:
            variance = F.broadcast_add(variance, F.reshape(noise_variance, shape=(1, 1)))
        return F.cast(mean, dtype=outer), F.cast(variance, dtype=outer)

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior mean, (B, m, d) -> (B, m)."""
        return self(x)[0]

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior variance, (B, m, d) -> (B, m)."""
        return self(x)[1]

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior covariance of the latent function at x, (B, m, d) -> (B, m, m)."""
        (x,), dtype = self._received(x), self._compute_dtype
        x = x.astype(dtype)
        cross = self.kernel.evaluate(mx.nd, self.inputs.data(x.context), x, dtype)
        whitened = fn.triangular_solve(mx.nd, self.factor.data(x.context), cross)
        prior = self.kernel.evaluate(mx.nd, x, None, dtype)
        posterior = prior - fn.product(mx.nd, whitened, whitened, transpose_a=True)
        return fn.symmetrize(mx.nd, posterior).astype(self.dtype)

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent function at x, (B, m, d) -> (size, B, m).

        mean + L ε with ε from MXNet's random state (``mx.random.seed``).
        """
        (x,) = self._received(x)
        covariance = fn.add_diagonal(mx.nd, self.covariance(x), self._rounding(x))
        factor = fn.cholesky(mx.nd, covariance, jitter="auto", name=self.name)
        mean = self.mean(x)
        shape = (mean.shape[0], mean.shape[1], size)
        noise = mx.nd.random.normal(shape=shape, dtype=self.dtype, ctx=mean.context)
        samples = mx.nd.broadcast_add(fn.product(mx.nd, factor, noise), mean.expand_dims(axis=2))
        return samples.transpose((2, 0, 1))

    def leave_one_out(self) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of each y_i given all others, (B, n) each, from the same factor.

        mean_i = y_i - α_i / [A⁻¹]_ii,  variance_i = 1 / [A⁻¹]_ii (of the noisy observation).
        """
        precision = fn.diagonal(mx.nd, fn.factor_inverse(mx.nd, self.factor.data()))
        mean = self._targets - self.weights.data() / precision
        return mean.astype(self.dtype), (1.0 / precision).astype(self.dtype)

    def check_cast(self, dtype: str) -> None:
        """Not possible: the factor belongs to the dtype it was computed in."""
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: cannot cast to {dtype}; cast the GPLikelihoodLayer and condition "
                f"again: the factor of the data was computed in {self._compute_dtype}."
            )

    def cast(self, dtype: str) -> None:
        """Only to the dtype that the predictor has, which changes nothing."""
        check_casts(self, dtype)

    def _rounding(self, x: Array) -> Array:
        """How far k(x, x) - |L⁻¹ k(X, x)|² may be from the truth, (B, m)."""
        prior = self.kernel.evaluate_diagonal(mx.nd, x, self.dtype)
        return prior * fn.unit_roundoff(mx.nd, prior) * (16.0 + self.inputs.shape[1])

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        batch, _, columns = self.inputs.shape
        if sizes["B"] != batch or sizes["d"] != columns:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']} and {sizes['d']} columns; the data it "
                f"was conditioned on has batch {batch} and {columns} columns."
            )

    def _check_parameters(self, array: Array) -> None:
        self.kernel._check_parameters(array)


def _row_times(F: Namespace, row: Array, matrix: Array) -> Array:
    """rowᵀ M of each batch element, (B, n), (B, n, m) -> (B, m)."""
    product = fn.product(F, F.expand_dims(row, axis=1), matrix)
    return F.reshape(product, shape=(0, -1))
