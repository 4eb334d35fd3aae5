"""Gaussian processes over one time axis as linear stochastic differential equations, in O(n)."""

from typing import Any, List, Optional, Tuple, Union, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError, UnidentifiedError
from ..functional.rbf_chains import RBF_CHAINS
from ..typing import Array, ArrayLike, Namespace
from . import kernels
from .kalman import KalmanFilterLayer, ScanningBlock
from .kernels import Kernel
from .mean import mean_block, mean_values
from .parameters import (
    ONE,
    PositiveParameter,
    check_include_noise,
    parameter_array,
    positive_parameter,
)
from .state_space_gp_predictor import LeaveOneOut, StateSpaceGPPredictor
from .state_space_gp_views import as_vector


class StateSpaceGPLayer(ScanningBlock):
    """Negative log marginal likelihood of a Gaussian process in time, (x, y) -> (B,), in O(n).

    φ = -log N(y | m(x), k(x) + noise_variance I [+ diag(noise)]),  as `GPLikelihoodLayer`,

    by a Kalman filter: the kernel is that of a linear stochastic differential equation
    (`functional.linear_sde`; Hartikainen & Särkkä 2010, Solin & Särkkä 2014).

    x: (B, n) or (B, n, 1), finite times that do not run backwards; several may be equal. y: the
    same shape. noise: (B, n), optional known variances of single observations; mask: (B, n),
    optional, 1 where y was observed and 0 where it was not, whatever stands there. Every array but
    the mask has a gradient; at equal times that in x of `Matern12`, which has none there, is that
    of moving them apart.

    kernel: Matern12, Matern32, Matern52, Matern72, Cosine, Constant, Linear, Polynomial, White,
    exactly; RBF by `rbf_order` states (2 to 9), SpectralMixture by twice as many for each
    component, and Periodic by `periodic_order` harmonics; their sums, products and multiples, also
    `Batched`. `approximation_error()` bounds what the orders leave out. The cost is
    n d³ for d states, the sum of those of the parts of a sum, the product of those of a product.
    mean, noise_variance: as in `GPLikelihoodLayer`, but noise_variance is one number. method,
    length: as in `KalmanFilterLayer`. precision: 'float64' computes a float32 layer in float64
    inside, None in float32.

    Raises TimeOrderError, NonFiniteError, ShapeError, DtypeError, UnidentifiedError where a mask
    hides all, SingularMatrixError for equal times without noise.

    >>> x, y = mx.nd.array([[0.0, 0.5, 2.0]]), mx.nd.array([[0.1, 0.3, -0.2]])
    >>> fast = gl.StateSpaceGPLayer(gl.kernels.Matern32(), noise_variance=0.1)
    >>> exact = gl.GPLikelihoodLayer(gl.kernels.Matern32(), noise_variance=0.1)
    >>> fast.initialize()
    >>> exact.initialize()
    >>> (fast(x, y) - exact(x.expand_dims(2), y)).abs().asscalar() < 1e-5
    True
    """

    arguments = (("x", "B n"), ("y", "B n"), ("noise", "B n"), ("mask", "B n"))
    required = 2

    def __init__(
        self,
        kernel: Kernel,
        mean: Union[None, str, mx.gluon.HybridBlock] = None,
        noise_variance: Optional[float] = ONE,
        rbf_order: int = 6,
        periodic_order: int = 6,
        precision: Optional[str] = "float64",
        method: str = "sequential",
        length: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{self.name}: kernel is {kernel!r}, expected a gluon_linalg kernel.")
        _check_state_space(self.name, kernel)
        if precision not in (None, "float64"):
            raise ValueError(
                f"{self.name}: precision is {precision!r}, expected 'float64' or None."
            )
        if np.ndim(noise_variance or 0.0) > 0:
            raise ShapeError(
                f"{self.name}: noise_variance is one number; give `noise` in the call for those "
                "of single observations."
            )
        self._orders, self._precision = _orders(self.name, rbf_order, periodic_order), precision
        with self.name_scope():
            self.kernel = kernel
            kernel.check_columns(1)
            self.mean = mean_block(mean)
            size = kernel.linear_sde(mx.sym, mx.sym.var("x"), self._orders).size
            self.filter = KalmanFilterLayer(size, method=method, length=length)
            self.noise_variance: Optional[PositiveParameter] = None
            if noise_variance:
                self.noise_variance = positive_parameter(
                    self, "noise_variance", noise_variance, lower=1e-10
                )

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
        inputs, valid = self._kalman_inputs(F, x, y, noise, mask, self._precision or outer)
        return F.cast(self.filter.results(F, *inputs) * valid, dtype=outer)

    def approximation_error(self) -> float:
        """A bound of |k̃(s, t) - k(s, t)|, for all s and t, at the present hyperparameters.

        0 for kernels that have a state space form; inf where an approximated kernel is multiplied
        by one that grows without end.
        """
        return self.kernel.state_space_bounds(self._orders)[1]

    def condition(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
        include_noise: bool = False,
    ) -> StateSpaceGPPredictor:
        """The posterior given data, a `StateSpaceGPPredictor`: x -> (mean, variance), each (B, m).

        x, y, noise, mask: as in a call of the layer, but NumPy arrays as well, and with or without
        the batch axis. The data are filtered once, here. include_noise: as in
        `GPLikelihoodLayer.condition`.
        """
        check_include_noise(self, include_noise)
        data = self._all_data(x, y, noise, mask)
        dtype = self._precision or cast(str, self.dtype)
        with mx.autograd.pause():
            times, table, passages, left_out, given = self._posterior(dtype, *data)
            known = self.noise_variance is not None
            variance = self._noise(mx.nd, table, None, "float64") if known else None
        with self.name_scope():
            return StateSpaceGPPredictor(
                self.kernel,
                self.mean,
                self._orders,
                times,
                table,
                passages,
                left_out,
                variance,
                include_noise,
                given,
            )

    def _kalman_inputs(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
        dtype: str,
    ) -> Tuple[List[Optional[Array]], Array]:
        """The arguments of Kalman layers, in `dtype`, and 1, or NaN for what is not valid, (B,)."""
        outer = cast(str, self.dtype)
        y = F.cast(F.reshape(y, shape=(0, -1)), dtype=dtype)
        times = F.cast(F.reshape(x, shape=(0, -1, 1)), dtype="float64")
        own_times = F.cast(times, dtype=dtype)
        residual = y - mean_values(F, self.mean, own_times, dtype, outer)
        gaps = fn.gaps_between(F, times)
        valid = fn.ones_like(F, F.squeeze(times, axis=2))
        valid = fn.require_ordered(F, valid, times, gaps, self.name)
        if noise is not None:
            shown = None if mask is None else F.reshape(mask, shape=(0, -1))
            noise = fn.checked_noise(F, F.reshape(noise, shape=(0, -1)), shown, self.name)
        if mask is not None:
            mask = F.cast(F.reshape(mask, shape=(0, -1)), dtype=dtype)
            text = f"{self.name}: the mask hides all observations."
            holds = F.cast(F.max(mask, axis=1, keepdims=True) > 0.0, dtype="float64")
            valid = fn.require(F, valid, holds, UnidentifiedError, text, axes=2)
            mask = F.expand_dims(mask, axis=2)
        sde = self.kernel.linear_sde(F, times, self._orders)
        factor = sde.process_factor(F, gaps)
        if factor is None:
            factor = fn.constant(F, times, np.zeros((sde.size, 1)))
        arrays = (sde.transition(F, gaps), sde.emission(F, times), factor)
        transition, emission, factor = (F.cast(array, dtype=dtype) for array in arrays)
        prior = F.cast(fn.constant(F, times, np.eye(sde.size)), dtype=dtype)
        inputs = [
            F.expand_dims(residual, axis=2),
            transition,
            emission,
            factor,
            fn.root(F, self._noise(F, times, noise, dtype)),
            F.sum(0.0 * prior, axis=(1, 2)),
            F.squeeze(prior, axis=0),
            mask,
        ]
        return inputs, fn.stop(F, F.cast(F.mean(valid, axis=1), dtype=dtype))

    def _noise(self, F: Namespace, like: Array, noise: Optional[Array], dtype: str) -> Array:
        """The variances of observations, (1, 1, 1, 1) or (B, n, 1, 1)."""
        variances = F.cast(fn.constant(F, like, np.zeros((1, 1))), dtype=dtype)
        if noise is not None:
            variances = F.cast(F.reshape(noise, shape=(0, -1, 1, 1)), dtype=dtype)
        if self.noise_variance is not None:
            stored = F.cast(parameter_array(F, self.noise_variance, like), dtype=dtype)
            learned = self.noise_variance.natural(F, stored)
            variances = F.broadcast_add(variances, F.reshape(learned, shape=(1, 1, 1, 1)))
        return variances

    def _posterior(self, dtype, x, y, noise, mask):
        """Times, `table_of_stretches`, `Passages` and `LeaveOneOut` of data, and residuals."""
        F, name = mx.nd, self.name
        noise = None if noise is None else fn.checked_noise(F, noise, mask, name)
        (y3, *arrays), _ = self._kalman_inputs(F, x, y, noise, mask, dtype)
        system = fn.state_space_system(F, y3, *arrays, name=name)
        size, length = self.filter._states, self.filter._scan_length(F, system)
        filtered, _ = fn.kalman_filter(F, system, size, 1, "square_root", length, name)
        smoothed = fn.backward_pass(F, system, filtered, size, length)
        batch = y3.shape[0]
        variances = self._noise(F, x.reshape((0, -1, 1)), noise, "float64")
        variances = variances.reshape(variances.shape[:2]).broadcast_to(y3.shape[:2])

        def by_batch(array, axes):
            array = fn.batch_first(F, array).astype("float64")
            array = array.broadcast_axis(axis=0, size=batch) if array.shape[0] != batch else array
            return array.reshape(array.shape[: 2 + axes])

        times = x.astype("float64").reshape((batch, -1))
        table = fn.table_of_stretches(
            F,
            times,
            by_batch(fn.filtered_mean(F, filtered), 1),
            by_batch(fn.filtered_covariance(F, filtered, 1), 2),
            by_batch(smoothed.before, 1),
            by_batch(smoothed.precision_before, 2),
        )
        gain, inverse = filtered.gain, filtered.inverse_factor
        emission, transition = (
            fn.over_time(F, array, filtered.closed)
            for array in (system.emission, system.transition)
        )
        passages = fn.passages(
            F, *(by_batch(array, 2) for array in (filtered.whitened, inverse, emission, transition))
        )
        certainty = fn.product(F, gain, fn.product(F, smoothed.precision_after, gain), True)
        certainty = by_batch(certainty + fn.product(F, inverse, inverse, True), 0)
        certainty = certainty.reshape((batch, -1))
        error = by_batch(smoothed.observed, 0).reshape((batch, -1)) / certainty
        y = y.astype("float64").reshape((batch, -1))
        variance = 1.0 / certainty
        if mask is not None:
            hidden = F.zeros_like(error) * np.nan
            shown = mask.astype("float64").reshape((batch, -1))
            error, variance = (F.where(shown, a, hidden) for a in (error, variance))
        shown = None if mask is None else mask.astype("float64").reshape((batch, -1))
        given = y3.astype("float64").reshape((batch, -1)), variances, shown
        return times, table, passages, LeaveOneOut(y - error, variance), given

    def _bound(self, args: Any, keywords: Any) -> Tuple[Any, ...]:
        """The arguments of a call, arrays of one column as vectors."""
        args = super()._bound(args, keywords)
        return tuple(as_vector(self.name, rule[0], a) for rule, a in zip(self.arguments, args))

    def _from_data(self, *args: Any, dtype: Optional[str] = None, **keywords: Any) -> Any:
        x, y, *rest = self._bound(args, keywords)
        if np.ndim(y) == 1 and np.shape(x) == (len(y), 1):
            # Rows without a batch axis, (n, 1).
            x = x.reshape((-1,)) if hasattr(x, "reshape") else np.reshape(x, -1)
        return super()._from_data(x, y, *rest, dtype=dtype)

    def _open_scans(self):
        return self.filter._open_scans()


def _check_state_space(name: str, kernel: Kernel) -> None:
    without = sorted({type(part).__name__ for part in kernel.without_state_space()})
    if without:
        own = {key: getattr(getattr(kernels, key), "state_space", None) for key in kernels.__all__}
        having = sorted(key for key, form in own.items() if form not in (None, Kernel.state_space))
        raise TypeError(
            f"{name}: {', '.join(without)} has no state space form; those that have: "
            f"{', '.join(having)}, their sums, products and multiples. GPLikelihoodLayer takes any "
            "kernel."
        )


def _orders(name: str, rbf: int, periodic: int) -> fn.Orders:
    if rbf not in RBF_CHAINS:
        raise ValueError(
            f"{name}: rbf_order is {rbf!r}, expected an integer from {min(RBF_CHAINS)} to "
            f"{max(RBF_CHAINS)}."
        )
    if isinstance(periodic, bool) or not isinstance(periodic, int) or periodic < 1:
        raise ValueError(
            f"{name}: periodic_order is {periodic!r}, expected an integer of 1 or more."
        )
    return fn.Orders(rbf, periodic)
