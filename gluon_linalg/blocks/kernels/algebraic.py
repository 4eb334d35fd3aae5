"""Kernels of the inner product, and the two constant ones.

Rasmussen & Williams, Gaussian Processes for Machine Learning, section 4.2.2.
"""

from typing import Any, Optional, Tuple

import numpy as np

from ... import functional as fn
from ... import native
from ...typing import Array, Namespace
from ..parameters import ONE
from .base import ActiveDims, Kernel, Values


class Linear(Kernel):
    """Σ_d variance_d x_d z_d; variance: one positive number, or one per active column (ARD).

    >>> kernel = gl.kernels.Linear(variance=2.0)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[1.0], [3.0]]])).asnumpy())
    [[[ 2.  6.]
      [ 6. 18.]]]
    """

    by_column = ("variance",)

    def __init__(
        self, variance: Values = ONE, active_dims: ActiveDims = None, **kwargs: Any
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        self.variance = self._positive("variance", variance)

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        square = np.mean(np.sum(np.square(self._seen_columns(x)), axis=1))
        if square > 0:
            self.variance.begin_at(variance / square)

    def covariance(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, variance: Array
    ) -> Array:
        left = self.column_by_column(F, F.broadcast_mul, x, "variance", variance)
        return fn.product(F, left, x if z is None else z, transpose_b=True)

    def variances(self, F: Namespace, x: Array, dtype: str, variance: Array) -> Array:
        squares = self.column_by_column(F, F.broadcast_mul, F.square(x), "variance", variance)
        return F.sum(squares, axis=2)

    def write(
        self, program: native.KernelProgram, x: Array, z: Optional[Array], variance: Array
    ) -> None:
        program.write("linear", program.points(x, z), program.hyperparameter(variance))

    def state_space(self, F: Namespace, orders: fn.Orders, variance: Array) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.Features(1, lambda F, times: times, fn.ones_like), variance)


class Polynomial(Kernel):
    """variance · (Σ_d x_d z_d / lengthscale_d² + offset)^degree, degree a positive integer.

    lengthscale: one positive number, or one per active column (ARD).

    >>> kernel = gl.kernels.Polynomial(degree=2, offset=1.0)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[1.0], [3.0]]])).asnumpy().round(4))
    [[[  4.  16.]
      [ 16. 100.]]]
    """

    by_column = ("lengthscale",)

    def __init__(
        self,
        degree: int = 2,
        variance: float = ONE,
        lengthscale: Values = ONE,
        offset: float = 1.0,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        if int(degree) != degree or degree < 1:
            raise ValueError(f"Polynomial: degree is {degree!r}, expected a positive integer.")
        self._degree = int(degree)
        self.variance = self._positive("variance", variance)
        self.lengthscale = self._positive("lengthscale", lengthscale)
        self.offset = self._positive("offset", offset)

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        square = np.mean(np.sum(np.square(self._seen_columns(x)), axis=1))
        self.variance.begin_at(variance)
        if square > 0:
            self.lengthscale.begin_at(np.sqrt(square))

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        lengthscale: Array,
        offset: Array,
    ) -> Array:
        x = self._scaled(F, x, lengthscale)
        z = x if z is None else self._scaled(F, z, lengthscale)
        base = F.broadcast_add(fn.product(F, x, z, transpose_b=True), F.expand_dims(offset, axis=2))
        return F.broadcast_mul(base**self._degree, F.expand_dims(variance, axis=2))

    def variances(
        self, F: Namespace, x: Array, dtype: str, variance: Array, lengthscale: Array, offset: Array
    ) -> Array:
        x = self._scaled(F, x, lengthscale)
        base = F.broadcast_add(F.sum(F.square(x), axis=2), offset)
        return F.broadcast_mul(base**self._degree, variance)

    def write(
        self,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        variance: Array,
        lengthscale: Array,
        offset: Array,
    ) -> None:
        program.write("scaled", program.points(x, z), program.hyperparameter(lengthscale))
        program.write("shift", program.hyperparameter(offset))
        program.write("power", self._degree)
        program.write("scale", program.hyperparameter(variance))

    def state_space(
        self,
        F: Namespace,
        orders: fn.Orders,
        variance: Array,
        lengthscale: Array,
        offset: Array,
    ) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.polynomial_features(self._degree, offset, lengthscale), variance)

    def _scaled(self, F: Namespace, x: Array, lengthscale: Array) -> Array:
        return self.column_by_column(F, F.broadcast_div, x, "lengthscale", lengthscale)


class Constant(Kernel):
    """variance, for every pair of points.

    >>> kernel = gl.kernels.Constant(variance=3.0)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[0.0], [9.0]]])).asnumpy().round(4))
    [[[3. 3.]
      [3. 3.]]]
    """

    def __init__(
        self, variance: float = ONE, active_dims: ActiveDims = None, **kwargs: Any
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        self.variance = self._positive("variance", variance)

    def covariance(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, variance: Array
    ) -> Array:
        return F.broadcast_mul(_ones(F, x, z), F.expand_dims(variance, axis=2))

    def write(
        self, program: native.KernelProgram, x: Array, z: Optional[Array], variance: Array
    ) -> None:
        program.points(x, z)
        program.write("ones")
        program.write("scale", program.hyperparameter(variance))

    def state_space(self, F: Namespace, orders: fn.Orders, variance: Array) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.Features(1, fn.ones_like, fn.zeros_like), variance)

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        return float(self.variance.value()[0]), 0.0


class White(Kernel):
    """variance where a point meets itself: k(x) = variance · I, and k(x, z) = 0 for any z.

    >>> kernel = gl.kernels.White(0.5)
    >>> kernel.initialize()
    >>> print(kernel(mx.nd.array([[[0.0], [0.0]]])).asnumpy())
    [[[0.5 0. ]
      [0.  0.5]]]
    """

    def __init__(
        self, variance: float = ONE, active_dims: ActiveDims = None, **kwargs: Any
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        self.variance = self._positive("variance", variance)

    def covariance(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, variance: Array
    ) -> Array:
        if z is None:
            return fn.diagonal_matrix(F, self.variances(F, x, dtype, variance))
        return F.broadcast_mul(_ones(F, x, z), F.expand_dims(0.0 * variance, axis=2))

    def write(
        self, program: native.KernelProgram, x: Array, z: Optional[Array], variance: Array
    ) -> None:
        program.points(x, z)
        program.write("white")
        program.write("scale", program.hyperparameter(variance))

    def state_space(self, F: Namespace, orders: fn.Orders, variance: Array) -> fn.LinearSDE:
        return fn.ScaledSDE(fn.WhiteNoise(), variance)

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        return float(self.variance.value()[0]), 0.0


def _ones(F: Namespace, x: Array, z: Optional[Array]) -> Array:
    left = fn.ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1))
    right = left if z is None else fn.ones_like(F, F.slice_axis(z, axis=2, begin=0, end=1))
    return fn.product(F, left, right, transpose_b=True)
