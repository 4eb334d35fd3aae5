"""Gaussian processes (Seeger et al. 2017, section 2.1; Rasmussen & Williams 2006, chapter 2)."""

from typing import Any, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from .. import native
from ..errors import ShapeError
from ..typing import Array, Device, Namespace
from .base import LinearAlgebraBlock
from .cholesky import check_jitter
from .gp_predictor import GPPredictor
from .kernels import Kernel
from .mean import mean_block, mean_values
from .parameters import PositiveParameter, parameter_array, positive_parameter


class GPLikelihoodLayer(LinearAlgebraBlock):
    """Negative log marginal likelihood of a Gaussian process, (x, y) -> (B,).

    φ = -log N(y | m(x), A) = ½ (rᵀA⁻¹r + log|2π A|),  r = y - m(x),
    A = k(x) + (noise_variance + jitter) I  [+ diag(noise)].

    x: (B, n, d) inputs; y: (B, n) targets; noise: (B, n), optional known variances of single
    observations, added to the learned one. The gradient is analytic (`functional.gaussian_nll`).

    kernel: a `kernels.Kernel`. mean: None or 'zero', 'constant', 'linear', or a HybridBlock that
    maps x to (B, n) or (B, n, 1). noise_variance: the initial value of a learnable parameter, a
    number or one for each of the n observations; None or 0 for no such parameter. jitter: as in
    `CholeskyBlock`. precision: 'float64' computes a float32 layer in float64 inside, for models
    whose condition number leaves float32 behind.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.
    """

    arguments = (("x", "B n d"), ("y", "B n"), ("noise", "B n"))
    required = 2

    def __init__(
        self,
        kernel: Kernel,
        mean: Union[None, str, mx.gluon.HybridBlock] = None,
        noise_variance: Union[None, float, Sequence[float], np.ndarray] = 1.0,
        jitter: Union[float, str] = 0.0,
        precision: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{self.name}: kernel is {kernel!r}, expected a gluon_linalg kernel.")
        if precision not in (None, "float64"):
            raise ValueError(
                f"{self.name}: precision is {precision!r}, expected 'float64' or None."
            )
        self._jitter, self._precision = check_jitter(jitter), precision
        with self.name_scope():
            self.kernel = kernel
            self.mean = mean_block(mean)
            self.noise_variance: Optional[PositiveParameter] = None
            if noise_variance is not None and np.any(np.asarray(noise_variance) != 0):
                self.noise_variance = positive_parameter(
                    self, "noise_variance", noise_variance, lower=1e-10
                )

    def hybrid_forward(
        self, F: Namespace, x: Array, y: Array, noise: Optional[Array] = None, **stored: Any
    ) -> Array:
        outer = cast(str, self.dtype)
        dtype = self._precision or outer
        x, y = (F.cast(array, dtype=dtype) for array in (x, y))
        noise = None if noise is None else F.cast(noise, dtype=dtype)
        residual = y - mean_values(F, self.mean, x, dtype, outer)
        if self.kernel.is_native(F, x):
            value = self._native_value(F, x, residual, noise, dtype)
            if F is not mx.nd or not np.isnan(value.asnumpy()).any():
                return F.cast(value, dtype=outer)
            # What follows tells what is wrong.
        covariance, noise = self._noisy_covariance(F, x, y, noise, dtype)
        value, weights, adjoint = fn.gaussian_adjoint(F, covariance, residual, self.name)
        linear = (
            self.kernel.weighted_sum(F, adjoint, x, dtype)
            + F.sum(weights * residual, axis=1)
            + F.sum(fn.stop(F, fn.diagonal(F, adjoint)) * noise, axis=1)
        )
        return F.cast(fn.with_gradient(F, value, linear), dtype=outer)

    def condition(
        self,
        x: mx.nd.NDArray,
        y: mx.nd.NDArray,
        noise: Optional[mx.nd.NDArray] = None,
        include_noise: bool = False,
    ) -> GPPredictor:
        """The posterior given data, a `GPPredictor`: x -> (mean, variance), each (B, m).

        x, y, noise: as in a call of the layer, but NumPy arrays as well, and with or without the
        batch axis, which the predictor has; they are brought to the layer's dtype. The covariance
        of the data is factored once, here. The predictor holds copies: training the layer further
        does not change it. include_noise: whether its variance is that of a new
        observation or of the latent function.
        """
        x, y, *noise = self._data(x, y, noise)
        outer = cast(str, self.dtype)
        dtype = self._precision or outer
        x, y, noise = (a if a is None else a.astype(dtype) for a in (x, y, *(noise or [None])))
        residual = y - mean_values(mx.nd, self.mean, x, dtype, outer)
        covariance, _ = self._noisy_covariance(mx.nd, x, y, noise, dtype)
        factor, _, weights = fn.gaussian_weights(mx.nd, covariance, residual, self.name)
        noise_variance = self._one_noise_variance(dtype, x.context) if include_noise else None
        with self.name_scope():
            return GPPredictor(self.kernel, self.mean, x, y, factor, weights, noise_variance)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self.kernel.check_columns(sizes["d"])
        shape = (1,) if self.noise_variance is None else self.noise_variance.shape
        if shape not in ((1,), (sizes["n"],)):
            raise ShapeError(
                f"{self.name}: {sizes['n']} observations, but noise_variance has one value for "
                f"each of {shape[0]}."
            )

    def _one_noise_variance(self, dtype: str, context: Device) -> Array:
        if self.noise_variance is None or self.noise_variance.shape != (1,):
            raise ValueError(
                f"{self.name}: include_noise needs a noise_variance that holds for every "
                "observation, also for new ones."
            )
        stored = self.noise_variance.data(context).astype(dtype)
        return self.noise_variance.natural(mx.nd, stored)

    def _native_value(
        self, F: Namespace, x: Array, residual: Array, noise: Optional[Array], dtype: str
    ) -> Array:
        """φ (B,) with its gradient, by one operator; NaN where there is none."""
        variances = self._variances(F, x, residual, noise, dtype)
        if self._jitter == "auto":
            covariance = self.kernel.evaluate(F, x, None, dtype, constant=True)
            covariance = fn.add_diagonal(F, covariance, fn.stop(F, variances))
            shift = fn.jitter_shift(F, variances, "auto", covariance, self.name)
            variances = F.broadcast_add(variances, shift)
        program = self.kernel.program(F, x, None, dtype)
        return native.gaussian_process_nll(F, program, residual, variances)

    def _noisy_covariance(
        self, F: Namespace, x: Array, y: Array, noise: Optional[Array], dtype: str
    ) -> Tuple[Array, Array]:
        """A, a constant (B, n, n), and what it has on the diagonal beside k(x), (B, n)."""
        variances = self._variances(F, x, y, noise, dtype)
        kernel = self.kernel.evaluate(F, x, None, dtype, constant=True)
        covariance = fn.add_diagonal(F, kernel, fn.stop(F, variances))
        if self._jitter == "auto":
            covariance = fn.add_jitter(F, covariance, "auto", self.name)
        return covariance, variances

    def _variances(
        self, F: Namespace, x: Array, y: Array, noise: Optional[Array], dtype: str
    ) -> Array:
        """What is added to the diagonal of k(x), but for a jitter of 'auto', (B, n)."""
        variances = fn.zeros_like(F, y) if noise is None else noise
        if self.noise_variance is not None:
            stored = F.cast(parameter_array(F, self.noise_variance, x), dtype=dtype)
            learned = self.noise_variance.natural(F, stored)
            variances = F.broadcast_add(variances, F.reshape(learned, shape=(1, -1)))
        if self._jitter not in (0, "auto"):
            diagonal = self.kernel.evaluate_diagonal(F, x, dtype) + variances
            shift = fn.jitter_shift(F, diagonal, self._jitter)
            variances = F.broadcast_add(variances, shift)
        return variances
