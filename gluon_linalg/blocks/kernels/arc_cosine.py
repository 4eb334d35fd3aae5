"""Kernels of wide neural networks with one layer."""

import math
from typing import Any, Optional, Tuple

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..parameters import ONE
from .base import ActiveDims, Kernel, Values

ORDERS = (0, 1, 2)


class ArcCosine(Kernel):
    """variance/π · (u(x, x) u(z, z))^(order/2) J(θ): the covariance of a wide layer of units.

    u(x, z) = Σ_d weight_variance_d x_d z_d + offset, and θ is the angle of the vectors of which it
    is the inner product. For `order` 0, 1, 2, where the units are steps, ramps, or squared ramps,

        J = π - θ,  sin θ + (π - θ) cos θ,  3 sin θ cos θ + (π - θ)(1 + 2 cos² θ).

    variance, offset: positive numbers; weight_variance: one, or one for each active column. At
    order 0 it is not differentiable in x where θ is 0 or π: such a pair contributes 0 to the
    gradient. Cho & Saul 2009, Kernel methods for deep learning.

    >>> kernel = gl.kernels.ArcCosine(order=0, offset=1.0)
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)  # 1 - ¼
    0.75
    """

    by_column = ("weight_variance",)

    def __init__(
        self,
        order: int = 1,
        variance: float = ONE,
        weight_variance: Values = ONE,
        offset: float = 1.0,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        if order not in ORDERS:
            raise ValueError(f"{self.name}: order is {order!r}, expected 0, 1 or 2.")
        self.order = int(order)
        self.variance = self._positive("variance", variance)
        self.weight_variance = self._positive("weight_variance", weight_variance)
        self.offset = self._positive("offset", offset)

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        square = np.mean(np.sum(np.square(self._seen_columns(x)), axis=1))
        self.variance.begin_at(variance)
        if square > 0:
            self.weight_variance.begin_at(1.0 / square)

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        weight_variance: Array,
        offset: Array,
    ) -> Array:
        unit, norm = self._direction(F, x, weight_variance, offset)
        others = (unit, norm) if z is None else self._direction(F, z, weight_variance, offset)
        angular = self._angular(F, unit, others[0], dtype)
        variance = F.expand_dims(F.cast(variance, dtype="float64"), axis=2)
        left = F.broadcast_mul(fn.ones_like(F, norm), variance)
        right = fn.ones_like(F, others[1])
        for _ in range(self.order):
            left, right = left * norm, right * others[1]
        factor = fn.product(F, left, right, transpose_b=True)
        return angular * F.cast(factor, dtype=dtype)

    def variances(
        self,
        F: Namespace,
        x: Array,
        dtype: str,
        variance: Array,
        weight_variance: Array,
        offset: Array,
    ) -> Array:
        squares = self.column_by_column(
            F, F.broadcast_mul, F.square(x), "weight_variance", weight_variance
        )
        norm = F.broadcast_add(F.sum(squares, axis=2), offset)
        total = fn.ones_like(F, norm)
        for _ in range(self.order):
            total = total * norm
        return F.broadcast_mul(total, AT_ZERO[self.order] * variance)

    def _direction(
        self, F: Namespace, x: Array, weight_variance: Array, offset: Array
    ) -> Tuple[Array, Array]:
        """Unit vectors (B, n, d + 1) and what they were divided by, (B, n, 1), in float64.

        x is not centred: the kernel has its origin where the weights have theirs.
        """
        x, weight_variance, offset = (
            F.cast(a, dtype="float64") for a in (x, weight_variance, offset)
        )
        scaled = self.column_by_column(
            F, F.broadcast_mul, x, "weight_variance", F.sqrt(weight_variance)
        )
        one = fn.ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1))
        last = F.broadcast_mul(one, F.expand_dims(F.sqrt(offset), axis=2))
        vectors = F.concat(scaled, last, dim=2)
        norm = F.sqrt(F.sum(F.square(vectors), axis=2, keepdims=True))
        return F.broadcast_div(vectors, norm), norm

    def _angular(self, F: Namespace, a: Array, b: Array, dtype: str) -> Array:
        """J(θ)/π of unit vectors, with the gradient dJ/d cos θ, of which the sine cancels.

        θ comes from the distances |a - b| and |a + b|, of which one is exact where θ is near 0 or
        π (Kahan), and cos θ = 1 - ½|a - b|² = ½|a + b|² - 1, whose gradient is exact there too.
        """
        apart = fn.negative_half_squared_distance(F, a, b, dtype)
        together = fn.negative_half_squared_distance(F, a, -b, dtype)
        near, far = F.sqrt(-fn.stop(F, apart)), F.sqrt(-fn.stop(F, together))
        is_near = near <= far
        most = F.where(is_near, far, near)
        half = F.arctan(F.where(is_near, near, far) / most)
        angle = F.where(is_near, 2.0 * half, math.pi - 2.0 * half)
        rest = F.where(is_near, math.pi - 2.0 * half, 2.0 * half)
        sine, cosine = F.sin(angle), F.cos(angle)
        if self.order == 0:
            value = rest
            # dθ/d cos θ = -1 / sin θ.
            differs = (sine > 0.0) * (near != 0.0) * (far != 0.0)
            slope = differs / F.where(differs, sine, fn.ones_like(F, sine))
        elif self.order == 1:
            value, slope = sine + rest * cosine, rest
        else:
            value = 3.0 * sine * cosine + rest * (1.0 + 2.0 * F.square(cosine))
            slope = 4.0 * (sine + rest * cosine)
        moved = F.where(is_near, apart, -together)
        return fn.with_gradient(
            F, value * (1.0 / math.pi), fn.stop(F, slope * (1.0 / math.pi)) * moved
        )


# J(0)/π.
AT_ZERO = (1.0, 1.0, 3.0)
