"""The exact posterior of several dependent processes: its views, from what subclasses state."""

from functools import reduce
from operator import add
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..functional.coregionalization import by_output
from ..functional.gaussian import HALF_LOG_2PI
from ..typing import Array, Namespace, hook
from .copying import frozen_copies
from .held_out import Folds
from .kernels import Kernel
from .multi_output_derivatives import derivatives, gradients
from .multi_output_observations import ExactObservations
from .multi_output_parts import output_means
from .multi_output_predictor import value_folds
from .parameters import parameter_array


class ExactMultiOutputPredictor(ExactObservations):
    """The posterior of `MultiOutputGPLikelihoodLayer`, known through k_q(X, x) and B_q.

    kernels, mean: of the layer, of which the predictor has copies, unless they are `copied`
    already; inputs: X (B, n, d); targets: (B, n, k); matrices: B_q (1, k, k) of each kernel;
    noise_variance: (1, k); mask: (B, n, k) of the values that were observed, or None for all.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        mean: Optional[mx.gluon.HybridBlock],
        inputs: mx.nd.NDArray,
        targets: mx.nd.NDArray,
        matrices: Sequence[mx.nd.NDArray],
        noise_variance: mx.nd.NDArray,
        include_noise: bool,
        constants: Mapping[str, mx.nd.NDArray],
        mask: Optional[mx.nd.NDArray] = None,
        copied: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._compute_dtype = np.dtype(inputs.dtype).name
        self._include_noise = include_noise
        self._keep_aside(inputs.context, targets=targets)
        self.outputs = int(noise_variance.shape[1])
        with self.name_scope():
            blocks = (*kernels, mean)
            copies = blocks if copied else frozen_copies(self.prefix, *blocks)
            self.kernels: List[Any] = list(copies[:-1])
            self.mean_function: Optional[mx.gluon.HybridBlock] = copies[-1]
            for kernel in self.kernels:
                self.register_child(kernel)
            own = {f"matrix_{i}": matrix for i, matrix in enumerate(matrices)}
            own.update(inputs=inputs, noise_variance=noise_variance, **constants)
            self.mask: Optional[mx.gluon.Parameter] = None
            if mask is not None:
                own["mask"] = mask
            for name, value in own.items():
                setattr(self, name, self.params.get_constant(name, value))
        self.params.initialize(ctx=inputs.context)

    # What a subclass states, in the dtype of the factor.

    @hook
    def _explained(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        """What α makes of c_q(X, x) ⊗ B_q, (B, m, k), for c_q (B, n, m) of each kernel.

        c_q = k_q: E f(x) - m(x). Or its derivatives by a column of x.
        """
        raise NotImplementedError

    @hook
    def _projected(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        """What the factor makes of c_q(X, x) ⊗ B_q, for `_taken`."""
        raise NotImplementedError

    @hook
    def _between(self, F: Namespace, x: Array) -> Array:
        """Cov(f_a(x), f_b(x)) at each x, (B, m, k, k)."""
        raise NotImplementedError

    @hook
    def _joint(self, F: Namespace, x: Array) -> Array:
        """The covariance of all outputs at all x, (B, k m, k m), one output after the other."""
        raise NotImplementedError

    @hook
    def _taken(self, F: Namespace, a: Array, b: Array) -> Array:
        """What the data take from covariances of each output, of two `_projected`, (B, m, k)."""
        raise NotImplementedError

    # Inside a graph.

    def _moments(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        wide = self._wide(F, x)
        # Gluon warns of parameters that a graph does not have.
        noise = (1.0 if self._include_noise else 0.0) * self._noise(F, x)
        variance = F.broadcast_add(self._latent_variance(F, wide), noise)
        dtype = self.dtype
        return F.cast(self._latent_mean(F, wide), dtype=dtype), F.cast(variance, dtype=dtype)

    def _mean_view(self, F: Namespace, x: Array) -> Array:
        return F.cast(self._latent_mean(F, self._wide(F, x)), dtype=self.dtype)

    def _variance_view(self, F: Namespace, x: Array) -> Array:
        variance = self._latent_variance(F, self._wide(F, x))
        if self._include_noise:
            variance = F.broadcast_add(variance, self._noise(F, x))
        return F.cast(variance, dtype=self.dtype)

    def _output_covariance_view(self, F: Namespace, x: Array) -> Array:
        return F.cast(self._between(F, self._wide(F, x)), dtype=self.dtype)

    def _covariance_view(self, F: Namespace, x: Array) -> Array:
        return F.cast(self._joint(F, self._wide(F, x)), dtype=self.dtype)

    def _samples_view(self, F: Namespace, x: Array, noise: Array) -> Array:
        """(B, m, k, s) of normal noise (B, m k, s)."""
        wide = self._wide(F, x)
        covariance = self._joint(F, wide)
        prior = fn.diagonal(F, covariance)
        largest = F.max(self._prior(F, wide), axis=(1, 2))
        rounding = F.reshape(largest, shape=(-1, 1)) * (16.0 + self._size())
        rounding = F.broadcast_mul(fn.unit_roundoff(F, prior), rounding)
        factor = fn.cholesky(
            F, fn.add_diagonal(F, covariance, rounding), jitter="auto", name=self.name
        )
        drawn = fn.product(F, factor, F.cast(noise, dtype=self._compute_dtype))
        drawn = F.reshape(drawn, shape=(0, -4, self.outputs, -1, 0))
        mean = F.expand_dims(self._latent_mean(F, wide), axis=3)
        drawn = F.broadcast_add(F.transpose(drawn, axes=(0, 2, 1, 3)), mean)
        return F.cast(drawn, dtype=self.dtype)

    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        wide = self._wide(F, x)
        residual = F.cast(y, dtype=self._compute_dtype) - self._latent_mean(F, wide)
        variance = F.broadcast_add(self._latent_variance(F, wide), self._noise(F, x))
        value = -0.5 * (F.square(residual) / variance + F.log(variance)) - HALF_LOG_2PI
        return F.cast(value, dtype=self.dtype)

    def _joint_log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        wide = self._wide(F, x)
        residual = F.cast(y, dtype=self._compute_dtype) - self._latent_mean(F, wide)
        noise = F.broadcast_mul(fn.ones_like(F, residual), self._noise(F, x))
        covariance = fn.add_diagonal(F, self._joint(F, wide), by_output(F, noise))
        value = -fn.gaussian_nll(F, covariance, by_output(F, residual), name=self.name)
        return F.cast(value, dtype=self.dtype)

    def _gradient_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        found = (F.cast(a, dtype=self.dtype) for a in gradients(F, self, self._wide(F, x)))
        return tuple(found)  # type: ignore[return-value]

    def _derivative_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        found = (F.cast(a, dtype=self.dtype) for a in derivatives(F, self, self._wide(F, x)))
        return tuple(found)  # type: ignore[return-value]

    # The rest.

    @property
    def dtype(self) -> Optional[str]:
        return cast(Optional[str], self.kernels[0].dtype)

    def _input_sizes(self) -> Tuple[int, int]:
        return int(self.inputs.shape[0]), int(self.inputs.shape[2])

    def _check_parameters(self, array: Array) -> None:
        self.kernels[0]._check_parameters(array)

    def _size(self) -> int:
        return int(self.inputs.shape[1])

    def _options(self, name: str, folds: Folds = None) -> Dict[str, Any]:
        if name != "cross_validation" or folds is None:
            return {}
        numbers = value_folds(self.name, folds, self._size(), self.outputs)
        return {"folds": numbers.reshape(-1)}

    def _constant(self, F: Namespace, name: str, like: Array) -> Array:
        return parameter_array(F, getattr(self, name), like)

    def _matrix(self, F: Namespace, q: int, like: Array) -> Array:
        return self._constant(F, f"matrix_{q}", like)

    def _wide(self, F: Namespace, x: Array) -> Array:
        x = fn.require_columns(F, x, self._constant(F, "inputs", x), self.name, "x")
        fn.require_inputs(F, x, self.name)
        return F.cast(x, dtype=self._compute_dtype)

    def _crosses(self, F: Namespace, x: Array) -> List[Array]:
        """k_q(X, x) of each kernel, (B, n, m)."""
        inputs = self._constant(F, "inputs", x)
        return [kernel.evaluate(F, inputs, x, self._compute_dtype) for kernel in self.kernels]

    def _noise(self, F: Namespace, like: Array) -> Array:
        return F.expand_dims(self._constant(F, "noise_variance", like), axis=1)

    def _of_kernels(self, F: Namespace, one: Any) -> Any:
        """Σ_q one(q, kernel)."""
        return reduce(add, (one(q, kernel) for q, kernel in enumerate(self.kernels)))

    def _prior(self, F: Namespace, x: Array) -> Array:
        """Σ_q B_q,aa k_q(x, x), (B, m, k)."""
        return self._of_outputs(
            F, [kernel.evaluate_diagonal(F, x, self._compute_dtype) for kernel in self.kernels]
        )

    def _of_outputs(self, F: Namespace, values: Sequence[Array]) -> Array:
        """Σ_q B_q,aa v_q, (B, m, k), of v_q (B, m) of each kernel."""

        def one(q: int, _: Kernel) -> Array:
            diagonal = F.expand_dims(fn.diagonal(F, self._matrix(F, q, values[q])), axis=1)
            return F.broadcast_mul(F.expand_dims(values[q], axis=2), diagonal)

        return self._of_kernels(F, one)

    def _prior_joint(self, F: Namespace, x: Array) -> Array:
        """Σ_q B_q ⊗ k_q(x), (B, k m, k m)."""

        def one(q: int, kernel: Kernel) -> Array:
            own = kernel.evaluate(F, x, None, self._compute_dtype)
            return fn.kronecker(F, self._matrix(F, q, x), own)

        return self._of_kernels(F, one)

    def _prior_between(self, F: Namespace, x: Array) -> Array:
        """Σ_q k_q(x, x) B_q, (B, m, k, k)."""

        def one(q: int, kernel: Kernel) -> Array:
            own = kernel.evaluate_diagonal(F, x, self._compute_dtype)
            own = F.reshape(own, shape=(0, 0, 1, 1))
            return F.broadcast_mul(own, F.expand_dims(self._matrix(F, q, x), axis=1))

        return self._of_kernels(F, one)

    def _latent_mean(self, F: Namespace, x: Array) -> Array:
        explained = self._explained(F, self._crosses(F, x))
        dtype, outer = self._compute_dtype, cast(str, self.dtype)
        return explained + output_means(F, self.mean_function, x, explained, dtype, outer)

    def _latent_variance(self, F: Namespace, x: Array) -> Array:
        """Never below ε of the prior variance, where rounding would make it negative."""
        prior = self._prior(F, x)
        projected = self._projected(F, self._crosses(F, x))
        variance = prior - self._taken(F, projected, projected)
        return F.maximum(variance, prior * fn.unit_roundoff(F, prior))

    def _kept(self, context: Any) -> Dict[str, Any]:
        """What a predictor of other data has, too."""
        return {
            "kernels": self.kernels,
            "mean": self.mean_function,
            "matrices": [
                getattr(self, f"matrix_{q}").data(context) for q in range(len(self.kernels))
            ],
            "noise_variance": self.noise_variance.data(context),
            "include_noise": self._include_noise,
            "copied": True,
        }

    def _noisy(self, F: Namespace, x: Array, noise: Optional[Array]) -> Array:
        """A of observations at x (B, r, d), (B, r k, r k)."""
        dtype = self._compute_dtype
        covariance = self._of_kernels(
            F,
            lambda q, kernel: fn.kronecker(
                F, kernel.evaluate(F, x, None, dtype), self._matrix(F, q, x)
            ),
        )
        ones = F.ones_like(F.slice_axis(x, axis=2, begin=0, end=1))
        variances = F.broadcast_mul(ones, self._noise(F, x))
        variances = variances if noise is None else variances + noise
        return fn.add_diagonal(F, covariance, F.reshape(variances, shape=(0, -3)))
