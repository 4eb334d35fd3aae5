"""The posterior of a process that is known through its values at inducing points."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union, cast

import mxnet as mx

from .. import functional as fn
from ..typing import Array, Namespace
from .copying import frozen_copies
from .inducing import (
    WIDE,
    Projection,
    hyperparameters,
    latent_axis,
    latent_moments,
    projection,
)
from .kernels import Kernel
from .likelihoods import Gaussian, Likelihood
from .mean import mean_values
from .parameters import parameter_array
from .sparse_gp_observations import SparseObservations


class SparseGPPredictor(SparseObservations):
    """x -> (mean, variance), or (x, y) -> log p(y), of a sparse posterior, (B, n, d) -> (B, n).

    f(x) = m(x) + φ(x)ᵀ v + e with φ(x) = L⁻¹ k(Z, x), L Lᵀ = K(Z, Z) and v ~ N(w, R Rᵀ):

        mean = m(x) + φᵀ w,  variance = k(x, x) - |φ|² + |Rᵀ φ|²,

    of the latent value, or with include_noise of a new y. With y it is the log predictive density
    of each y by itself. Where the likelihood has p latent values mean and variance are (B, n, p).
    Made by `condition` of the sparse layers. Costs m² for each x, whatever the data were. Exports
    like any block, with or without y, and has the views of `Posterior`. The data themselves are
    not kept: what looks at them takes them again.

    kernels, means: one or one for each latent value; inducing (B, m, d); factors: L (B, m, m) for
    each kernel; weights: w (B, m, p); roots: R (B, m, m) for each latent value. value: (B,), the
    negative log marginal likelihood, or its bound, of the data so far; rest_is_noise: whether
    k(x, x) - |φ|² is noise of the observations (FITC). copied: whether all blocks are copies
    already.

    Raises ShapeError, DtypeError.

    >>> layer = gl.SGPRLikelihoodLayer(gl.kernels.RBF(), [[0.0], [1.0]], noise_variance=0.1)
    >>> layer.initialize()
    >>> predictor = layer.condition([[0.0], [0.5], [1.0]], [0.0, 0.5, 1.0])
    >>> mean, variance = predictor(mx.nd.zeros((1, 4, 1)))
    >>> mean.shape
    (1, 4)
    """

    arguments = (("x", "B n d"), ("y", "B n"))
    required = 1
    _compute_dtype = WIDE

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
        value: Optional[mx.nd.NDArray] = None,
        rest_is_noise: bool = False,
        copied: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._include_noise, self._rest_is_noise = include_noise, rest_is_noise
        self._keep_aside(inducing.context, value=value)
        with self.name_scope():
            parts: Tuple[Any, ...] = (*kernels, *means, likelihood)
            copies = parts if copied else frozen_copies(self.prefix, *parts)
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

    def hybrid_forward(
        self, F: Namespace, x: Array, y: Optional[Array] = None, **stored: Array
    ) -> Union[Array, Tuple[Array, Array]]:
        if y is not None:
            return self._log_density_view(F, x, y)
        mean, variance = self._moments(F, x)
        if self._include_noise:
            return mean, variance
        return F.broadcast_add(mean, self._nothing(F, mean)), variance

    # Views beside those of `Posterior`.

    def sample_targets(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of new targets at x, (B, n, d) -> (size, B, n)."""
        self._has_likelihood("are no samples")
        latent = self.sample(x, size)
        inputs = mx.nd.tile(x, reps=(size, 1, 1)) if self._needs_inputs() else None
        drawn = self.likelihood.draw(latent.reshape((-3, *latent.shape[2:])), inputs)
        return drawn.reshape((size, -1, drawn.shape[1]))

    # Inside graphs.

    def _moments(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        mean, variance = self._latent_moments(F, x)
        if self._include_noise:
            self._has_likelihood("is no noise")
            return self.likelihood.predictive_moments(F, mean, variance, self._own_inputs(x))
        return mean, variance

    def _mean_view(self, F: Namespace, x: Array) -> Array:
        return self._moments(F, x)[0] if self._include_noise else super()._mean_view(F, x)

    def _variance_view(self, F: Namespace, x: Array) -> Array:
        return self._moments(F, x)[1] if self._include_noise else super()._variance_view(F, x)

    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        self._has_likelihood("is no density")
        mean, variance = self._latent_moments(F, x)
        own = self._own_inputs(x)
        return self.likelihood.predictive_log_density(F, mean, variance, y, own)

    def _remade(
        self, root: mx.nd.NDArray, weights: mx.nd.NDArray, value: Optional[mx.nd.NDArray]
    ) -> "SparseGPPredictor":
        context = root.context
        return SparseGPPredictor(
            self.kernels,
            self.means,
            self.inducing.data(context),
            [factor.data(context) for factor in self.factors],
            weights,
            [root],
            self.likelihood,
            self._include_noise,
            value=value,
            rest_is_noise=self._rest_is_noise,
            copied=True,
        )

    # What `Posterior` asks for.

    @property
    def latents(self) -> int:
        return len(self.roots)

    @property
    def columns(self) -> int:
        return int(self.inducing.shape[2])

    def _batch(self) -> int:
        return int(self.inducing.shape[0])

    def _size(self) -> int:
        return int(self.inducing.shape[1])

    def _points(self, F: Namespace, like: Array) -> Array:
        return parameter_array(F, self.inducing, like)

    def _hyperparameters(self, F: Namespace, i: int, like: Array) -> Optional[Dict[str, Array]]:
        return hyperparameters(F, self._kernel(i), like)

    def _projected(self, F: Namespace, i: int, columns: Array) -> Array:
        factor = parameter_array(F, self.factors[i % len(self.factors)], columns)
        return fn.triangular_solve(F, factor, columns)

    def _explained(
        self, F: Namespace, i: int, columns: Array, projected: Optional[Array] = None
    ) -> Array:
        projected = self._projected(F, i, columns) if projected is None else projected
        weights = parameter_array(F, self.weights, columns)
        column = F.slice_axis(weights, axis=2, begin=i, end=i + 1)
        return F.reshape(fn.product(F, projected, column, transpose_a=True), shape=(0, -1))

    def _root(self, F: Namespace, i: int, like: Array) -> Optional[Array]:
        return parameter_array(F, self.roots[i], like)

    def _noise_variance(self, F: Namespace, like: Array) -> Array:
        self._has_likelihood("is no noise_variance")
        if not isinstance(self.likelihood, Gaussian):
            raise TypeError(
                f"{self.name}: this needs normal noise; the likelihood is "
                f"{type(self.likelihood).__name__}."
            )
        return F.cast(self.likelihood.noise(F, like, like), dtype=WIDE)

    # The rest.

    def _has_likelihood(self, what: str) -> None:
        if self.likelihood is None:
            raise TypeError(f"{self.name}: without a likelihood there {what} of y.")

    def _constants(self, name: str, values: Sequence[mx.nd.NDArray]) -> List[Any]:
        found = []
        for i, value in enumerate(values):
            constant = self.params.get_constant(f"{name}_{i}", value)
            setattr(self, f"{name}_{i}", constant)
            found.append(constant)
        return found

    def _nothing(self, F: Namespace, like: Array) -> Array:
        """0 from the parameters of the likelihood: Gluon warns of those that a graph has not."""
        total = 0.0 * F.sum(fn.zeros_like(F, like))
        if self.likelihood is not None:
            for parameter in self.likelihood.collect_params().values():
                total = total + 0.0 * F.sum(fn.stop(F, parameter_array(F, parameter, like)))
        return F.reshape(total, shape=(1,) * (2 if len(self.roots) == 1 else 3))

    def _needs_inputs(self) -> bool:
        return self.likelihood is not None and self.likelihood.needs_inputs

    def _own_inputs(self, x: Array) -> Optional[Array]:
        return x if self._needs_inputs() else None

    def _projection(self, F: Namespace, i: int, x: Array) -> Projection:
        index = i % len(self.kernels)
        kernel = self.kernels[index]
        factor = parameter_array(F, self.factors[index], x)
        values = hyperparameters(F, kernel, x)
        return projection(F, kernel, factor, self._points(F, x), x, values)

    def _latent_moments(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        """Mean and variance of the latent values, in the dtype of the predictor."""
        outer, wide = cast(str, self.dtype), self._wide(F, x)
        found = [self._projection(F, i, wide) for i in range(len(self.kernels))]
        roots = [parameter_array(F, root, x) for root in self.roots]
        mean, variance = latent_moments(F, found, parameter_array(F, self.weights, x), roots)
        shifts = [mean_values(F, m, wide, WIDE, outer) for m in self.means]
        mean = mean + latent_axis(F, shifts, len(roots))
        return F.cast(mean, dtype=outer), F.cast(variance, dtype=outer)
