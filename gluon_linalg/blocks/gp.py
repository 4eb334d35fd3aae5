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
from .inducing import seen_inputs
from .kernels import Kernel
from .mean import mean_block, mean_values
from .parameters import ONE, PositiveParameter, parameter_array, positive_parameter


class GPLikelihoodLayer(LinearAlgebraBlock):
    """Negative log marginal likelihood of a Gaussian process, (x, y) -> (B,).

    φ = -log N(y | m(x), A) = ½ (rᵀA⁻¹r + log|2π A|),  r = y - m(x),
    A = k(x) + (noise_variance + jitter) I  [+ diag(noise)].

    x: (B, n, d) inputs; y: (B, n) targets; noise: (B, n), optional known variances of single
    observations, added to the learned one; mask: (B, n), optional, 1 where an observation counts
    and 0 where not: value and gradients are those without it, whatever stands there. The gradient
    is analytic (`functional.gaussian_nll`).

    kernel: a `kernels.Kernel`. mean: None or 'zero', 'constant', 'linear', or a HybridBlock that
    maps x to (B, n) or (B, n, 1). noise_variance: the initial value of a learnable parameter, a
    number or one for each of the n observations; None or 0 for no such parameter. jitter: as in
    `CholeskyBlock`. precision: 'float64' computes a float32 layer in float64 inside, for models
    whose condition number leaves float32 behind.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.

    >>> layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=1.0)
    >>> layer.initialize()
    >>> round(layer(mx.nd.array([[[0.0]]]), mx.nd.array([[0.0]])).asnumpy().item(), 4)  # ½ log 2π·2
    1.2655
    """

    arguments = (("x", "B n d"), ("y", "B n"), ("noise", "B n"), ("mask", "B n"))
    required = 2

    def __init__(
        self,
        kernel: Kernel,
        mean: Union[None, str, mx.gluon.HybridBlock] = None,
        noise_variance: Union[None, float, Sequence[float], np.ndarray] = ONE,
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
        x, y, noise, mask = self._seen(F, x, y, noise, mask, dtype)
        residual = self._residual(F, x, y, mask, dtype)
        if mask is None and self.kernel.is_native(F, x):
            value = self._native_value(F, x, residual, noise, dtype)
            if F is not mx.nd or not np.isnan(value.asnumpy()).any():
                return F.cast(value, dtype=outer)
            # What follows tells what is wrong.
        covariance, variances, _ = self._noisy_covariance(F, x, y, noise, mask, dtype)
        value, weights, adjoint = fn.gaussian_adjoint(F, covariance, residual, self.name)
        if mask is not None:
            adjoint = fn.hidden_pairs(F, adjoint, mask)
        linear = (
            self.kernel.weighted_sum(F, adjoint, x, dtype)
            + F.sum(weights * residual, axis=1)
            + F.sum(fn.stop(F, fn.diagonal(F, adjoint)) * variances, axis=1)
        )
        return F.cast(fn.with_gradient(F, value, linear), dtype=outer)

    def condition(
        self,
        x: mx.nd.NDArray,
        y: mx.nd.NDArray,
        noise: Optional[mx.nd.NDArray] = None,
        include_noise: bool = False,
        mask: Optional[mx.nd.NDArray] = None,
    ) -> GPPredictor:
        """The posterior given data, a `GPPredictor`: x -> (mean, variance), each (B, m).

        x, y, noise, mask: as in a call of the layer, but NumPy arrays as well, and with or without
        the batch axis, which the predictor has; they are brought to the layer's dtype. The
        covariance of the data is factored once, here. The predictor holds copies: training the
        layer further does not change it. include_noise: whether its variance is that of a new
        observation or of the latent function.
        """
        x, y, noise, mask = self._all_data(x, y, noise, mask)
        dtype = self._precision or cast(str, self.dtype)
        noise_variance = self._one_noise_variance(dtype, x.context, include_noise)
        inputs, targets, variances, seen = self._seen(mx.nd, x, y, noise, mask, dtype)
        residual = self._residual(mx.nd, inputs, targets, seen, dtype)
        covariance, _, shift = self._noisy_covariance(
            mx.nd, inputs, targets, variances, seen, dtype
        )
        factor, _, weights = fn.gaussian_weights(mx.nd, covariance, residual, self.name)
        known = self.noise_variance is not None or variances is not None
        with self.name_scope():
            return GPPredictor(
                self.kernel,
                self.mean,
                inputs,
                targets,
                factor,
                weights,
                noise_variance,
                include_noise=include_noise,
                mask=seen,
                jitter=shift,
                known_noise=known and noise_variance is None,
            )

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self.kernel.check_columns(sizes["d"])
        shape = (1,) if self.noise_variance is None else self.noise_variance.shape
        if shape not in ((1,), (sizes["n"],)):
            raise ShapeError(
                f"{self.name}: {sizes['n']} observations, but noise_variance has one value for "
                f"each of {shape[0]}."
            )

    def _one_noise_variance(
        self, dtype: str, context: Device, required: bool
    ) -> Optional[mx.nd.NDArray]:
        """The noise variance of any observation, or None where each has its own."""
        if self.noise_variance is not None and self.noise_variance.shape == (1,):
            stored = self.noise_variance.data(context).astype(dtype)
            return cast(mx.nd.NDArray, self.noise_variance.natural(mx.nd, stored))
        if required:
            raise ValueError(
                f"{self.name}: include_noise needs a noise_variance that holds for every "
                "observation, also for new ones."
            )
        return None

    def _seen(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
        dtype: str,
    ) -> Tuple[Array, Array, Optional[Array], Optional[Array]]:
        """All arrays in `dtype`, with numbers where the mask hides what stands there."""
        y, noise, mask = fn.seen_targets(F, y, noise, mask, dtype, self.name)
        return seen_inputs(F, F.cast(x, dtype=dtype), mask), y, noise, mask

    def _residual(
        self, F: Namespace, x: Array, y: Array, mask: Optional[Array], dtype: str
    ) -> Array:
        """y - m(x), 0 where the mask hides a row."""
        residual = y - mean_values(F, self.mean, x, dtype, cast(str, self.dtype))
        if mask is None:
            return residual
        return F.where(mask, residual, fn.zeros_like(F, residual))

    def _native_value(
        self, F: Namespace, x: Array, residual: Array, noise: Optional[Array], dtype: str
    ) -> Array:
        """φ (B,) with its gradient, by one operator; NaN where there is none."""
        variances, _ = self._variances(F, x, residual, noise, None, dtype)
        if self._jitter == "auto":
            covariance = self.kernel.evaluate(F, x, None, dtype, constant=True)
            covariance = fn.add_diagonal(F, covariance, fn.stop(F, variances))
            shift = fn.jitter_shift(F, variances, "auto", covariance, self.name)
            variances = F.broadcast_add(variances, shift)
        program = self.kernel.program(F, x, None, dtype)
        return native.gaussian_process_nll(F, program, residual, variances)

    def _noisy_covariance(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
        dtype: str,
    ) -> Tuple[Array, Array, Optional[Array]]:
        """A, a constant (B, n, n), what it has beside k(x) (B, n), and what jitter added (B, 1)."""
        fn.require_inputs(F, x, self.name, mask)
        variances, shift = self._variances(F, x, y, noise, mask, dtype)
        kernel = self.kernel.evaluate(F, x, None, dtype, constant=True)
        covariance = fn.add_diagonal(F, kernel, fn.stop(F, variances))
        if self._jitter == "auto":
            shift = self._automatic_shift(F, covariance, mask)
            covariance = fn.shift_diagonal(F, covariance, shift)
        if mask is not None:
            covariance, _ = fn.hide_missing(F, covariance, y, mask)
        return covariance, variances, None if shift is None else fn.stop(F, shift)

    def _automatic_shift(self, F: Namespace, covariance: Array, mask: Optional[Array]) -> Array:
        if mask is not None:
            # The mean of the others on the diagonal is no extreme eigenvalue.
            own = fn.diagonal(F, covariance)
            hidden = (1.0 - mask) * fn.filled(F, own, mask)
            covariance = fn.add_diagonal(F, fn.hidden_pairs(F, covariance, mask), hidden)
        return fn.jitter_shift(F, fn.diagonal(F, covariance), "auto", covariance, self.name)

    def _variances(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
        dtype: str,
    ) -> Tuple[Array, Optional[Array]]:
        """What is added to the diagonal of k(x), (B, n), and the part of jitter in it, (B, 1).

        Without a jitter of 'auto'.
        """
        variances, shift = fn.zeros_like(F, y) if noise is None else noise, None
        if self.noise_variance is not None:
            stored = F.cast(parameter_array(F, self.noise_variance, x), dtype=dtype)
            learned = self.noise_variance.natural(F, stored)
            variances = F.broadcast_add(variances, F.reshape(learned, shape=(1, -1)))
        if self._jitter not in (0, "auto"):
            diagonal = self.kernel.evaluate_diagonal(F, x, dtype) + variances
            diagonal = diagonal if mask is None else fn.filled(F, diagonal, mask)
            shift = fn.jitter_shift(F, diagonal, self._jitter)
            variances = F.broadcast_add(variances, shift)
        return variances, shift
