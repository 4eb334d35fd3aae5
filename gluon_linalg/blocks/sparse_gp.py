"""Sparse Gaussian processes with normal noise: Titsias' bound and FITC, from one system."""

from typing import Any, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.coregionalization import of_labels
from ..functional.regression import (
    Observed,
    observed_data,
    posterior_nll,
    regression_nll,
    regression_posterior,
)
from ..typing import Array, ArrayLike, Namespace, hook
from .inducing import WIDE, InducingBlock, seen_inputs
from .kernels import Kernel
from .likelihoods import Gaussian
from .mean import mean_values
from .parameters import (
    ONE,
    PositiveParameter,
    check_include_noise,
    parameter_array,
    positive_parameter,
)
from .sparse_gp_predictor import SparseGPPredictor


class CollapsedGPLayer(InducingBlock):
    """What SGPR and FITC share: a regression on φ(x) = L⁻¹ k(Z, x).

    y - m(x) = Φᵀ v + ε with v ~ N(0, I) and independent ε of variances S: what
    `functional.regression_nll` computes from the LQ of [I, Φ S^-½], whose condition number is the
    square root of that of I + Φ S⁻¹ Φᵀ. Costs n m² time and n m memory.

    kernel, inducing_points, jitter: as in `InducingBlock`. mean, noise_variance: as in
    `GPLikelihoodLayer`, but noise_variance is one number, or one for each of the numbers from 0 on
    that stand in the `noise_column` of x, such as that of an output. precision: 'float64' computes
    a float32 layer in float64 inside; None computes the LQ in float32, in 0.8 of the time, which
    holds for the value, to 1e-3 for hyperparameters, and not for Z where K(Z, Z) is
    ill-conditioned.
    """

    arguments = (("x", "B n d"), ("y", "B n"), ("noise", "B n"), ("mask", "B n"))
    required = 2
    # Whether what Z does not explain is noise of single observations.
    rest_is_noise = False

    def __init__(
        self,
        kernel: Kernel,
        inducing_points: ArrayLike,
        mean: Union[None, str, mx.gluon.HybridBlock] = None,
        noise_variance: Union[None, float, Sequence[float], np.ndarray] = ONE,
        jitter: Union[float, str] = 1e-8,
        precision: Optional[str] = WIDE,
        noise_column: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel, inducing_points, mean, jitter, **kwargs)
        if precision not in (None, "float64"):
            raise ValueError(
                f"{self.name}: precision is {precision!r}, expected 'float64' or None."
            )
        if np.ndim(cast(Any, noise_variance)) > (0 if noise_column is None else 1):
            raise ShapeError(
                f"{self.name}: noise_variance is one number, or one for each number in the "
                "`noise_column` of x; give `noise` in the call for those of single observations."
            )
        self._precision, self._noise_column = precision, noise_column
        with self.name_scope():
            self.noise_variance: Optional[PositiveParameter] = None
            if noise_variance is not None and np.any(noise_variance):
                self.noise_variance = positive_parameter(
                    self, "noise_variance", noise_variance, lower=1e-10
                )

    @hook
    def with_rest(
        self, F: Namespace, noise: Array, rest: Array, seen: Array
    ) -> Tuple[Array, Array]:
        """The variances of ε (B, n), and what is added to φ, (B,), from k(x, x) - |φ(x)|²."""
        raise NotImplementedError(f"{type(self).__name__} does not implement with_rest")

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
        x, y, noise, mask = self.rows(F, x, y, noise, mask)
        observed, added, _ = self._system(F, x, y, noise, mask, self._precision or outer)
        value = regression_nll(F, observed, _one(F, observed), 1, self.name) + added
        return F.cast(value, dtype=outer)

    def condition(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
        include_noise: bool = False,
    ) -> SparseGPPredictor:
        """The posterior given data, a `SparseGPPredictor`: x -> (mean, variance), each (B, m).

        x, y, noise, mask: as in a call of the layer, but NumPy arrays as well, and with or without
        the batch axis. The data are factored once, here, in float64; what the predictor keeps
        does not grow with them. include_noise: as in `GPLikelihoodLayer.condition`.
        """
        x, y, noise, mask = self._all_data(x, y, noise, mask)
        check_include_noise(self, include_noise)
        inputs, targets, variances, seen = self.rows(mx.nd, x, y, noise, mask)
        observed, added, factor = self._system(mx.nd, inputs, targets, variances, seen, WIDE)
        found = regression_posterior(mx.nd, observed, _one(mx.nd, observed), self.name)
        # Cov v = (L Lᵀ)⁻¹; no singular value of L is below 1.
        root = fn.triangular_solve(
            mx.nd, found.factor, fn.identity_like(mx.nd, found.factor), transpose=True
        )
        likelihood = None
        if self.noise_variance is not None:
            values = self.noise_variance.value()
            likelihood = Gaussian(values, self._noise_column, prefix="likelihood_")
            likelihood.initialize(ctx=factor.context)
            likelihood.cast(self.dtype)
        with self.name_scope():
            return SparseGPPredictor(
                self.kernels,
                self.means,
                self._points_of(inputs),
                [factor],
                found.weights,
                [root],
                likelihood,
                include_noise,
                value=posterior_nll(mx.nd, observed, found) + added,
                rest_is_noise=self.rest_is_noise,
            )

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        super().check_shapes(sizes)
        if self.count > sizes["n"]:
            raise ShapeError(
                f"{self.name}: {self.count} inducing points for {sizes['n']} observations; give "
                "no more points than observations, or use GPLikelihoodLayer."
            )

    def _bound(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Tuple[Any, ...]:
        args = super()._bound(args, keywords)
        if self.noise_variance is None and (len(args) < 3 or args[2] is None):
            raise TypeError(
                f"{self.name}: noise_variance is None, so every call needs `noise`, the (B, n) "
                "variances of the observations."
            )
        return args

    def _points_of(self, x: Array) -> Array:
        """The inducing points of each batch element, (B, m, d) in float64."""
        points = self.points(mx.nd, x).detach()
        return mx.nd.broadcast_to(points, (x.shape[0], *points.shape[1:]))

    def _system(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
        dtype: str,
    ) -> Tuple[Observed, Array, Array]:
        """The regression on φ(x) in `dtype`, what is added to its φ (B,), and L in float64."""
        mask = None if mask is None else fn.checked_mask(F, mask, self.name)
        x = seen_inputs(F, x, mask)
        fn.require_inputs(F, x, self.name, mask)
        (found,) = self.projections(F, x)
        y = F.cast(y, dtype=dtype)
        y = y - mean_values(F, self.means[0], F.cast(x, dtype=dtype), dtype, cast(str, self.dtype))
        variances = fn.zeros_like(F, y)
        if noise is not None:
            variances = F.cast(fn.checked_noise(F, noise, mask, self.name), dtype=dtype)
        if self.noise_variance is not None:
            stored = F.cast(parameter_array(F, self.noise_variance, x), dtype=dtype)
            learned = F.reshape(self.noise_variance.natural(F, stored), shape=(1, -1))
            if self._noise_column is not None:
                values, count = F.expand_dims(learned, axis=1), self.noise_variance.shape[0]
                place = self._noise_column
                learned = of_labels(F, values, x, place, count, dtype, self.name)
            variances = F.broadcast_add(variances, learned)
        seen = fn.ones_like(F, y) if mask is None else F.cast(fn.stop(F, mask), dtype=dtype)
        rest = F.cast(found.rest, dtype=dtype)
        if mask is not None:
            variances = F.where(seen, variances, fn.ones_like(F, variances))
        variances, added = self.with_rest(F, variances, rest, seen)
        features = fn.transpose(F, F.cast(found.features, dtype=dtype))
        columns = F.expand_dims(y, axis=2)
        seen_or_none = None if mask is None else seen
        observed = observed_data(F, features, columns, variances, seen_or_none, self.name)
        return observed, added, found.factor


class SGPRLikelihoodLayer(CollapsedGPLayer):
    """Titsias' bound on the negative log marginal likelihood, (x, y) -> (B,).

    φ = -log N(y | m(x), Q + S) + ½ Σ_i (k(x_i, x_i) - Q_ii) / S_ii,
    Q = k(x, Z) (K(Z, Z) + s I)⁻¹ k(Z, x),  S = noise_variance I  [+ diag(noise)].

    Never below that of `GPLikelihoodLayer`, and equal to it where Z holds every x. x: (B, n, d);
    y: (B, n); noise: (B, n), optional known variances of single observations, added to the learned
    one; mask: (B, n), optional, 1 where an observation counts and 0 where not, whatever stands
    there. Arguments of the constructor: `CollapsedGPLayer`. `gluon_linalg.inducing_points` chooses
    initial points. Titsias 2009.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.

    >>> x = np.linspace(0, 1, 9)[:, None]
    >>> exact = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1)
    >>> sparse = gl.SGPRLikelihoodLayer(gl.kernels.RBF(), x[::4], noise_variance=0.1)
    >>> data = mx.nd.array(x[None]), mx.nd.zeros((1, 9))
    >>> exact.initialize()
    >>> sparse.initialize()
    >>> sparse(*data).asscalar() >= exact(*data).asscalar()  # a bound, with 3 points for 9
    True
    """

    bounds_likelihood = True
    auxiliary = ("inducing_points",)

    def with_rest(
        self, F: Namespace, noise: Array, rest: Array, seen: Array
    ) -> Tuple[Array, Array]:
        return noise, 0.5 * F.sum(seen * rest / noise, axis=1)


class FITCLikelihoodLayer(CollapsedGPLayer):
    """Negative log marginal likelihood of the fully independent conditional, (x, y) -> (B,).

    φ = -log N(y | m(x), Q + diag(k(x_i, x_i) - Q_ii) + S),  Q, S, arguments and errors as in
    `SGPRLikelihoodLayer`: the exact likelihood of another model, not a bound, in which what Q
    does not explain is noise of single observations. Snelson & Ghahramani 2006.

    >>> layer = gl.FITCLikelihoodLayer(gl.kernels.RBF(), [[0.0], [1.0]], noise_variance=0.1)
    >>> layer.initialize()
    >>> layer(mx.nd.zeros((1, 4, 1)), mx.nd.zeros((1, 4))).shape
    (1,)
    """

    rest_is_noise = True

    def with_rest(
        self, F: Namespace, noise: Array, rest: Array, seen: Array
    ) -> Tuple[Array, Array]:
        return noise + seen * rest, F.sum(fn.zeros_like(F, noise), axis=1)


def _one(F: Namespace, observed: Observed) -> Array:
    """1 as an array (1, 1): the prior variance of v."""
    first = F.slice_axis(observed.noise_variance, axis=0, begin=0, end=1)
    return fn.ones_like(F, F.slice_axis(first, axis=1, begin=0, end=1))
