"""The posterior of a process that is known through its values at inducing points."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union, cast

import mxnet as mx

from .. import functional as fn
from ..functional.gaussian import HALF_LOG_2PI
from ..functional.normal_update import Evidence, added_nll, updated, without_each, without_folds
from ..typing import Array, ArrayLike, Namespace
from .copying import frozen_copies
from .gp_predictor import Folds, fold_numbers
from .inducing import WIDE, Projection, hyperparameters, projection, seen_inputs
from .kernels import Kernel
from .likelihoods import Gaussian, Likelihood
from .mean import mean_values
from .parameters import parameter_array
from .posterior import HeldOut, Posterior

DATA = (("x", "B n d"), ("y", "B n"), ("noise", "B n"), ("mask", "B n"))


class SparseGPPredictor(Posterior):
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
    views = {**Posterior.views, "cross_validation": (DATA, 2)}
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
        self._include_noise, self._value, self._rest_is_noise = include_noise, value, rest_is_noise
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

    def negative_log_likelihood(self) -> mx.nd.NDArray:
        """What the layer gave for the data, the bound or FITC's likelihood, (B,).

        After updates that of all data so far. Of SVGP it is the value of the layer.
        """
        if self._value is None:
            raise TypeError(
                f"{self.name}: the bound of SVGP belongs to the layer: call it with the data."
            )
        return self._value.astype(self.dtype)

    def leave_one_out(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of each y_i given all others, (B, n) each; the data as conditioned on.

        x, y, noise, mask: as in `condition`.
        """
        mean, variance, _ = self.cross_validation(x, y, None, noise, mask)
        return mean, variance

    def cross_validation(
        self,
        x: ArrayLike,
        y: ArrayLike,
        folds: Folds = None,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> HeldOut:
        """Each y_i given all folds but its own: mean, variance and log density, (B, n) each.

        x, y, noise, mask: the data that the predictor was conditioned on; folds: as in
        `GPPredictor.cross_validation`. With q = Rᵀφ, e = y - m - φᵀw and G = q_I S_I^-½ of a fold

            w_-I = w - R (I - G Gᵀ)⁻¹ G S_I^-½ e_I,   Cov v_-I = R (I - G Gᵀ)⁻¹ Rᵀ,

        a factorization of (m, m) for each fold; of single rows 1 - |G|² is a number. Kernel and
        inducing points stay. Needs normal noise. All three are 0 where the mask hides a row.
        """
        data = self._observations(x, y, noise, mask)
        options = self._options("cross_validation", folds, data[1].shape[1])
        if options:
            options["folds"] = mx.nd.array(options["folds"], dtype=WIDE, ctx=data[0].context)
        return HeldOut(*self._cross_validation_view(mx.nd, *data, **options))

    # More and fewer observations.

    def with_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "SparseGPPredictor":
        """The posterior given k observations more, in m² (m + k) operations.

        x, y, noise, mask: (B, k, d), (B, k), (B, k), (B, k) as in `condition`. From the LQ of
        [R⁻ᵀ, φ S^-½], of which the first part is a root of Cov(v)⁻¹. Needs normal noise.
        """
        return self._updated(self._observations(x, y, noise, mask), 1.0)

    def without_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "SparseGPPredictor":
        """The posterior without k of its observations, which are given again.

        Raises NotPositiveDefiniteError where they cannot have been among the data.
        """
        return self._updated(self._observations(x, y, noise, mask), -1.0)

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

    def _options(
        self, name: str, folds: Folds = None, size: Optional[int] = None
    ) -> Dict[str, Any]:
        if name != "cross_validation" or folds is None:
            return {}
        if size is None:
            if isinstance(folds, int):
                raise TypeError(
                    f"{self.name}: a view needs the fold of each row, (n,): the data are not known."
                )
            size = len(folds)
        numbers = fold_numbers(self.name, folds, size)
        return {"folds": numbers, "count": int(numbers.max()) + 1}

    def _cross_validation_view(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array] = None,
        mask: Optional[Array] = None,
        folds: Optional[Array] = None,
        count: int = 0,
    ) -> Tuple[Array, Array, Array]:
        seen = self._evidence(F, x, y, noise, mask)
        root = parameter_array(F, self.roots[0], x)
        if folds is None:
            step, learned = without_each(F, root, seen)
        else:
            step, learned = without_folds(F, root, seen, folds, count, self.name)
        variance = learned + seen.rest + seen.noise
        error = seen.residual + step
        density = -0.5 * (F.square(error) / variance + F.log(variance)) - HALF_LOG_2PI
        found = [F.cast(y, dtype=WIDE) - error, variance, density]
        if mask is not None:
            rows = F.cast(mask, dtype=WIDE)
            found = [F.where(rows, a, fn.zeros_like(F, a)) for a in found]
        mean, variance, density = (F.cast(a, dtype=self.dtype) for a in found)
        return mean, variance, density

    def _evidence(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
    ) -> Evidence:
        """Observations as the posterior sees them; a hidden row has the weight 0."""
        self._one_process("this")
        if mask is not None:
            mask = fn.checked_mask(F, mask, self.name)
            x = seen_inputs(F, x, mask)
            y = F.where(mask, y, fn.zeros_like(F, y))
        noise = None if noise is None else fn.checked_noise(F, noise, mask, self.name)
        wide = self._wide(F, x)
        features, _, rest = self._projection(F, 0, wide)[1:]
        shift = mean_values(F, self.means[0], wide, WIDE, cast(str, self.dtype))
        residual = F.cast(y, dtype=WIDE) - shift
        residual = fn.finite_targets(F, residual, self.name)
        variances = F.broadcast_mul(fn.ones_like(F, residual), self._noise_variance(F, wide))
        if noise is not None:
            variances = variances + F.cast(noise, dtype=WIDE)
        total = variances + rest if self._rest_is_noise else variances
        scale = F.rsqrt(total)
        if mask is not None:
            scale = scale * F.cast(mask, dtype=WIDE)
        weights = F.slice_axis(parameter_array(F, self.weights, x), axis=2, begin=0, end=1)
        known = fn.product(F, features, weights, transpose_a=True)
        error = residual - F.reshape(known, shape=(0, -1))
        return Evidence(features, error, variances, F.relu(rest), scale)

    def _updated(self, data: Sequence[Any], sign: float) -> "SparseGPPredictor":
        """The posterior with observations more (1), or less (-1)."""
        seen = self._evidence(mx.nd, *data)
        context = data[0].context
        old = self.roots[0].data(context)
        root, step = updated(old, seen, sign, self.name)
        value = None
        if self._value is not None:
            added = added_nll(old, root, step, seen, sign)
            if not self._rest_is_noise:
                added = added + 0.5 * mx.nd.sum(seen.rest * mx.nd.square(seen.scale), axis=1)
            value = self._value + sign * added
        return SparseGPPredictor(
            self.kernels,
            self.means,
            self.inducing.data(context),
            [factor.data(context) for factor in self.factors],
            self.weights.data(context) + step,
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
        noise = self.likelihood._natural(F, self.likelihood.noise_variance, like)
        return F.cast(noise, dtype=WIDE)

    # The rest.

    def _has_likelihood(self, what: str) -> None:
        if self.likelihood is None:
            raise TypeError(f"{self.name}: without a likelihood there {what} of y.")

    def _observations(self, *values: Optional[ArrayLike]) -> List[Any]:
        return self._from_people(DATA, *values)

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


def latent_moments(
    F: Namespace,
    found: Sequence[Projection],
    weights: Array,
    roots: Sequence[Array],
    triangular: bool = False,
) -> Tuple[Array, Array]:
    """φᵀw and k(x, x) - |φ|² + |Rᵀφ|², (B, n), or (B, n, p) of p > 1 latent values.

    found: one `Projection` for all, or one for each; weights (B, m, p); roots (B, m, m) of each,
    lower `triangular` or of any kind. The variance is not below ε k(x, x), where rounding would
    make it negative.
    """
    times = fn.triangular_product if triangular else fn.product
    means, variances = [], []
    for i, root in enumerate(roots):
        own = found[i % len(found)]
        column = F.slice_axis(weights, axis=2, begin=i, end=i + 1)
        mean = fn.product(F, own.features, column, transpose_a=True)
        means.append(F.reshape(mean, shape=(0, -1)))
        moved = times(F, root, own.features, True)
        variance = own.rest + fn.column_squares(F, moved)
        variances.append(F.maximum(variance, own.prior * fn.unit_roundoff(F, own.prior)))
    return latent_axis(F, means, len(roots)), latent_axis(F, variances, len(roots))


def latent_axis(F: Namespace, each: Sequence[Array], latents: int) -> Array:
    """(B, n) of one latent value, or of each in (B, n, p); a list of one serves all."""
    if latents == 1:
        return each[0]
    return F.stack(*(each[i % len(each)] for i in range(latents)), axis=2)
