"""The posterior of several dependent processes."""

from typing import Any, Mapping, Optional, Sequence, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.coregionalization import KroneckerSpectrum
from ..functional.gaussian import HALF_LOG_2PI
from ..typing import Array, Namespace, hook
from .copying import frozen_copies
from .kernels import Kernel
from .parameters import parameter_array
from .views import Viewed

X, Y = ("x", "B m d"), ("y", "B m k")


class MultiOutputPredictor(Viewed):
    """x -> (mean, variance), or (x, y) -> log p(y), of k outputs, (B, m, d) -> (B, m, k).

    Made by `MultiOutputGPLikelihoodLayer.condition`. With include_noise the variance is that of a
    new observation. With y it is the log density of each value by itself. `view(name)` is one view
    as a block; all export.

    kernels, mean: of the layer, of which the predictor has copies; inputs: (B, n, d); matrices:
    B_q (1, k, k) of each kernel; noise_variance: (1, k).

    Raises ShapeError, DtypeError.

    Made by `MultiOutputGPLikelihoodLayer`.

    >>> layer = gl.MultiOutputGPLikelihoodLayer(gl.kernels.RBF(), outputs=2, noise_variance=0.1)
    >>> layer.initialize()
    >>> predictor = layer.condition(np.zeros((1, 1)), np.ones((1, 2)))
    >>> mean, variance = predictor(mx.nd.zeros((1, 5, 1)))
    >>> mean.shape, variance.shape
    ((1, 5, 2), (1, 5, 2))
    """

    arguments = (X, Y)
    required = 1
    views = {
        "mean": ((X,), 1),
        "variance": ((X,), 1),
        "output_covariance": ((X,), 1),
        "covariance": ((X,), 1),
        "samples": ((X, ("noise", "B mk s")), 2),
        "log_density": ((X, Y), 2),
    }

    def __init__(
        self,
        kernels: Sequence[Kernel],
        mean: Optional[mx.gluon.HybridBlock],
        inputs: mx.nd.NDArray,
        matrices: Sequence[mx.nd.NDArray],
        noise_variance: mx.nd.NDArray,
        include_noise: bool,
        constants: Mapping[str, mx.nd.NDArray],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._compute_dtype = np.dtype(inputs.dtype).name
        self._include_noise = include_noise
        self.outputs = int(noise_variance.shape[1])
        with self.name_scope():
            copies = frozen_copies(self.prefix, *kernels, mean)
            self.kernels, self.mean_function = copies[:-1], copies[-1]
            for kernel in self.kernels:
                self.register_child(kernel)
            own = {f"matrix_{i}": matrix for i, matrix in enumerate(matrices)}
            own.update(inputs=inputs, noise_variance=noise_variance, **constants)
            for name, value in own.items():
                setattr(self, name, self.params.get_constant(name, value))
        self.params.initialize(ctx=inputs.context)

    # What a subclass states, in the dtype of the factor.

    @hook
    def _explained(self, F: Namespace, x: Array) -> Array:
        """E f(x) - m(x), (B, m, k)."""
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
    def _variances(self, F: Namespace, x: Array) -> Array:
        """Var f_a(x), (B, m, k)."""
        raise NotImplementedError

    def hybrid_forward(
        self, F: Namespace, x: Array, y: Optional[Array] = None, **stored: Any
    ) -> Any:
        if y is not None:
            return self._log_density_view(F, x, y)
        wide = self._wide(F, x)
        # Gluon warns of parameters that a graph does not have.
        noise = (1.0 if self._include_noise else 0.0) * self._noise(F, x)
        variance = F.broadcast_add(self._latent_variance(F, wide), noise)
        dtype = self.dtype
        return F.cast(self._latent_mean(F, wide), dtype=dtype), F.cast(variance, dtype=dtype)

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior means, (B, m, d) -> (B, m, k)."""
        return self._now("mean", x)

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The variances that a call gives, (B, m, d) -> (B, m, k)."""
        return self._now("variance", x)

    def output_covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The covariance of the latent outputs at each x, (B, m, d) -> (B, m, k, k)."""
        return self._now("output_covariance", x)

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The covariance of all latent outputs at all x, (B, m, d) -> (B, k m, k m).

        One output after the other.
        """
        return self._now("covariance", x)

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent outputs, (B, m, d) -> (size, B, m, k)."""
        (x,) = self._arrays((X,), x)
        shape = (x.shape[0], x.shape[1] * self.outputs, size)
        noise = mx.nd.random.normal(shape=shape, dtype=self.dtype, ctx=x.context)
        return self._now("samples", x, noise).transpose((3, 0, 1, 2))

    def log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """The log density of each new y by itself, (B, m, d), (B, m, k) -> (B, m, k)."""
        return self._now("log_density", x, y)

    # Views inside a graph.

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
        drawn = F.transpose(self._split(F, drawn), axes=(0, 2, 1, 3))
        mean = F.expand_dims(self._latent_mean(F, wide), axis=3)
        return F.cast(F.broadcast_add(drawn, mean), dtype=self.dtype)

    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        wide = self._wide(F, x)
        residual = F.cast(y, dtype=self._compute_dtype) - self._latent_mean(F, wide)
        variance = F.broadcast_add(self._latent_variance(F, wide), self._noise(F, x))
        value = -0.5 * (F.square(residual) / variance + F.log(variance)) - HALF_LOG_2PI
        return F.cast(value, dtype=self.dtype)

    # The rest.

    @property
    def dtype(self) -> Optional[str]:
        return cast(Optional[str], self.kernels[0].dtype)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        batch, _, columns = self.inputs.shape
        if sizes["B"] != batch or sizes["d"] != columns:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']} and {sizes['d']} columns; the data it "
                f"was conditioned on has batch {batch} and {columns} columns."
            )
        if sizes.get("k", self.outputs) != self.outputs:
            raise ShapeError(f"{self.name}: 'y' has {sizes['k']} outputs, expected {self.outputs}.")

    def _check_parameters(self, array: Array) -> None:
        self.kernels[0]._check_parameters(array)

    def _size(self) -> int:
        return int(self.inputs.shape[1])

    def _constant(self, F: Namespace, name: str, like: Array) -> Array:
        return parameter_array(F, getattr(self, name), like)

    def _matrix(self, F: Namespace, q: int, like: Array) -> Array:
        return self._constant(F, f"matrix_{q}", like)

    def _wide(self, F: Namespace, x: Array) -> Array:
        x = fn.require_columns(F, x, self._constant(F, "inputs", x), self.name, "x")
        fn.require_inputs(F, x, self.name)
        return F.cast(x, dtype=self._compute_dtype)

    def _cross(self, F: Namespace, q: int, x: Array) -> Array:
        inputs = self._constant(F, "inputs", x)
        return self.kernels[q].evaluate(F, inputs, x, self._compute_dtype)

    def _noise(self, F: Namespace, like: Array) -> Array:
        return F.expand_dims(self._constant(F, "noise_variance", like), axis=1)

    def _prior(self, F: Namespace, x: Array) -> Array:
        """Σ_q B_q,aa k_q(x, x), (B, m, k)."""
        total: Any = None
        for q, kernel in enumerate(self.kernels):
            own = F.expand_dims(kernel.evaluate_diagonal(F, x, self._compute_dtype), axis=2)
            diagonal = F.expand_dims(fn.diagonal(F, self._matrix(F, q, x)), axis=1)
            part = F.broadcast_mul(own, diagonal)
            total = part if total is None else total + part
        return total

    def _prior_joint(self, F: Namespace, x: Array) -> Array:
        total: Any = None
        for q, kernel in enumerate(self.kernels):
            own = kernel.evaluate(F, x, None, self._compute_dtype)
            part = fn.kronecker(F, self._matrix(F, q, x), own)
            total = part if total is None else total + part
        return total

    def _prior_between(self, F: Namespace, x: Array) -> Array:
        """Σ_q k_q(x, x) B_q, (B, m, k, k)."""
        total: Any = None
        for q, kernel in enumerate(self.kernels):
            own = kernel.evaluate_diagonal(F, x, self._compute_dtype)
            own = F.expand_dims(F.expand_dims(own, axis=2), axis=3)
            part = F.broadcast_mul(own, F.expand_dims(self._matrix(F, q, x), axis=1))
            total = part if total is None else total + part
        return total

    def _latent_mean(self, F: Namespace, x: Array) -> Array:
        explained = self._explained(F, x)
        dtype, outer = self._compute_dtype, cast(str, self.dtype)
        return explained + output_means(F, self.mean_function, x, explained, dtype, outer)

    def _latent_variance(self, F: Namespace, x: Array) -> Array:
        """Never below ε of the prior variance, where rounding would make it negative."""
        prior = self._prior(F, x)
        variance = prior - self._variances(F, x)
        return F.maximum(variance, prior * fn.unit_roundoff(F, prior))

    def _split(self, F: Namespace, rows: Array) -> Array:
        """(B, k m, s), one output after the other, as (B, k, m, s)."""
        return F.reshape(rows, shape=(0, -4, self.outputs, -1, 0))


class DenseMultiOutputPredictor(MultiOutputPredictor):
    """By the factor L of A, (B, k n, k n), and α = A⁻¹ vec(y - m), (B, k n).

    mask: (B, k n) of the values that were observed, or None for all.
    """

    def __init__(
        self,
        factor: mx.nd.NDArray,
        weights: mx.nd.NDArray,
        mask: Optional[mx.nd.NDArray] = None,
        **given: Any,
    ) -> None:
        constants = {"factor": factor, "weights": weights}
        self_mask = {} if mask is None else {"mask": mask}
        super().__init__(constants={**constants, **self_mask}, **given)
        self._masked = mask is not None

    def _columns(self, F: Namespace, x: Array) -> Array:
        """Σ_q B_q ⊗ k_q(X, x), (B, k n, k m), without the rows that the mask hides."""
        total: Any = None
        for q in range(len(self.kernels)):
            part = fn.kronecker(F, self._matrix(F, q, x), self._cross(F, q, x))
            total = part if total is None else total + part
        if not self._masked:
            return total
        return F.broadcast_mul(total, F.expand_dims(self._constant(F, "mask", x), axis=2))

    def _whitened(self, F: Namespace, x: Array) -> Array:
        return fn.triangular_solve(F, self._constant(F, "factor", x), self._columns(F, x))

    def _explained(self, F: Namespace, x: Array) -> Array:
        row = F.expand_dims(self._constant(F, "weights", x), axis=1)
        flat = F.reshape(fn.product(F, row, self._columns(F, x)), shape=(0, self.outputs, -1))
        return fn.transpose(F, flat)

    def _variances(self, F: Namespace, x: Array) -> Array:
        flat = F.sum(F.square(self._whitened(F, x)), axis=1)
        return fn.transpose(F, F.reshape(flat, shape=(0, self.outputs, -1)))

    def _between(self, F: Namespace, x: Array) -> Array:
        parts = F.transpose(self._whitened(F, x), axes=(0, 2, 1))
        parts = F.transpose(self._split(F, parts), axes=(0, 2, 1, 3))
        flat = F.reshape(parts, shape=(-3, 0, 0))
        learned = fn.product(F, flat, flat, transpose_b=True)
        prior = self._prior_between(F, x)
        learned = F.reshape_like(
            learned, fn.stop(F, prior), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2
        )
        return prior - learned

    def _joint(self, F: Namespace, x: Array) -> Array:
        whitened = self._whitened(F, x)
        learned = fn.product(F, whitened, whitened, transpose_a=True)
        return fn.symmetrize(F, self._prior_joint(F, x) - learned)


class KroneckerPredictor(MultiOutputPredictor):
    """By the spectra of k(X) and D^-½ B D^-½ of the intrinsic model.

    With p(x) = Vᵀk(X, x) and G = Uᵀ D^-½ B, Cov(f_a(x), f_b(x')) = B_ab k(x, x') -
    Σ_i p_i(x) p_i(x') Σ_c S_ic G_ca G_cb. spectrum: `KroneckerSpectrum`; weights: α of R D^-½
    (B, n, k); scale: the diagonal of D^-½, (1, k).
    """

    def __init__(
        self,
        spectrum: KroneckerSpectrum,
        weights: mx.nd.NDArray,
        scale: mx.nd.NDArray,
        **given: Any,
    ) -> None:
        F, scaled = mx.nd, given["matrices"][0] * scale.expand_dims(axis=2)
        batch = spectrum.outputs.shape[0]
        scaled = F.broadcast_to(scaled, (batch, *scaled.shape[1:]))
        turned = fn.product(F, spectrum.outputs, scaled, transpose_a=True)
        constants = {
            "vectors": spectrum.inputs,
            "shrinkage": spectrum.shrinkage,
            "turned": turned,
            "weights": fn.product(F, weights, scaled),
        }
        super().__init__(constants=constants, **given)

    def _projected(self, F: Namespace, x: Array) -> Array:
        """p(x), (B, n, m)."""
        return fn.product(F, self._constant(F, "vectors", x), self._cross(F, 0, x))

    def _explained(self, F: Namespace, x: Array) -> Array:
        weights = self._constant(F, "weights", x)
        return fn.product(F, self._cross(F, 0, x), weights, transpose_a=True)

    def _variances(self, F: Namespace, x: Array) -> Array:
        turned = F.square(self._constant(F, "turned", x))
        shares = fn.product(F, self._constant(F, "shrinkage", x), turned)
        return fn.product(F, F.square(self._projected(F, x)), shares, transpose_a=True)

    def _share(self, F: Namespace, a: int, b: int, like: Array) -> Array:
        """Σ_c S_ic G_ca G_cb, (B, n, 1)."""
        turned = self._constant(F, "turned", like)
        left, right = (F.slice_axis(turned, axis=2, begin=i, end=i + 1) for i in (a, b))
        return fn.product(F, self._constant(F, "shrinkage", like), left * right)

    def _pairs(self, F: Namespace, one: Any) -> Any:
        """A k x k list of `one(a, b)`, which is symmetric in both."""
        count = self.outputs
        found = {(a, b): one(a, b) for b in range(count) for a in range(b + 1)}
        return [[found[min(a, b), max(a, b)] for b in range(count)] for a in range(count)]

    def _between(self, F: Namespace, x: Array) -> Array:
        squares = F.square(self._projected(F, x))

        def one(a: int, b: int) -> Array:
            return fn.product(F, squares, self._share(F, a, b, x), transpose_a=True)

        rows = [F.concat(*row, dim=2) for row in self._pairs(F, one)]
        return self._prior_between(F, x) - F.stack(*rows, axis=2)

    def _joint(self, F: Namespace, x: Array) -> Array:
        projected = self._projected(F, x)

        def one(a: int, b: int) -> Array:
            moved = F.broadcast_mul(projected, self._share(F, a, b, x))
            return fn.product(F, projected, moved, transpose_a=True)

        rows = [F.concat(*row, dim=2) for row in self._pairs(F, one)]
        return fn.symmetrize(F, self._prior_joint(F, x) - F.concat(*rows, dim=1))


def by_output(F: Namespace, values: Array) -> Array:
    """(B, n, k) as (B, k n), one output after the other."""
    return F.reshape(fn.transpose(F, values), shape=(0, -3))


def output_means(
    F: Namespace,
    mean: Optional[mx.gluon.HybridBlock],
    x: Array,
    like: Array,
    dtype: str,
    parameter_dtype: str,
) -> Array:
    """m(x) in `dtype`, (B, n, k), for a mean block whose parameters have another."""
    if mean is None:
        return fn.zeros_like(F, like)
    return F.cast(mean(F.cast(x, dtype=parameter_dtype)), dtype=dtype)
