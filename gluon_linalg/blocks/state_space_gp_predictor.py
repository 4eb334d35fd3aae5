"""The posterior of a Gaussian process in state space form, at any times."""

from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import DtypeError, ShapeError
from ..functional.gaussian import HALF_LOG_2PI
from ..typing import Array, Namespace, Rules
from .copying import frozen_copies
from .kernel_derivatives import differentiated
from .kernels import Kernel
from .mean import mean_slope, mean_values
from .parameters import parameter_array
from .state_space_gp_joint import JointDraws
from .state_space_gp_views import StateSpaceViews, X, as_vector

# The data by which joint draws are filtered.
GIVEN = ("given_times", "given_residual", "given_variances", "given_mask")


class LeaveOneOut(NamedTuple):
    """Mean and variance of each y given all others, (B, n) each; NaN where y was masked."""

    mean: mx.nd.NDArray
    variance: mx.nd.NDArray


class StateSpaceGPPredictor(StateSpaceViews):
    """x -> (mean, variance) of the posterior, (B, m) or (B, m, 1) -> (B, m), (B, m).

    At any times, in any order, also those of the data: each costs d³ and the search for it, which
    is by halving, whatever the number of data (`functional.between_times`). The numbers are those
    of `GPPredictor`, and the graph has neither loop nor sorting. All is computed in float64.

    Made by `StateSpaceGPLayer.condition`. kernel, mean: of the layer, of which the predictor has
    copies; orders: of its approximations; times: (B, n); table: (B, n + 1, c), what the data say
    (`functional.table_of_stretches`); passages: how errors pass them (`functional.passages`), for
    covariances; left_out: their `LeaveOneOut`; noise_variance: of new observations, or None;
    include_noise: whether the variance includes it; given: y - m(x), the noise variances and the
    mask, (B, n) each.

    The variance never falls below ε k(x, x), as in `GPPredictor`. Exports like any block, and so
    does each of its views; ``view("covariance")`` and ``view("samples")`` take the data's times
    one by one. Derivatives in time come from the states, which have them.

    Raises ShapeError, DtypeError.

    >>> layer = gl.StateSpaceGPLayer(gl.kernels.Matern32(), noise_variance=1.0)
    >>> layer.initialize()
    >>> mean, variance = layer.condition([0.0], [2.0])(mx.nd.array([[0.0]]))
    >>> print(mean.asnumpy().round(4), variance.asnumpy().round(4))
    [[1.]] [[0.5]]
    """

    arguments = (X,)
    _compute_dtype = "float64"

    def __init__(
        self,
        kernel: Kernel,
        mean: Optional[mx.gluon.HybridBlock],
        orders: fn.Orders,
        times: mx.nd.NDArray,
        table: mx.nd.NDArray,
        passages: fn.Passages,
        left_out: LeaveOneOut,
        noise_variance: Optional[mx.nd.NDArray],
        include_noise: bool,
        given: Tuple[mx.nd.NDArray, mx.nd.NDArray, Optional[mx.nd.NDArray]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._orders = orders
        self._batch, self._count = times.shape
        with self.name_scope():
            self.kernel, self.mean_function = frozen_copies(self.prefix, kernel, mean)
            self.noise_variance: Optional[mx.gluon.Parameter] = None
            constants = {"table": table.reshape((-3, 0)), **_search(times.asnumpy())}
            noise = {} if noise_variance is None else {"noise_variance": noise_variance}
            noise = {name: array.reshape((1, 1)) for name, array in noise.items()}
            if include_noise:
                constants.update(noise)
            for name, array in constants.items():
                setattr(self, name, self.params.get_constant(name, array))
        self.params.initialize(ctx=times.context)
        own = {
            "closings": passages.closings.reshape((-3, -3)),
            "steps": passages.steps,
            "left_out_mean": left_out.mean,
            "left_out_variance": left_out.variance,
            **({} if include_noise else noise),
        }
        residual, variances, mask = given
        mask = mx.nd.ones_like(times) if mask is None else mask
        own.update(zip(GIVEN, (times, residual, variances, mask)))
        self._keep_aside(times.context, **own)

    @property
    def dtype(self) -> Optional[str]:
        return self.kernel.dtype

    def hybrid_forward(self, F: Namespace, x: Array, **stored: Array) -> Tuple[Array, Array]:
        moments = self._moments(F, x)
        return moments.mean, moments.variance

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent function, (B, m) or (B, m, 1) -> (size, B, m).

        From MXNet's random state; each costs (n + m) d³, by filtering the data again with the new
        times among them. ``view("samples")`` is a graph, which draws by the covariance.
        """
        (like,) = self._arrays((X,), x)
        times = like.astype("float64").reshape((0, -1, 1))
        fn.require_times(mx.nd, times[:, :, 0], times, self.name)
        new = times.asnumpy()[:, :, 0]
        data = (self._from_aside(name) for name in GIVEN)
        drawn = JointDraws(self.kernel, self._orders, *data).sample(new, size, like.context)
        if self.mean_function is not None:
            outer = cast(str, self.dtype)
            shift = mean_values(mx.nd, self.mean_function, times, "float64", outer)
            drawn = drawn + shift.asnumpy()
        return mx.nd.array(drawn, dtype=self.dtype, ctx=like.context)

    def leave_one_out(self) -> LeaveOneOut:
        """Mean and variance of each y_i given all others, (B, n) each (de Jong 1989).

        Of the noisy observation; from the same pass of the smoother. NaN where y was masked.
        """
        found = (self._from_aside(f"left_out_{name}") for name in LeaveOneOut._fields)
        return LeaveOneOut(*(array.astype(self.dtype) for array in found))

    def check_cast(self, dtype: str) -> None:
        """Not possible: the data were filtered in one dtype."""
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: cannot cast to {dtype}; cast the StateSpaceGPLayer and condition "
                f"again: the data were filtered as {self.dtype}."
            )

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes["B"] != self._batch:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']}; the data it was conditioned on has "
                f"batch {self._batch}."
            )

    # Views inside a graph.

    def _mean_view(self, F: Namespace, x: Array) -> Array:
        return self._moments(F, x).mean

    def _variance_view(self, F: Namespace, x: Array) -> Array:
        return self._moments(F, x).variance

    def _covariance_view(self, F: Namespace, x: Array) -> Array:
        return F.cast(self._covariance(F, self._moments(F, x)), dtype=self.dtype)

    def _samples_view(self, F: Namespace, x: Array, noise: Array) -> Array:
        moments = self._moments(F, x)
        covariance = fn.add_diagonal(F, self._covariance(F, moments), moments.rounding)
        factor = fn.cholesky(F, covariance, jitter="auto", name=self.name)
        moved = fn.product(F, factor, F.cast(noise, dtype="float64"))
        mean = F.expand_dims(moments.expected, axis=2)
        return F.cast(F.broadcast_add(moved, mean), dtype=self.dtype)

    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        moments = self._moments(F, x)
        error = F.cast(y, dtype="float64") - moments.expected
        variance = F.broadcast_add(moments.latent, self._noise(F, x))
        value = -0.5 * (F.square(error) / variance + F.log(variance)) - HALF_LOG_2PI
        return F.cast(value, dtype=self.dtype)

    def _joint_log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        moments = self._moments(F, x)
        error = F.cast(y, dtype="float64") - moments.expected
        noise = F.broadcast_mul(fn.ones_like(F, error), self._noise(F, x))
        covariance = fn.add_diagonal(F, self._covariance(F, moments), noise)
        value = -fn.gaussian_nll(F, covariance, error, name=self.name)
        return F.cast(value, dtype=self.dtype)

    def _gradient_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        mean, change, _ = self._slopes(F, x)
        return self._column(F, mean), self._column(F, change)

    def _derivative_view(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        times = F.cast(F.reshape(x, shape=(0, -1, 1)), dtype="float64")
        # Says which kernel has paths without derivatives.
        differentiated(F, self.kernel, None, times, 1, twice=True)
        mean, _, variance = self._slopes(F, x)
        return self._column(F, mean), F.expand_dims(self._column(F, variance), axis=3)

    def _slopes(self, F: Namespace, x: Array) -> Tuple[Array, ...]:
        """`functional.slopes_between`, the first with the slope of the mean function."""
        moments = self._moments(F, x)
        times, sde = moments.times, moments.sde
        slope, shock = sde.slope(F, times), sde.shock(F, times)
        sides = [moments] if shock is None else [moments, self._moments(F, x, left=True)]
        each = [fn.slopes_between(F, side.known, slope, shock) for side in sides]
        mean, change, variance = (sum(parts) / len(sides) for parts in zip(*each))
        own = mean_slope(F, self.mean_function, times, self.name)
        if own is not None:
            mean = F.broadcast_add(mean, F.squeeze(F.cast(own, dtype="float64"), axis=2))
        # What a time that is NaN makes of its mean, the graph makes of all.
        valid = F.squeeze(0.0 * times, axis=2)
        return tuple(array + valid for array in (mean, change, variance))

    def _column(self, F: Namespace, values: Array) -> Array:
        return F.cast(F.expand_dims(values, axis=2), dtype=self.dtype)

    def _moments(self, F: Namespace, x: Array, left: bool = False) -> "_Moments":
        """left: at a time of the data what is known before it, which says the same of f."""
        outer = cast(str, self.dtype)
        times = F.cast(F.reshape(x, shape=(0, -1, 1)), dtype="float64")
        ordered, first, first_row, table = (
            parameter_array(F, parameter, x)
            for parameter in (self.ordered, self.first, self.first_row, self.table)
        )
        index = fn.stretch_of(F, times, ordered, first, self._count, left)
        places = F.broadcast_add(index, first_row)
        rows = F.take(table, places, axis=0, mode="clip")
        sde = self.kernel.linear_sde(F, times, self._orders)
        known = fn.between(F, sde, rows, times)
        mean, latent, prior = fn.moments_between(F, known)
        mean = mean + mean_values(F, self.mean_function, times, "float64", outer)
        mean = fn.require_times(F, mean, times, self.name)
        rounding = prior * fn.unit_roundoff(F, prior)
        latent = F.maximum(latent, rounding)
        variance = latent
        if self.noise_variance is not None:
            variance = F.broadcast_add(latent, parameter_array(F, self.noise_variance, x))
        return _Moments(
            mean=F.cast(mean, dtype=outer),
            variance=F.cast(variance, dtype=outer),
            expected=mean,
            latent=latent,
            rounding=16.0 * rounding,
            times=times,
            stretch=index,
            places=places,
            sde=sde,
            known=known,
        )

    def _covariance(self, F: Namespace, moments: "_Moments") -> Array:
        latent, times = moments.latent, moments.times
        index, places, sde, known = moments.stretch, moments.places, moments.sde, moments.known
        closings, steps = (self._from_aside(name, F, times) for name in ("closings", "steps"))
        # What a time that is NaN makes of its mean, the graph makes of all.
        valid = F.sum(0.0 * times, axis=(1, 2))
        found = fn.covariances_between(F, sde, known, times, latent, index, places, closings, steps)
        return F.broadcast_add(found, F.reshape(valid, shape=(-1, 1, 1)))

    # The rest.

    def _noise(self, F: Namespace, like: Array) -> Array:
        """The noise variance of new observations, (1, 1)."""
        if self.noise_variance is not None:
            return parameter_array(F, self.noise_variance, like)
        if self._is_aside("noise_variance"):
            return self._from_aside("noise_variance", F, like)
        raise TypeError(
            f"{self.name}: without a noise_variance for new observations there is no density of y."
        )

    def _shaped(self, rules: Rules, arrays: Sequence[Any]) -> Tuple[Any, ...]:
        pairs = zip(rules, arrays)
        return tuple(as_vector(self.name, r[0], a) if r == X else a for r, a in pairs)

    def _bound(self, args: Any, keywords: Any) -> Tuple[Any, ...]:
        return self._shaped(self.arguments, super()._bound(args, keywords))

    def _check_parameters(self, array: Array) -> None:
        self._check_dtype(array)
        self.kernel._check_parameters(array)


class _Moments(NamedTuple):
    """What is known of the process at times (B, m, 1); the first two as a call gives them."""

    mean: Array
    variance: Array
    expected: Array  # the mean in float64
    latent: Array  # the variance of f
    rounding: Array  # how far that may be from the truth
    times: Array
    stretch: Array  # in which stretch each time is
    places: Array  # the same, counted through the batch
    sde: fn.LinearSDE
    known: Any  # `functional.between`


def _search(times: np.ndarray) -> Mapping[str, mx.nd.NDArray]:
    """What `functional.stretch_of` and the table need, for times (B, n)."""
    batch, count = times.shape
    width = 2 ** fn.halvings(count) - 1
    ordered = np.full((batch, width), np.inf)
    ordered[:, :count] = times
    batches = np.arange(batch)[:, None]
    arrays = {
        "ordered": ordered.reshape(-1, 1),
        "first": batches * width,
        "first_row": batches * (count + 1),
    }
    return {name: mx.nd.array(array, dtype="float64") for name, array in arrays.items()}
