"""Stochastic variational Gaussian processes: any likelihood, mini-batches, natural gradients."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import NotPositiveDefiniteError, ShapeError
from ..functional import lapack
from ..functional.checks import likelihood_in_range
from ..functional.lq import lq_factors
from ..typing import Array, ArrayLike, Namespace
from .given import given_parameter
from .inducing import (
    WIDE,
    InducingBlock,
    Kernels,
    Means,
    hyperparameters,
    latent_axis,
    latent_moments,
    seen_inputs,
)
from .likelihoods import Likelihood
from .mean import mean_values
from .parameters import parameter_array
from .sparse_gp_predictor import SparseGPPredictor


class SVGPLikelihoodLayer(InducingBlock):
    """The negative of a lower bound on log p(y), from a mini-batch, (x, y) -> (B,).

    φ = KL(q(v) | N(0, I)) - (N/b) Σ_i E_q log p(y_i | f(x_i)),  q(v) = N(w, R Rᵀ),
    f(x) = m(x) + φ(x)ᵀ v + e with φ(x) = L⁻¹ k(Z, x): v is whitened, so that q begins as the prior.
    Over mini-batches of b it is unbiased. x: (B, b, d); y: (B, b); mask: (B, b), optional, 1 where
    an observation counts, and only these are counted in b.

    kernel, mean, inducing_points, jitter: as in `InducingBlock`. likelihood: of
    `gluon_linalg.likelihoods`; one with p latent values has p independent processes, which share
    the inducing points, and the kernel and mean unless these are lists. count: N, the number of
    all observations; None where each call has all of them. batch: B, how many data sets, each with
    its own q, share the parameters.

    w and R are the parameters `variational_mean` (B, m, p) and `variational_factor` (B, p, m, m),
    of which the lower triangle is read. Train them with the rest, or by `natural_step` and
    then with ``grad_req = 'null'``. Hensman, Matthews & Ghahramani 2015.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.

    >>> likelihood = gl.likelihoods.Bernoulli()
    >>> layer = gl.SVGPLikelihoodLayer(gl.kernels.RBF(), [[0.0], [1.0]], likelihood, count=100)
    >>> layer.initialize()
    >>> layer(mx.nd.zeros((1, 10, 1)), mx.nd.ones((1, 10))).shape  # a batch of 10 of 100
    (1,)
    """

    arguments = (("x", "B n d"), ("y", "B n"), ("mask", "B n"))
    bounds_likelihood = True
    auxiliary = ("inducing_points", "variational_mean", "variational_factor")
    required = 2

    def __init__(
        self,
        kernel: Kernels,
        inducing_points: ArrayLike,
        likelihood: Likelihood,
        count: Optional[int] = None,
        mean: Means = None,
        jitter: Union[float, str] = 1e-8,
        batch: int = 1,
        **kwargs: Any,
    ) -> None:
        if not isinstance(likelihood, Likelihood):
            raise TypeError(
                f"SVGPLikelihoodLayer: likelihood is {likelihood!r}, expected one of "
                "gluon_linalg.likelihoods."
            )
        super().__init__(kernel, inducing_points, mean, jitter, likelihood.latents, **kwargs)
        if count is not None and count < self.count:
            raise ValueError(
                f"{self.name}: {self.count} inducing points for count={count} observations; give "
                "no more points than observations."
            )
        self._total = count
        shape = (batch, self._latents, self.count, self.count)
        with self.name_scope():
            self.likelihood = likelihood
            self.variational_mean = given_parameter(
                self, "variational_mean", np.zeros((batch, self.count, self._latents))
            )
            self.variational_factor = self.params.get(
                "variational_factor", shape=shape, init=_Identities()
            )

    def hybrid_forward(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        mask: Optional[Array] = None,
        **stored: Any,
    ) -> Array:
        outer = cast(str, self.dtype)
        x, y, _, mask = self.rows(F, x, y, None, mask)
        mask = None if mask is None else fn.checked_mask(F, mask, self.name)
        x = seen_inputs(F, x, mask)
        fn.require_inputs(F, x, self.name, mask)
        weights, roots = self._variational(F, x)
        mean, variance = latent_moments(F, self.projections(F, x), weights, roots, True)
        expected = self._expected(F, x, y, mask, self._shifted(F, x, mean), variance)
        total = F.cast(F.sum(expected, axis=1), dtype=WIDE) * self._scale(F, y, mask)
        value = F.cast(divergence(F, weights, roots) - total, dtype=outer)
        return likelihood_in_range(F, value, self.name)

    def natural_step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        mask: Optional[ArrayLike] = None,
        step: float = 1.0,
    ) -> None:
        """One step of natural gradient descent on q, from a mini-batch; all else stays.

        With g and h the derivatives of -(N/b) E log p(y_i) by the mean and the variance of f(x_i),

            S⁻¹ <- (1 - γ) S⁻¹ + γ (I + Σ_i 2 h_i φ_i φ_iᵀ),
            S⁻¹w <- (1 - γ) S⁻¹w + γ Σ_i (2 h_i φ_iᵀw - g_i) φ_i,   S = R Rᵀ, γ = `step`.

        A step of 1 reaches the optimum where the likelihood is Gaussian and the batch holds all
        observations. Where every h_i >= 0, as for all but `StudentT`, the new factor comes from
        the LQ of [√γ I, √(1 - γ) R⁻ᵀ, √(2 γ h) φ]; else γ is halved until S⁻¹ is positive
        definite. Arrays as in a call of the layer, or NumPy arrays. Salimbeni, Eleftheriadis &
        Hensman 2018.
        """
        if not 0.0 < step <= 1.0:
            raise ValueError(f"{self.name}: step is {step!r}, expected a number in (0, 1].")
        x, y, mask = self._all_data(x, y, mask)
        with mx.autograd.pause():
            inputs, targets, _, seen = self.rows(mx.nd, x, y, None, mask)
            seen = None if seen is None else fn.checked_mask(mx.nd, seen, self.name)
            inputs = seen_inputs(mx.nd, inputs, seen)
            fn.require_inputs(mx.nd, inputs, self.name, seen)
            found = self.projections(mx.nd, inputs)
            weights, roots = self._variational(mx.nd, inputs)
            mean, variance = latent_moments(mx.nd, found, weights, roots, True)
            mean = self._shifted(mx.nd, inputs, mean)
            slopes = self._slopes(inputs, targets, seen, mean, variance)
            updates = []
            for i, root in enumerate(roots):
                w = weights.slice_axis(axis=2, begin=i, end=i + 1)
                slope, bend = (a.slice_axis(axis=2, begin=i, end=i + 1) for a in slopes)
                features = found[i % len(found)].features
                updates.append(_updated(features, w, root, slope, bend, step, self.name))
            dtype = self.variational_mean.dtype
            self.variational_mean.set_data(
                mx.nd.concat(*(w for w, _ in updates), dim=2).astype(dtype)
            )
            factors = mx.nd.stack(*(root for _, root in updates), axis=1)
            self.variational_factor.set_data(factors.astype(self.variational_factor.dtype))

    def predictor(self, include_noise: bool = False) -> SparseGPPredictor:
        """The posterior, a `SparseGPPredictor` with copies of all parameters.

        include_noise: whether its mean and variance are those of a new y or of the latent values.
        """
        context = self.inducing_points.list_ctx()[0]
        batch = self.variational_mean.shape[0]
        points = self.points(mx.nd, self.inducing_points.data(context)).detach()
        points = mx.nd.broadcast_to(points, (batch, *points.shape[1:]))
        with mx.autograd.pause():
            weights, roots = self._variational(mx.nd, points)
            factors = [
                self._factor(mx.nd, kernel, points, hyperparameters(mx.nd, kernel, points))
                for kernel in self.kernels
            ]
        with self.name_scope():
            return SparseGPPredictor(
                self.kernels,
                self.means,
                points,
                factors,
                weights,
                roots,
                self.likelihood,
                include_noise,
            )

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        super().check_shapes(sizes)
        batch = self.variational_mean.shape[0]
        if sizes["B"] != batch:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']}, but the layer was built with "
                f"batch={batch}."
            )

    def _variational(self, F: Namespace, like: Array) -> Tuple[Array, List[Array]]:
        """w (B, m, p) and R (B, m, m) of each process, in float64."""
        weights = F.cast(parameter_array(F, self.variational_mean, like), dtype=WIDE)
        stored = F.cast(parameter_array(F, self.variational_factor, like), dtype=WIDE)
        stored = lapack.lower_triangle(F, stored)
        each = [F.slice_axis(stored, axis=1, begin=i, end=i + 1) for i in range(self._latents)]
        return weights, [F.squeeze(a, axis=1) for a in each]

    def _shifted(self, F: Namespace, x: Array, mean: Array) -> Array:
        """The means of the latent values with m(x) added."""
        outer = cast(str, self.dtype)
        shifts = [mean_values(F, m, F.cast(x, dtype=WIDE), WIDE, outer) for m in self.means]
        return mean + latent_axis(F, shifts, self._latents)

    def _expected(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        mask: Optional[Array],
        mean: Array,
        variance: Array,
    ) -> Array:
        """E log p(y_i), 0 where the mask hides y_i, (B, b)."""
        outer = cast(str, self.dtype)
        if mask is not None:
            mask = fn.stop(F, mask)
            # 0 is a number, a count and a class.
            y = F.where(mask, y, fn.zeros_like(F, y))
        mean, variance = (F.cast(a, dtype=outer) for a in (mean, variance))
        own = x if self.likelihood.needs_inputs else None
        each = self.likelihood.expected_log_density(F, mean, variance, y, own)
        if mask is None:
            return each
        # A mask that is none is NaN in a graph.
        return F.where(mask, each, fn.zeros_like(F, each)) + 0.0 * mask

    def _scale(self, F: Namespace, y: Array, mask: Optional[Array]) -> Union[float, Array]:
        """N/b, (B,)."""
        if self._total is None:
            return 1.0
        seen = fn.ones_like(F, y) if mask is None else fn.stop(F, mask)
        return float(self._total) / F.cast(F.sum(seen, axis=1), dtype=WIDE)

    def _slopes(
        self, x: Array, y: Array, mask: Optional[Array], mean: Array, variance: Array
    ) -> Tuple[Array, Array]:
        """The derivatives of -(N/b) E log p(y_i) by mean and variance, (B, b, p) in float64."""
        mean, variance = mean.detach(), variance.detach()
        mean.attach_grad()
        variance.attach_grad()
        with mx.autograd.record(train_mode=False):
            expected = self._expected(mx.nd, x, y, mask, mean, variance)
            loss = -mx.nd.sum(expected, axis=1).astype(WIDE) * self._scale(mx.nd, y, mask)
        gradients = mx.autograd.grad(loss, [mean, variance])
        shape = (0, 0, -1)
        first, second = (gradient.reshape(shape) for gradient in gradients)
        return first, second


def divergence(F: Namespace, weights: Array, roots: Sequence[Array]) -> Array:
    """KL(N(w, R Rᵀ) | N(0, I)), the sum over all processes, (B,)."""
    total = 0.5 * F.sum(F.square(weights), axis=(1, 2))
    for root in roots:
        diagonal = fn.diagonal(F, root)
        total = total + 0.5 * (
            F.sum(F.square(root), axis=(1, 2)) - F.sum(F.log(F.square(diagonal)) + 1.0, axis=1)
        )
    return total


def _updated(
    features: Array, weights: Array, root: Array, slope: Array, bend: Array, step: float, name: str
) -> Tuple[Array, Array]:
    """w (B, m, 1) and R (B, m, m) after a step of natural gradient descent."""
    curvature = 2.0 * bend
    projected = fn.product(mx.nd, features, weights, transpose_a=True)
    pull = fn.product(mx.nd, features, curvature * projected - slope)
    identity = fn.identity_like(mx.nd, root)
    inverse = fn.triangular_solve(mx.nd, root, identity)
    own = fn.product(mx.nd, inverse, fn.product(mx.nd, inverse, weights), transpose_a=True)
    positive = bool((curvature.min() >= 0.0).asscalar())
    if positive:
        scale = mx.nd.sqrt(step * curvature).transpose((0, 2, 1))
        rows = mx.nd.broadcast_mul(features, scale)
        parts = [step**0.5 * identity, rows]
        if step < 1.0:
            parts.insert(1, (1.0 - step) ** 0.5 * fn.transpose(mx.nd, inverse))
        _, factor = lq_factors(mx.nd, mx.nd.concat(*parts, dim=2))
    else:
        factor, step = _positive_step(features, inverse, curvature, step, name)
    natural = (1.0 - step) * own + step * pull
    moved = fn.cholesky_solve(mx.nd, factor, natural)
    _, new_root = lq_factors(mx.nd, fn.triangular_solve(mx.nd, factor, identity, transpose=True))
    return moved, new_root


def _positive_step(
    features: Array, inverse: Array, curvature: Array, step: float, name: str
) -> Tuple[Array, float]:
    """The factor of the new S⁻¹ and the step, halved until there is one."""
    old = fn.product(mx.nd, inverse, inverse, transpose_a=True)
    weighted = mx.nd.broadcast_mul(features, curvature.transpose((0, 2, 1)))
    new = fn.product(mx.nd, weighted, features, transpose_b=True) + fn.identity_like(mx.nd, old)
    for _ in range(30):
        try:
            mixed = fn.symmetrize(mx.nd, (1.0 - step) * old + step * new)
            return fn.cholesky(mx.nd, mixed, name=name), step
        except NotPositiveDefiniteError:
            step = 0.5 * step
    raise NotPositiveDefiniteError(f"{name}: no natural step keeps q a distribution.")


class _Identities(mx.init.Initializer):
    """Matrices I on the last two axes."""

    def _init_weight(self, desc: Any, arr: mx.nd.NDArray) -> None:
        arr[:] = np.broadcast_to(np.eye(arr.shape[-1]), arr.shape).astype(arr.dtype)
