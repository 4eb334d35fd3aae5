"""What posteriors of Gaussian processes share: one conditioning, and all views of it."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, cast

import mxnet as mx

from .. import functional as fn
from ..errors import ShapeError
from ..typing import Array, Namespace, Rules, hook
from .kernel_derivatives import Differentiated, differentiated
from .kernels import Kernel
from .mean import mean_slope, mean_values
from .views import Viewed, views_of_process

X, Y = ("x", "B m d"), ("y", "B m")


class HeldOut(NamedTuple):
    """What each observation is predicted to be without its fold, (B, n) each, noise included."""

    mean: mx.nd.NDArray
    variance: mx.nd.NDArray
    log_density: mx.nd.NDArray


class Posterior(Viewed):
    """A process f(x) = m(x) + c(x)ᵀα + ..., known through k(X, x) and one factor L.

    With φ(x) = L⁻¹ k(X, x) its moments are

        E f(x) = m(x) + k(x, X) α,   Cov(f(x), f(x')) = k(x, x') - φ(x)ᵀ φ(x') [+ (Rᵀφ)ᵀ(Rᵀφ')],

    R where the values at X are not known but normal themselves (`SparseGPPredictor`). Each view
    computes this much and no more; `view(name)` is one of them as a block, for graphs and files.
    Of p latent values, which are independent, views have one more axis, behind the batch axis, or
    as the last of what has a value for each x.
    """

    # By name: the arguments of each view, and how many of them it needs.
    views: Dict[str, Tuple[Rules, int]] = views_of_process(X, Y)
    kernels: Sequence[Kernel]
    means: Sequence[Optional[mx.gluon.HybridBlock]]
    # What a subclass states.

    @hook
    def _points(self, F: Namespace, like: Array) -> Array:
        """X, (B, n, d)."""
        raise NotImplementedError

    @hook
    def _seen(self, F: Namespace, i: int, columns: Array) -> Array:
        """Columns (B, n, m) of functions of X without the rows that a mask hides."""
        return columns

    @hook
    def _projected(self, F: Namespace, i: int, columns: Array) -> Array:
        """L⁻¹ of columns (B, n, m)."""
        raise NotImplementedError

    @hook
    def _explained(
        self, F: Namespace, i: int, columns: Array, projected: Optional[Array] = None
    ) -> Array:
        """cᵀα for columns c (B, n, m), of which L⁻¹c may be known, (B, m)."""
        raise NotImplementedError

    @hook
    def _root(self, F: Namespace, i: int, like: Array) -> Optional[Array]:
        """R (B, n, n), or None for 0."""
        return None

    @hook
    def _noise_variance(self, F: Namespace, like: Array) -> Array:
        """The variance of normal noise, (1, 1), or TypeError."""
        raise NotImplementedError

    def _hyperparameters(self, F: Namespace, i: int, like: Array) -> Optional[Dict[str, Array]]:
        """Of the kernel, where they are not its own parameters."""
        return None

    @property
    def latents(self) -> int:
        """How many latent values there are at each x."""
        return 1

    @property
    def columns(self) -> int:
        """How many columns x has."""
        raise NotImplementedError

    # Views on arrays.

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The mean that a call gives, without the variance, (B, m, d) -> (B, m)."""
        return self._now("mean", x)

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The variance that a call gives, (B, m, d) -> (B, m)."""
        return self._now("variance", x)

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior covariance of the latent function at x, (B, m, d) -> (B, m, m)."""
        return self._now("covariance", x)

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent function at x, (B, m, d) -> (size, B, m).

        mean + L ε with ε from MXNet's random state (``mx.random.seed``).
        """
        (x,) = self._arrays((X,), x)
        noise = mx.nd.random.normal(
            shape=(*x.shape[:2], size * self.latents), dtype=self.dtype, ctx=x.context
        )
        drawn = self._now("samples", x, noise)
        return drawn.transpose((2, 0, 1) if self.latents == 1 else (2, 0, 1, 3))

    def log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """The log predictive density of each y by itself, (B, m, d), (B, m) -> (B, m)."""
        return self._now("log_density", x, y)

    def joint_log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """log p(y_1, ..., y_m) of new targets with normal noise, (B, m, d), (B, m) -> (B,)."""
        return self._now("joint_log_density", x, y)

    def gradient(self, x: mx.nd.NDArray) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """The derivatives of the latent mean and variance by x, (B, m, d) -> (B, m, d) twice.

        ∂E f/∂x_j = ∂m/∂x_j + ∂k(x, X)/∂x_j α,   ∂Var f/∂x_j = 2 Cov(f, ∂f/∂x_j).
        """
        return cast(Tuple[Any, Any], self._now("gradient", x))

    def derivative(self, x: mx.nd.NDArray) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and covariance of ∂f/∂x, the process of derivatives, at each x by itself.

        (B, m, d) -> (B, m, d), (B, m, d, d). Rasmussen & Williams, section 9.4. TypeError where a
        kernel or mean has no closed derivative, ValueError where f has none.
        """
        return cast(Tuple[Any, Any], self._now("derivative", x))

    # Views inside a graph.

    def _mean_view(self, F: Namespace, x: Array) -> Array:
        return F.cast(self._latent_mean(F, self._wide(F, x)), dtype=self.dtype)

    def _variance_view(self, F: Namespace, x: Array) -> Array:
        wide = self._wide(F, x)
        found = [self._latent_variance(F, i, wide) for i in range(self.latents)]
        return F.cast(self._latent_axis(F, found), dtype=self.dtype)

    def _covariance_view(self, F: Namespace, x: Array) -> Array:
        wide = self._wide(F, x)
        found = [self._latent_covariance(F, i, wide) for i in range(self.latents)]
        return F.cast(self._latent_axis(F, found, axis=1), dtype=self.dtype)

    def _samples_view(self, F: Namespace, x: Array, noise: Array) -> Array:
        """mean + L ε; of p latent values noise is (B, m, s p) and the samples are (B, m, s, p)."""
        wide, count = self._wide(F, x), self.latents
        drawn = []
        # Not `split`, whose gradient MXNet does not have for GPUs.
        noise = F.reshape(noise, shape=(0, 0, count, -1))
        for i in range(count):
            part = F.reshape(F.slice_axis(noise, axis=2, begin=i, end=i + 1), shape=(0, 0, -1))
            covariance = self._latent_covariance(F, i, wide)
            covariance = fn.add_diagonal(F, covariance, self._rounding(F, i, wide))
            factor = fn.cholesky(F, covariance, jitter="auto", name=self.name)
            moved = fn.product(F, factor, F.cast(part, dtype=self._compute_dtype))
            shift = self._latent_mean_of(F, i, wide)
            drawn.append(F.broadcast_add(moved, F.expand_dims(shift, axis=2)))
        found = drawn[0] if count == 1 else F.stack(*drawn, axis=3)
        return F.cast(found, dtype=self.dtype)

    def _joint_log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        self._one_process("joint_log_density")
        wide = self._wide(F, x)
        residual = F.cast(y, dtype=self._compute_dtype) - self._latent_mean(F, wide)
        noise = F.broadcast_mul(fn.ones_like(F, residual), self._noise_variance(F, wide))
        covariance = fn.add_diagonal(F, self._latent_covariance(F, 0, wide), noise)
        value = -fn.gaussian_nll(F, covariance, residual, name=self.name)
        return F.cast(value, dtype=self.dtype)

    def _gradient_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        wide = self._wide(F, x)
        means, variances = [], []
        for i in range(self.latents):
            values, projected, mean = self._slopes(F, i, wide)
            at_x = self._differentiated(F, i, None, wide)
            own = self._projected(F, i, values)
            changes = []
            for slope, columns in zip(at_x.slopes, projected):
                change = self._learned(F, i, own, columns, wide)
                changes.append(2.0 * (change if slope is None else change + slope))
            means.append(mean)
            variances.append(F.stack(*changes, axis=2))
        return self._of_each(F, means), self._of_each(F, variances)

    def _derivative_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        wide, d = self._wide(F, x), self.columns
        means, covariances = [], []
        for i in range(self.latents):
            _, projected, mean = self._slopes(F, i, wide)
            bends = self._differentiated(F, i, None, wide, twice=True).bends
            entries: Dict[Tuple[int, int], Array] = {}
            for b in range(d):
                for a in range(b + 1):
                    learned = self._learned(F, i, projected[a], projected[b], wide)
                    bend = bends.get((a, b))
                    entries[a, b] = learned if bend is None else F.broadcast_add(learned, bend)
            rows = [
                F.stack(*(entries[min(a, b), max(a, b)] for b in range(d)), axis=2)
                for a in range(d)
            ]
            means.append(mean)
            covariances.append(F.stack(*rows, axis=2))
        return self._of_each(F, means), self._of_each(F, covariances)

    # The moments, in the dtype of the factor.

    def _wide(self, F: Namespace, x: Array) -> Array:
        x = fn.require_columns(F, x, self._points(F, x), self.name, "x")
        fn.require_inputs(F, x, self.name)
        return F.cast(x, dtype=self._compute_dtype)

    def _cross(self, F: Namespace, i: int, x: Array) -> Array:
        """k(X, x), (B, n, m)."""
        values = self._hyperparameters(F, i, x)
        cross = self._kernel(i).evaluate(F, self._points(F, x), x, self._compute_dtype, values)
        return self._seen(F, i, cross)

    def _prior(self, F: Namespace, i: int, x: Array) -> Array:
        """k(x, x) of each x, (B, m)."""
        values = self._hyperparameters(F, i, x)
        return self._kernel(i).evaluate_diagonal(F, x, self._compute_dtype, values)

    def _latent_mean(self, F: Namespace, x: Array) -> Array:
        return self._latent_axis(F, [self._latent_mean_of(F, i, x) for i in range(self.latents)])

    def _latent_mean_of(
        self, F: Namespace, i: int, x: Array, cross: Optional[Array] = None
    ) -> Array:
        outer = cast(str, self.dtype)
        shift = mean_values(F, self.means[i % len(self.means)], x, self._compute_dtype, outer)
        cross = self._cross(F, i, x) if cross is None else cross
        return shift + self._explained(F, i, cross)

    def _latent_variance(
        self, F: Namespace, i: int, x: Array, cross: Optional[Array] = None
    ) -> Array:
        """Never below ε k(x, x), where rounding would make it negative."""
        prior = self._prior(F, i, x)
        projected = self._projected(F, i, self._cross(F, i, x) if cross is None else cross)
        variance = prior + self._learned(F, i, projected, projected, x)
        return F.maximum(variance, prior * fn.unit_roundoff(F, prior))

    def _latent_covariance(self, F: Namespace, i: int, x: Array) -> Array:
        projected = self._projected(F, i, self._cross(F, i, x))
        values = self._hyperparameters(F, i, x)
        prior = self._kernel(i).evaluate(F, x, None, self._compute_dtype, values)
        covariance = prior - fn.product(F, projected, projected, transpose_a=True)
        root = self._root(F, i, x)
        if root is not None:
            moved = fn.product(F, root, projected, transpose_a=True)
            covariance = covariance + fn.product(F, moved, moved, transpose_a=True)
        return fn.symmetrize(F, covariance)

    def _learned(self, F: Namespace, i: int, a: Array, b: Array, like: Array) -> Array:
        """What the data add to prior covariances, -aᵀb + (Rᵀa)ᵀ(Rᵀb) of columns, (B, m)."""
        change = -column_products(F, a, b)
        root = self._root(F, i, like)
        if root is None:
            return change
        moved = fn.product(F, root, a, transpose_a=True)
        other = moved if a is b else fn.product(F, root, b, transpose_a=True)
        return change + column_products(F, moved, other)

    def _rounding(self, F: Namespace, i: int, x: Array) -> Array:
        """How far a posterior variance may be from the truth, (B, m)."""
        prior = self._prior(F, i, x)
        return prior * fn.unit_roundoff(F, prior) * (16.0 + self._size())

    def _size(self) -> int:
        """n, of X."""
        raise NotImplementedError

    # Derivatives by x.

    def _differentiated(
        self, F: Namespace, i: int, points: Optional[Array], x: Array, twice: bool = False
    ) -> Differentiated:
        """`differentiated`, which is in float64, in the dtype of the factor."""
        dtype, values = self._compute_dtype, self._hyperparameters(F, i, x)
        found = differentiated(F, self._kernel(i), points, x, self.columns, values, twice)
        return found.cast(F, dtype)

    def _slopes(self, F: Namespace, i: int, x: Array) -> Tuple[Array, List[Array], Array]:
        """k(X, x), L⁻¹ ∂k(X, x)/∂x_j of each column, and ∂E f/∂x (B, m, d)."""
        found = self._differentiated(F, i, self._points(F, x), x)
        nothing = fn.zeros_like(F, found.value)
        values = self._seen(F, i, found.value)
        columns = [self._seen(F, i, nothing if slope is None else slope) for slope in found.slopes]
        projected = [self._projected(F, i, each) for each in columns]
        pairs = zip(columns, projected)
        means = F.stack(*(self._explained(F, i, *pair) for pair in pairs), axis=2)
        shift = mean_slope(F, self.means[i % len(self.means)], x, self.name)
        if shift is not None:
            means = F.broadcast_add(means, F.cast(shift, dtype=self._compute_dtype))
        return values, projected, means

    # The rest.

    @property
    def dtype(self) -> Optional[str]:
        return self.kernels[0].dtype

    def _check_parameters(self, array: Array) -> None:
        self._check_dtype(array)
        self.kernels[0]._check_parameters(array)

    def _kernel(self, i: int) -> Kernel:
        return self.kernels[i % len(self.kernels)]

    def _one_process(self, what: str) -> None:
        if self.latents != 1:
            raise TypeError(f"{self.name}: {what} needs a likelihood of one latent process.")

    def _latent_axis(self, F: Namespace, each: Sequence[Array], axis: int = 2) -> Array:
        return each[0] if len(each) == 1 else F.stack(*each, axis=axis)

    def _of_each(self, F: Namespace, each: Sequence[Array]) -> Array:
        return F.cast(self._latent_axis(F, each, axis=1), dtype=self.dtype)

    def check_shapes(self, sizes: Any) -> None:
        batch = self._batch()
        if sizes["B"] != batch or sizes.get("d", self.columns) != self.columns:
            raise ShapeError(
                f"{self.name}: '{self.arguments[0][0]}' has batch {sizes['B']} and "
                f"{sizes.get('d', self.columns)} columns; the data it was conditioned on has batch "
                f"{batch} and {self.columns} columns."
            )

    def _batch(self) -> int:
        raise NotImplementedError


def column_products(F: Namespace, a: Array, b: Array) -> Array:
    """a_jᵀb_j of columns, (B, n, m) twice -> (B, m)."""
    ones = fn.ones_like(F, F.slice_axis(a, axis=2, begin=0, end=1))
    return F.reshape(fn.product(F, ones, a * b, transpose_a=True), shape=(0, -1))
