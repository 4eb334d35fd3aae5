"""The posterior of a process that is known through its values at inducing points."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx

from .. import functional as fn
from ..errors import DtypeError, ShapeError
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .casting import check_casts
from .copying import frozen_copies
from .inducing import WIDE, Projection, hyperparameters, projection
from .kernels import Kernel
from .likelihoods import Likelihood
from .mean import mean_values
from .parameters import parameter_array


class SparseGPPredictor(LinearAlgebraBlock):
    """x -> (mean, variance), or (x, y) -> log p(y), of a sparse posterior, (B, n, d) -> (B, n).

    f(x) = m(x) + φ(x)ᵀ v + e with φ(x) = L⁻¹ k(Z, x), L Lᵀ = K(Z, Z) and v ~ N(w, R Rᵀ):

        mean = m(x) + φᵀ w,  variance = k(x, x) - |φ|² + |Rᵀ φ|²,

    of the latent value, or with include_noise of a new y. With y it is the log predictive density
    of each y by itself. Where the likelihood has p latent values mean and variance are (B, n, p).
    Made by `condition` of the sparse layers. Costs m² for each x, whatever the data were. Exports
    like any block, with or without y; the other methods work on arrays.

    kernels, means: one or one for each latent value; inducing (B, m, d); factors: L (B, m, m) for
    each kernel; weights: w (B, m, p); roots: R (B, m, m) for each latent value.
    """

    arguments = (("x", "B n d"), ("y", "B n"))
    required = 1

    def __init__(
        self,
        kernels: Sequence[Kernel],
        means: Sequence[Optional[mx.gluon.HybridBlock]],
        inducing: mx.nd.NDArray,
        factors: Sequence[mx.nd.NDArray],
        weights: mx.nd.NDArray,
        roots: Sequence[mx.nd.NDArray],
        likelihood: Optional[Likelihood],
        include_noise: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._include_noise = include_noise
        with self.name_scope():
            copies = frozen_copies(self.prefix, *kernels, *means, likelihood)
            self.kernels, self.means = copies[: len(kernels)], copies[len(kernels) : -1]
            self.likelihood = copies[-1]
            for block in copies:
                if block is not None:
                    self.register_child(block)
            self.inducing = self.params.get_constant("inducing", inducing)
            self.weights = self.params.get_constant("weights", weights)
            self.factors = self._constants("factor", factors)
            self.roots = self._constants("root", roots)
        self.params.initialize(ctx=inducing.context)

    @property
    def dtype(self) -> Optional[str]:
        return self.kernels[0].dtype

    def hybrid_forward(
        self, F: Namespace, x: Array, y: Optional[Array] = None, **stored: Array
    ) -> Union[Array, Tuple[Array, Array]]:
        mean, variance, x = self._latent(F, x, stored)
        own = x if self._needs_inputs() else None
        if y is not None:
            if self.likelihood is None:
                raise TypeError(f"{self.name}: without a likelihood there is no density of y.")
            return self.likelihood.predictive_log_density(F, mean, variance, y, own)
        if self._include_noise:
            return self.likelihood.predictive_moments(F, mean, variance, own)
        return F.broadcast_add(mean, self._nothing(F, mean)), variance

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior mean, (B, n, d) -> (B, n)."""
        return self(x)[0]

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior variance, (B, n, d) -> (B, n)."""
        return self(x)[1]

    def log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """The log predictive density of each y by itself, (B, n, d), (B, n) -> (B, n)."""
        return self(x, y)

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior covariance of the latent values at x, (B, n, d) -> (B, n, n).

        Of p latent values, which are independent, (B, p, n, n).
        """
        (x,) = self._received(x)
        each = [self._covariance(i, x.astype(WIDE)).astype(self.dtype) for i in self._numbers()]
        return each[0] if len(each) == 1 else mx.nd.stack(*each, axis=1)

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent values at x, (B, n, d) -> (size, B, n) or (size, B, n, p)."""
        (x,) = self._received(x)
        mean, _, _ = self._latent(mx.nd, x, self._stored(x))
        columns = mean.expand_dims(axis=2) if mean.ndim == 2 else mean
        draws = []
        for i in self._numbers():
            covariance = self._covariance(i, x.astype(WIDE))
            rounding = self.kernels[i % len(self.kernels)].evaluate_diagonal(
                mx.nd, x.astype(WIDE), WIDE
            )
            rounding = rounding * fn.unit_roundoff(mx.nd, rounding) * (16.0 + self._size())
            factor = fn.cholesky(
                mx.nd, fn.add_diagonal(mx.nd, covariance, rounding), jitter="auto", name=self.name
            ).astype(self.dtype)
            noise = mx.nd.random.normal(shape=(*x.shape[:2], size), dtype=self.dtype, ctx=x.context)
            own = columns.slice_axis(axis=2, begin=i, end=i + 1)
            drawn = mx.nd.broadcast_add(fn.product(mx.nd, factor, noise), own)
            draws.append(drawn.transpose((2, 0, 1)))
        return draws[0] if len(draws) == 1 else mx.nd.stack(*draws, axis=3)

    def sample_targets(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of new targets at x, (B, n, d) -> (size, B, n)."""
        if self.likelihood is None:
            raise TypeError(f"{self.name}: without a likelihood there are no samples of y.")
        latent = self.sample(x, size)
        inputs = mx.nd.tile(x, reps=(size, 1, 1)) if self._needs_inputs() else None
        drawn = self.likelihood.draw(latent.reshape((-3, *latent.shape[2:])), inputs)
        return drawn.reshape((size, -1, drawn.shape[1]))

    def check_cast(self, dtype: str) -> None:
        """Not possible: the kernel's parameters belong to the factors that are kept."""
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: cannot cast to {dtype}; cast the layer and condition again."
            )

    def cast(self, dtype: str) -> None:
        """Only to the dtype that the predictor has, which changes nothing."""
        check_casts(self, dtype)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        batch, _, columns = self.inducing.shape
        if sizes["B"] != batch or sizes["d"] != columns:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']} and {sizes['d']} columns; the data it "
                f"was conditioned on has batch {batch} and {columns} columns."
            )

    def _check_parameters(self, array: Array) -> None:
        self.kernels[0]._check_parameters(array)

    def _constants(self, name: str, values: Sequence[mx.nd.NDArray]) -> List[Any]:
        found = []
        for i, value in enumerate(values):
            constant = self.params.get_constant(f"{name}_{i}", value)
            setattr(self, f"{name}_{i}", constant)
            found.append(constant)
        return found

    def _numbers(self) -> range:
        return range(len(self.roots))

    def _size(self) -> int:
        return int(self.inducing.shape[1])

    def _nothing(self, F: Namespace, like: Array) -> Array:
        """0 from the parameters of the likelihood: Gluon warns of those that a graph has not."""
        total = 0.0 * F.sum(fn.zeros_like(F, like))
        if self.likelihood is not None:
            for parameter in self.likelihood.collect_params().values():
                total = total + 0.0 * F.sum(fn.stop(F, parameter_array(F, parameter, like)))
        return F.reshape(total, shape=(1,) * (2 if len(self.roots) == 1 else 3))

    def _needs_inputs(self) -> bool:
        return self.likelihood is not None and self.likelihood.needs_inputs

    def _stored(self, x: mx.nd.NDArray) -> Mapping[str, mx.nd.NDArray]:
        return {name: p.data(x.context) for name, p in self._reg_params.items()}

    def _projection(
        self, F: Namespace, i: int, x: Array, stored: Mapping[str, Array]
    ) -> Projection:
        index = i % len(self.kernels)
        factor = stored[f"factor_{index}"]
        kernel = self.kernels[index]
        values = hyperparameters(F, kernel, x)
        return projection(F, kernel, factor, stored["inducing"], x, values)

    def _latent(
        self, F: Namespace, x: Array, stored: Mapping[str, Array]
    ) -> Tuple[Array, Array, Array]:
        """Mean and variance of the latent values, and x, in the dtype of the predictor."""
        outer = cast(str, self.dtype)
        x = fn.require_columns(F, x, stored["inducing"], self.name, "x")
        wide = F.cast(x, dtype=WIDE)
        found = [self._projection(F, i, wide, stored) for i in range(len(self.kernels))]
        roots = [stored[f"root_{i}"] for i in self._numbers()]
        mean, variance = latent_moments(F, found, stored["weights"], roots)
        shifts = [mean_values(F, m, wide, WIDE, outer) for m in self.means]
        mean = mean + latent_axis(F, shifts, len(roots))
        return F.cast(mean, dtype=outer), F.cast(variance, dtype=outer), x

    def _covariance(self, i: int, x: mx.nd.NDArray) -> mx.nd.NDArray:
        found = self._projection(mx.nd, i, x, self._stored(x))
        kernel = self.kernels[i % len(self.kernels)]
        root = self.roots[i].data(x.context)
        moved = fn.product(mx.nd, root, found.features, transpose_a=True)
        prior = kernel.evaluate(mx.nd, x, None, WIDE)
        explained = fn.product(mx.nd, found.features, found.features, transpose_a=True)
        own = fn.product(mx.nd, moved, moved, transpose_a=True)
        return fn.symmetrize(mx.nd, prior - explained + own)


def latent_moments(
    F: Namespace, found: Sequence[Projection], weights: Array, roots: Sequence[Array]
) -> Tuple[Array, Array]:
    """φᵀw and k(x, x) - |φ|² + |Rᵀφ|², (B, n), or (B, n, p) of p > 1 latent values.

    found: one `Projection` for all, or one for each; weights (B, m, p); roots (B, m, m) of each.
    The variance is not below ε k(x, x), where rounding would make it negative.
    """
    means, variances = [], []
    for i, root in enumerate(roots):
        own = found[i % len(found)]
        column = F.slice_axis(weights, axis=2, begin=i, end=i + 1)
        mean = fn.product(F, own.features, column, transpose_a=True)
        means.append(F.reshape(mean, shape=(0, -1)))
        moved = fn.product(F, root, own.features, transpose_a=True)
        variance = own.rest + F.sum(F.square(moved), axis=1)
        variances.append(F.maximum(variance, own.prior * fn.unit_roundoff(F, own.prior)))
    return latent_axis(F, means, len(roots)), latent_axis(F, variances, len(roots))


def latent_axis(F: Namespace, each: Sequence[Array], latents: int) -> Array:
    """(B, n) of one latent value, or of each in (B, n, p); a list of one serves all."""
    if latents == 1:
        return each[0]
    return F.stack(*(each[i % len(each)] for i in range(latents)), axis=2)
