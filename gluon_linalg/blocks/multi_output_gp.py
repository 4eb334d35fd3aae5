"""Gaussian processes of several outputs: intrinsic and linear models of coregionalization."""

from typing import Any, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.coregionalization import kronecker_adjoint, kronecker_spectrum
from ..typing import Array, ArrayLike, Namespace
from .base import LinearAlgebraBlock
from .coregionalization import Coregionalization
from .kernels import Kernel
from .multi_output_dense_predictor import DenseMultiOutputPredictor
from .multi_output_exact_predictor import ExactMultiOutputPredictor
from .multi_output_kronecker_predictor import KroneckerPredictor
from .multi_output_parts import (
    Coregionalizations,
    Kernels,
    Means,
    coregionalization_list,
    kernel_list,
    means_block,
    output_means,
    seen_outputs,
)
from .parameters import PositiveParameter, parameter_array, positive_parameter


class MultiOutputGPLikelihoodLayer(LinearAlgebraBlock):
    """Negative log marginal likelihood of k dependent processes, (x, y) -> (B,).

    φ = -log N(vec y | vec m(x), A),  A = Σ_q B_q ⊗ k_q(x) + diag(noise_variance) ⊗ I [+ noise],
    B_q = W_q W_qᵀ + diag(κ_q), vec y one output after the other.

    x: (B, n, d) inputs that all outputs share; y: (B, n, k); noise: (B, n, k), optional known
    variances, added to the learned ones; mask: (B, n, k), optional, 1 where an output was observed
    and 0 where not, whatever stands there.

    kernel: one, the intrinsic model, or a list, the linear model of coregionalization.
    outputs: k. coregionalization: a `Coregionalization`, or one for each kernel; by default of
    `rank`. mean: None, 'constant', 'linear' (each of every output) or a HybridBlock from x to
    (B, n, k). noise_variance: the initial value of a learnable parameter, one number or one for
    each output; it is what jitter is elsewhere. precision: 'float64' computes a float32 layer in
    float64 inside.

    With one kernel, without `noise` and `mask`, A has the eigenvectors of D^-½ B D^-½ and of k(x):
    n³ + k³ operations and n² memory. Noise may differ between outputs, not between observations:
    with either argument, and with several kernels, A is formed and costs n³ k³, with static
    shapes. Bonilla, Chai & Williams 2007;
    Álvarez, Rosasco & Lawrence 2012.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.

    >>> layer = gl.MultiOutputGPLikelihoodLayer(gl.kernels.RBF(), outputs=2, noise_variance=0.1)
    >>> layer.initialize()
    >>> layer(mx.nd.zeros((1, 1, 1)), mx.nd.zeros((1, 1, 2))).shape
    (1,)
    """

    arguments = (("x", "B n d"), ("y", "B n k"), ("noise", "B n k"), ("mask", "B n k"))
    required = 2

    def __init__(
        self,
        kernel: Kernels,
        outputs: int,
        rank: int = 1,
        coregionalization: Coregionalizations = None,
        mean: Means = None,
        noise_variance: Union[float, Sequence[float], np.ndarray] = 1.0,
        precision: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if precision not in (None, "float64"):
            raise ValueError(
                f"{self.name}: precision is {precision!r}, expected 'float64' or None."
            )
        self.outputs, self._precision = outputs, precision
        noise = np.asarray(noise_variance, dtype="float64")
        if noise.ndim > 1 or noise.size not in (1, outputs):
            raise ShapeError(
                f"{self.name}: noise_variance has shape {noise.shape}, expected one number or "
                f"({outputs},), one for each output; give `noise` in the call for others."
            )
        with self.name_scope():
            self.kernels = kernel_list(self.name, kernel)
            self.coregionalizations = coregionalization_list(
                self.name, coregionalization, self.kernels, outputs, rank
            )
            for each in (*self.kernels, *self.coregionalizations):
                self.register_child(each)
            self.mean = means_block(mean, outputs)
            self.noise_variance: PositiveParameter = positive_parameter(
                self, "noise_variance", noise, lower=1e-10
            )

    @property
    def kernel(self) -> Kernel:
        """The kernel, of several the first."""
        return cast(Kernel, self.kernels[0])

    @property
    def coregionalization(self) -> Coregionalization:
        """That of the kernel, of several the first."""
        return self.coregionalizations[0]

    def hybrid_forward(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array] = None,
        mask: Optional[Array] = None,
        **stored: Any,
    ) -> Array:
        outer = cast(str, self.dtype)
        dtype = self._precision or outer
        x, y, noise, mask = seen_outputs(F, x, y, noise, mask, dtype, self.name)
        residual = self._residual(F, x, y, mask, dtype)
        if self._is_kronecker(noise, mask):
            value = self._kronecker_value(F, x, residual, dtype)
        else:
            covariance, residual = self._dense(F, x, residual, noise, mask, dtype)
            value = fn.gaussian_nll(F, covariance, residual, name=self.name)
        return F.cast(value, dtype=outer)

    def condition(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
        include_noise: bool = False,
    ) -> ExactMultiOutputPredictor:
        """The posterior given data, a `MultiOutputPredictor`: x -> (mean, variance), (B, m, k).

        x, y, noise, mask: as in a call of the layer, but NumPy arrays as well, and with or without
        the batch axis. Factored once, here: with the spectrum where the layer has it. The
        predictor holds copies. include_noise: whether its variance is that of new observations.
        """
        data = self._all_data(x, y, noise, mask)
        dtype = self._precision or cast(str, self.dtype)
        inputs, targets, variances, seen = seen_outputs(
            mx.nd, data[0], data[1], data[2], data[3], dtype, self.name
        )
        residual = self._residual(mx.nd, inputs, targets, seen, dtype)
        matrices = [c.matrix(mx.nd, inputs, dtype) for c in self.coregionalizations]
        given = {
            "kernels": self.kernels,
            "mean": self.mean,
            "inputs": inputs,
            "targets": targets,
            "matrices": [matrix.detach() for matrix in matrices],
            "noise_variance": self._noise(mx.nd, inputs, dtype).detach(),
            "include_noise": include_noise,
        }
        with self.name_scope():
            if not self._is_kronecker(variances, seen):
                covariance, flat = self._dense(mx.nd, inputs, residual, variances, seen, dtype)
                factor, _, weights = fn.gaussian_weights(mx.nd, covariance, flat, self.name)
                return DenseMultiOutputPredictor(factor, weights, mask=seen, **given)
            kernel, scale, root, residual = self._whitened(mx.nd, inputs, residual, dtype)
            spectrum = kronecker_spectrum(mx.nd, kernel, root)
            _, weights, _, _ = kronecker_adjoint(mx.nd, spectrum, residual)
            return KroneckerPredictor(spectrum, weights, scale, **given)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        for kernel in self.kernels:
            kernel.check_columns(sizes["d"])
        if sizes["k"] != self.outputs:
            raise ShapeError(
                f"{self.name}: 'y' has {sizes['k']} outputs, the layer was built with "
                f"outputs={self.outputs}."
            )

    def _is_kronecker(self, noise: Optional[Array], mask: Optional[Array]) -> bool:
        return len(self.kernels) == 1 and noise is None and mask is None

    def _residual(
        self, F: Namespace, x: Array, y: Array, mask: Optional[Array], dtype: str
    ) -> Array:
        residual = y - output_means(F, self.mean, x, y, dtype, cast(str, self.dtype))
        return residual if mask is None else F.where(mask, residual, fn.zeros_like(F, residual))

    def _noise(self, F: Namespace, like: Array, dtype: str) -> Array:
        """The learned variances, (1, k)."""
        stored = F.cast(parameter_array(F, self.noise_variance, like), dtype=dtype)
        natural = F.reshape(self.noise_variance.natural(F, stored), shape=(1, -1))
        if self.noise_variance.shape == (self.outputs,):
            return natural
        return F.broadcast_axis(natural, axis=1, size=self.outputs)

    def _whitened(
        self, F: Namespace, x: Array, residual: Array, dtype: str
    ) -> Tuple[Array, Array, Array, Array]:
        """k(x) constant, D^-½ (1, k), C of D^-½ B D^-½ = C Cᵀ, and R D^-½."""
        noise = self._noise(F, x, dtype)
        kernel = self.kernel.evaluate(F, x, None, dtype, constant=True)
        scale = F.rsqrt(noise)
        root = self.coregionalization.factor(F, x, dtype, fn.stop(F, scale))
        return kernel, scale, root, F.broadcast_mul(residual, F.expand_dims(scale, axis=1))

    def _kronecker_value(self, F: Namespace, x: Array, residual: Array, dtype: str) -> Array:
        """φ by the two spectra, with its analytic gradient."""
        kernel, scale, root, residual = self._whitened(F, x, residual, dtype)
        spectrum = kronecker_spectrum(F, kernel, root)
        value, weights, by_kernel, by_matrix = kronecker_adjoint(F, spectrum, residual)
        matrix = self.coregionalization.matrix(F, x, dtype)
        matrix = F.broadcast_mul(matrix, F.expand_dims(scale, axis=1))
        matrix = F.broadcast_mul(matrix, F.expand_dims(scale, axis=2))
        linear = (
            self.kernel.weighted_sum(F, by_kernel, x, dtype)
            + F.sum(F.broadcast_mul(by_matrix, matrix), axis=(1, 2))
            + F.sum(weights * residual, axis=(1, 2))
        )
        ones = fn.ones_like(F, residual)
        determinant = F.broadcast_mul(ones, F.expand_dims(F.log(scale), axis=1))
        return fn.with_gradient(F, value, linear) - F.sum(determinant, axis=(1, 2))

    def _dense(
        self,
        F: Namespace,
        x: Array,
        residual: Array,
        noise: Optional[Array],
        mask: Optional[Array],
        dtype: str,
    ) -> Tuple[Array, Array]:
        """A (B, n k, n k) and the residuals (B, n k), one row after the other."""
        covariance: Any = None
        for kernel, coregionalization in zip(self.kernels, self.coregionalizations):
            own = kernel.evaluate(F, x, None, dtype)
            part = fn.kronecker(F, own, coregionalization.matrix(F, x, dtype))
            covariance = part if covariance is None else covariance + part
        ones = fn.ones_like(F, residual)
        learned = F.expand_dims(self._noise(F, x, dtype), axis=1)
        variances = F.broadcast_mul(ones, learned)
        variances = variances if noise is None else variances + noise
        covariance = fn.add_diagonal(F, covariance, F.reshape(variances, shape=(0, -3)))
        flat = F.reshape(residual, shape=(0, -3))
        if mask is not None:
            covariance, flat = fn.hide_missing(F, covariance, flat, F.reshape(mask, shape=(0, -3)))
        return covariance, flat
