"""Kernels of the scaled distance r² = Σ_d (x_d - z_d)² / lengthscale_d².

Rasmussen & Williams, Gaussian Processes for Machine Learning, section 4.2.
"""

import math
from typing import Any, Mapping, Optional, Tuple

from ... import functional as fn
from ... import native
from ...functional.rbf_chains import RBF_CHAINS
from ...typing import Array, Namespace, hook
from ..parameters import ONE
from .base import ActiveDims, Kernel, Values


def _profile_writer(word: str) -> Any:
    """The `write` of a kernel variance · profile(r²), whose profile has that word."""

    def write(
        self: Kernel,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        variance: Array,
        lengthscale: Array,
        **others: Array,
    ) -> None:
        program.write("distance", program.points(x, z), program.hyperparameter(lengthscale))
        program.write(word, *(program.hyperparameter(values) for values in others.values()))
        program.write("scale", program.hyperparameter(variance))

    return write


def _matern_state_space(size: int) -> Any:
    """The `state_space` of a Matérn kernel of order size - ½, in closed form."""

    def state_space(
        self: Kernel, F: Namespace, orders: fn.Orders, variance: Array, lengthscale: Array
    ) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.Matern(size, math.sqrt(2.0 * size - 1.0) / lengthscale), variance)

    return state_space


class Stationary(Kernel):
    """variance · profile(r²): a subclass states `profile` and, if it has any, more parameters.

    variance: a positive number; lengthscale: one positive number, or one per active column (ARD).

    >>> class Cauchy(gl.kernels.Stationary):
    ...     def profile(self, F, squared):
    ...         return 1.0 / (1.0 + squared)
    ...
    >>> kernel = Cauchy()
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)
    0.5
    """

    # Those that `features` takes; all others but the variance go to `profile`.
    by_column: Tuple[str, ...] = ("lengthscale",)

    def __init__(
        self,
        variance: float = ONE,
        lengthscale: Values = ONE,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        self.variance = self._positive("variance", variance)
        self.lengthscale = self._positive("lengthscale", lengthscale)

    @hook
    def profile(self, F: Namespace, squared: Array, **parameters: Array) -> Array:
        """The kernel at unit variance, as a function of r² >= 0 (B, n, m)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement profile")

    @hook
    def features(self, F: Namespace, x: Array, lengthscale: Array) -> Array:
        """The coordinates whose Euclidean distance is r, (B, n, d) -> (B, n, f)."""
        return self.column_by_column(F, F.broadcast_div, x, "lengthscale", lengthscale)

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        variance = float(self.variance.value()[0])
        return variance, variance * self._unit_error(orders)

    def _unit_error(self, orders: fn.Orders) -> float:
        """Of the kernel of `state_space` at unit variance."""
        return 0.0

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        **parameters: Array,
    ) -> Array:
        left, right = self._feature_pair(F, x, z, parameters)
        exponent = fn.negative_half_squared_distance(F, left, right, dtype)
        others = {k: v for k, v in parameters.items() if k not in self.by_column}
        unit = self.profile(F, -2.0 * exponent, **others)
        return F.broadcast_mul(unit, F.expand_dims(variance, axis=2))

    def _feature_pair(
        self, F: Namespace, x: Array, z: Optional[Array], parameters: Mapping[str, Array]
    ) -> Tuple[Array, Array]:
        """The features of x and z in float64."""
        chosen = {k: F.cast(parameters[k], dtype="float64") for k in self.by_column}
        x, z = fn.centred(F, x, z)
        left = self.features(F, x, **chosen)
        left, right = fn.in_range(F, left, None if z is None else self.features(F, z, **chosen))
        return left, left if right is None else right


class RBF(Stationary):
    """variance · exp(-½ r²).

    >>> kernel = gl.kernels.RBF(variance=2.0, lengthscale=0.5)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[0.0], [0.5]]])).asnumpy().round(4))
    [[[2.     1.2131]
      [1.2131 2.    ]]]
    """

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        **parameters: Array,
    ) -> Array:
        unit = F.exp(self._exponent(F, x, z, dtype, parameters))
        return F.broadcast_mul(unit, F.expand_dims(variance, axis=2))

    def constant_covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        **parameters: Array,
    ) -> Array:
        unit = fn.exp_below_zero(F, self._exponent(F, x, z, dtype, parameters), dtype)
        return F.broadcast_mul(unit, F.expand_dims(variance, axis=2))

    def _exponent(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        parameters: Mapping[str, Array],
    ) -> Array:
        left, right = self._feature_pair(F, x, z, parameters)
        return fn.negative_half_squared_distance(F, left, right, dtype)

    write = _profile_writer("rbf")

    @hook
    def state_space(
        self, F: Namespace, orders: fn.Orders, variance: Array, lengthscale: Array
    ) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.rbf_chain(orders.rbf, 1.0 / lengthscale), variance)

    def _unit_error(self, orders: fn.Orders) -> float:
        return RBF_CHAINS[orders.rbf][1]

    def weighted_sum(self, F: Namespace, weights: Array, x: Array, dtype: str) -> Array:
        """By the gradient of Σ_ij V_ij (-½|f_i - f_j|²), V = W∘K, f the features: V f - (V 1) f.

        No (n, n) array is differentiated: a third less work than the general form.
        """
        kernel = self.evaluate(F, x, None, dtype, constant=True)
        x = self.select(F, x)
        parameters = self.own(F, x, dtype)
        variance = parameters.pop("variance")
        features, _ = self._feature_pair(F, x, None, parameters)
        constant = fn.stop(F, features)
        weighted = F.cast(weights * kernel, dtype="float64")
        ones = F.slice_axis(fn.ones_like(F, constant), axis=2, begin=0, end=1)
        sums = fn.product(F, weighted, F.concat(constant, ones, dim=2))
        moments = F.slice_axis(sums, axis=2, begin=0, end=-1)
        totals = F.slice_axis(sums, axis=2, begin=-1, end=None)
        slope = 2.0 * (moments - F.broadcast_mul(constant, totals))
        total = F.sum(totals, axis=(1, 2))
        log_variance = F.reshape(F.cast(F.log(variance), dtype="float64"), shape=(-1,))
        by_distance = F.sum(features * slope, axis=(1, 2))
        return F.cast(by_distance + F.broadcast_mul(total, log_variance), dtype=dtype)


class Periodic(RBF):
    """variance · exp(-2 Σ_d sin²(π (x_d - z_d) / period_d) / lengthscale_d²).

    The RBF of the points (cos, sin)(2π x / period) / lengthscale, whose squared distance is
    4 sin²(π (x - z) / period) / lengthscale². period: one number or one per active column, in the
    units of x. MacKay 1998; with one column, scikit-learn's ExpSineSquared.

    >>> kernel = gl.kernels.Periodic(period=12.0)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[0.0], [24.0], [6.0]]]))[0, 0].asnumpy().round(4))
    [1.     1.     0.1353]
    """

    by_column = ("lengthscale", "period")

    def __init__(
        self,
        variance: float = ONE,
        lengthscale: Values = ONE,
        period: Values = ONE,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(variance, lengthscale, active_dims, **kwargs)
        self.period = self._positive("period", period)

    def features(self, F: Namespace, x: Array, lengthscale: Array, period: Array) -> Array:
        angle = self.column_by_column(F, F.broadcast_div, 2.0 * math.pi * x, "period", period)
        points = [
            self.column_by_column(F, F.broadcast_div, point, "lengthscale", lengthscale)
            for point in (F.cos(angle), F.sin(angle))
        ]
        return F.concat(*points, dim=2)

    def write(
        self,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        variance: Array,
        lengthscale: Array,
        period: Array,
    ) -> None:
        values = (program.hyperparameter(array) for array in (lengthscale, period))
        program.write("circle", program.points(x, z), *values)
        program.write("rbf")
        program.write("scale", program.hyperparameter(variance))

    def state_space(
        self,
        F: Namespace,
        orders: fn.Orders,
        variance: Array,
        lengthscale: Array,
        period: Array,
    ) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.periodic_features(orders.periodic, lengthscale, period), variance)

    def _unit_error(self, orders: fn.Orders) -> float:
        return fn.periodic_error(orders.periodic, float(self.lengthscale.value()[0]))


class Matern12(Stationary):
    """variance · exp(-r).

    Not differentiable in x where two points coincide: the pair contributes 0 to the gradient.

    >>> kernel = gl.kernels.Matern12()
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)  # exp(-1)
    0.3679
    """

    def profile(self, F: Namespace, squared: Array) -> Array:
        return F.exp(-_root(F, squared))

    write = _profile_writer("matern12")
    state_space = _matern_state_space(1)


class Matern32(Stationary):
    """variance · (1 + √3 r) exp(-√3 r).

    >>> kernel = gl.kernels.Matern32()
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)
    0.4834
    """

    def profile(self, F: Namespace, squared: Array) -> Array:
        r = math.sqrt(3.0) * _root(F, squared)
        return (1.0 + r) * F.exp(-r)

    write = _profile_writer("matern32")
    state_space = _matern_state_space(2)


class Matern52(Stationary):
    """variance · (1 + √5 r + 5/3 r²) exp(-√5 r).

    >>> kernel = gl.kernels.Matern52()
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)
    0.524
    """

    def profile(self, F: Namespace, squared: Array) -> Array:
        r = math.sqrt(5.0) * _root(F, squared)
        return (1.0 + r + F.square(r) / 3.0) * F.exp(-r)

    write = _profile_writer("matern52")
    state_space = _matern_state_space(3)


class Matern72(Stationary):
    """variance · (1 + √7 r + 14/5 r² + 7√7/15 r³) exp(-√7 r).

    >>> kernel = gl.kernels.Matern72()
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)
    0.5449
    """

    def profile(self, F: Namespace, squared: Array) -> Array:
        r = math.sqrt(7.0) * _root(F, squared)
        # Not r³ exp(-r), in which r³ overflows.
        third = F.exp(-r / 3.0)
        product = r * third
        return (1.0 + r) * F.exp(-r) + F.square(product) * (0.4 * third + product / 15.0)

    state_space = _matern_state_space(4)


class RationalQuadratic(Stationary):
    """variance · (1 + r² / (2 alpha))^(-alpha); alpha -> infinity is the RBF.

    Beyond r = 1e17 in float32 and 1e19 in float64 it decreases no further.

    >>> kernel = gl.kernels.RationalQuadratic(alpha=0.5)
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)  # 1/√2
    0.7071
    """

    def __init__(
        self,
        variance: float = ONE,
        lengthscale: Values = ONE,
        alpha: float = 1.0,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(variance, lengthscale, active_dims, **kwargs)
        self.alpha = self._positive("alpha", alpha)

    def profile(self, F: Namespace, squared: Array, alpha: Array) -> Array:
        alpha = F.expand_dims(alpha, axis=2)
        # Not a quotient: its derivative by alpha overflows for distant points.
        ratio = F.broadcast_mul(0.5 * squared, 1.0 / alpha)
        return F.exp(-F.broadcast_mul(F.log1p(ratio), alpha))

    write = _profile_writer("rational")


class Cosine(Kernel):
    """variance · cos(2π Σ_d (x_d - z_d) / period_d): waves along one direction, of any phase.

    Positive semidefinite in any dimension, as cos(|x - z|) is not: cos(a - b) = cos a cos b +
    sin a sin b. period: one number or one per active column, in the units of x. Wilson 2014,
    Covariance kernels for fast automatic pattern discovery and extrapolation, equation 4.7.

    >>> kernel = gl.kernels.Cosine(period=4.0)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[0.0], [1.0], [2.0]]]))[0, 0].asnumpy().round(4))
    [ 1.  0. -1.]
    """

    by_column = ("period",)

    def __init__(
        self,
        variance: float = ONE,
        period: Values = ONE,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        self.variance = self._positive("variance", variance)
        self.period = self._positive("period", period)

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        period: Array,
    ) -> Array:
        x, z = fn.centred(F, x, z)
        left = self._waves(F, x, period)
        right = left if z is None else self._waves(F, z, period)
        unit = F.cast(fn.product(F, left, right, transpose_b=True), dtype=dtype)
        return F.broadcast_mul(unit, F.expand_dims(variance, axis=2))

    def _waves(self, F: Namespace, x: Array, period: Array) -> Array:
        """The points (cos, sin) of the circle, (B, n, d) -> (B, n, 2)."""
        period = F.cast(period, dtype="float64")
        turns = self.column_by_column(F, F.broadcast_div, x, "period", period)
        angle = 2.0 * math.pi * F.sum(turns, axis=2, keepdims=True)
        return F.concat(F.cos(angle), F.sin(angle), dim=2)

    def write(
        self,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        variance: Array,
        period: Array,
    ) -> None:
        program.write("waves", program.points(x, z), program.hyperparameter(period))
        program.write("scale", program.hyperparameter(variance))

    def state_space(
        self, F: Namespace, orders: fn.Orders, variance: Array, period: Array
    ) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.cosine_features(period), variance)

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        return float(self.variance.value()[0]), 0.0


def _root(F: Namespace, squared: Array) -> Array:
    """√r² with gradient 0 at r = 0, where its own is infinite."""
    # Not `> 0`, which NaN is not either: it would count as no distance.
    apart = fn.stop(F, squared) != 0.0
    return F.sqrt(F.where(apart, squared, fn.ones_like(F, squared))) * apart
