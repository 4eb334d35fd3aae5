"""The posterior of a Gaussian process in state space form, at any times."""

from typing import Any, Mapping, NamedTuple, Optional, Tuple, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import DtypeError, ShapeError
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .casting import check_casts
from .copying import frozen_copies
from .kernels import Kernel
from .mean import mean_values
from .state_space_gp_joint import JointTimes


class LeaveOneOut(NamedTuple):
    """Mean and variance of each y given all others, (B, n) each; NaN where y was masked."""

    mean: mx.nd.NDArray
    variance: mx.nd.NDArray


class StateSpaceGPPredictor(LinearAlgebraBlock):
    """x -> (mean, variance) of the posterior, (B, m) or (B, m, 1) -> (B, m), (B, m).

    At any times, in any order, also those of the data: each costs d³ and the search for it, which
    is by halving, whatever the number of data (`functional.between_times`). The numbers are those
    of `GPPredictor`, and the graph has neither loop nor sorting. All is computed in float64.

    Made by `StateSpaceGPLayer.condition`. kernel, mean: of the layer, of which the predictor has
    copies; orders: of its approximations; times: (B, n); table: (B, n + 1, c), what the data say
    (`functional.table_of_stretches`); left_out: their `LeaveOneOut`; noise_variance: of new
    observations, which the variance then includes, or None; given: y - m(x), the noise variances
    and the mask, (B, n) each.

    The variance never falls below ε k(x, x), as in `GPPredictor`. Exports like any block.

    Raises ShapeError, DtypeError.

    >>> layer = gl.StateSpaceGPLayer(gl.kernels.Matern32(), noise_variance=1.0)
    >>> layer.initialize()
    >>> mean, variance = layer.condition([0.0], [2.0])(mx.nd.array([[0.0]]))
    >>> print(mean.asnumpy().round(4), variance.asnumpy().round(4))
    [[1.]] [[0.5]]
    """

    arguments = (("x", "B m"),)

    def __init__(
        self,
        kernel: Kernel,
        mean: Optional[mx.gluon.HybridBlock],
        orders: fn.Orders,
        times: mx.nd.NDArray,
        table: mx.nd.NDArray,
        left_out: LeaveOneOut,
        noise_variance: Optional[mx.nd.NDArray],
        given: Tuple[mx.nd.NDArray, mx.nd.NDArray, Optional[mx.nd.NDArray]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._orders, self._left_out = orders, left_out
        self._batch, self._count = times.shape
        with self.name_scope():
            self.kernel, self.mean_function = frozen_copies(self.prefix, kernel, mean)
            self._joint = JointTimes(self.kernel, orders, times, *given)
            constants = {"table": table.reshape((-3, 0)), **_search(times.asnumpy())}
            if noise_variance is not None:
                constants["noise_variance"] = noise_variance.reshape((1, 1))
            for name, array in constants.items():
                setattr(self, name, self.params.get_constant(name, array))
        self.params.initialize(ctx=times.context)

    @property
    def dtype(self) -> Optional[str]:
        return self.kernel.dtype

    def hybrid_forward(
        self,
        F: Namespace,
        x: Array,
        table: Array,
        ordered: Array,
        first: Array,
        first_row: Array,
        noise_variance: Optional[Array] = None,
    ) -> Tuple[Array, Array]:
        outer = cast(str, self.dtype)
        times = F.cast(F.reshape(x, shape=(0, -1, 1)), dtype="float64")
        index = fn.stretch_of(F, times, ordered, first, self._count)
        rows = F.take(table, F.broadcast_add(index, first_row), axis=0, mode="clip")
        sde = self.kernel.linear_sde(F, times, self._orders)
        mean, variance, prior = fn.moments_between(F, sde, rows, times)
        mean = mean + mean_values(F, self.mean_function, times, "float64", outer)
        mean = fn.require_times(F, mean, times, self.name)
        variance = F.maximum(variance, prior * fn.unit_roundoff(F, prior))
        if noise_variance is not None:
            variance = F.broadcast_add(variance, noise_variance)
        return F.cast(mean, dtype=outer), F.cast(variance, dtype=outer)

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior mean, (B, m) or (B, m, 1) -> (B, m)."""
        return self(x)[0]

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior variance, (B, m) or (B, m, 1) -> (B, m)."""
        return self(x)[1]

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The covariance of the latent function at new times, (B, m) or (B, m, 1) -> (B, m, m).

        In any order; costs (n + m) d³ + (n + m) m d².
        """
        new, like = self._new_times(x)
        return mx.nd.array(self._joint.covariance(new), dtype=self.dtype, ctx=like.context)

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent function, (B, m) or (B, m, 1) -> (size, B, m).

        From MXNet's random state; each costs (n + m) d³.
        """
        new, like = self._new_times(x)
        drawn = self._joint.sample(new, size)
        if self.mean_function is not None:
            times = like.astype("float64").reshape((*new.shape, 1))
            outer = cast(str, self.dtype)
            shift = mean_values(mx.nd, self.mean_function, times, "float64", outer)
            drawn = drawn + shift.asnumpy()
        return mx.nd.array(drawn, dtype=self.dtype, ctx=like.context)

    def _new_times(self, x: mx.nd.NDArray) -> Tuple[np.ndarray, mx.nd.NDArray]:
        """New times (B, m) as numbers, checked as those of a call, and as they came."""
        (like,) = self._received(x)
        times = like.astype("float64").reshape((0, -1, 1))
        fn.require_times(mx.nd, times[:, :, 0], times, self.name)
        return times.asnumpy()[:, :, 0], like

    def leave_one_out(self) -> LeaveOneOut:
        """Mean and variance of each y_i given all others, (B, n) each (de Jong 1989).

        Of the noisy observation; from the same pass of the smoother. NaN where y was masked.
        """
        return LeaveOneOut(*(array.astype(self.dtype) for array in self._left_out))

    def check_cast(self, dtype: str) -> None:
        """Not possible: the data were filtered in one dtype."""
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: cannot cast to {dtype}; cast the StateSpaceGPLayer and condition "
                f"again: the data were filtered as {self.dtype}."
            )

    def cast(self, dtype: str) -> None:
        """Only to the dtype that the predictor has, which changes nothing."""
        check_casts(self, dtype)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes["B"] != self._batch:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']}; the data it was conditioned on has "
                f"batch {self._batch}."
            )

    def _bound(self, args: Any, keywords: Any) -> Tuple[Any, ...]:
        args = super()._bound(args, keywords)
        return tuple(as_vector(self.name, rule[0], x) for rule, x in zip(self.arguments, args))

    def _check_parameters(self, array: Array) -> None:
        self.kernel._check_parameters(array)


def as_vector(name: str, argument: str, value: Any) -> Any:
    """(B, n, 1) as (B, n); all else as it is."""
    if value is None or isinstance(value, mx.sym.Symbol):
        return value
    shape = np.shape(value)
    if len(shape) != 3:
        return value
    if shape[2] != 1:
        raise ShapeError(
            f"{name}: '{argument}' has {shape[2]} columns, shape {shape}; a process in state space "
            "form has one time axis: expected (B, n) or (B, n, 1). GPLikelihoodLayer takes more."
        )
    return value.reshape(shape[:2]) if hasattr(value, "reshape") else np.reshape(value, shape[:2])


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
