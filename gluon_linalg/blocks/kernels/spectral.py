"""The spectral mixture kernel."""

import math
from functools import reduce
from operator import add
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ... import functional as fn
from ... import native
from ...errors import ShapeError, wrong_columns
from ...functional.rbf_chains import RBF_CHAINS
from ...typing import Array, Namespace, given
from ..parameters import positive_parameter
from .base import ActiveDims, Kernel

# A number for all components, one for each, or one for each component and column.
Components = Union[float, Sequence[float], Sequence[Sequence[float]], np.ndarray]


class SpectralMixture(Kernel):
    """Σ_q variance_q Π_d exp(-½ (x_d - z_d)² / lengthscale_qd²) cos(2π (x_d - z_d) / period_qd).

    Its spectrum is a mixture of normal densities: component q has the weight variance_q, the mean
    frequencies 1/period_qd and their standard deviations 1/(2π lengthscale_qd).

    variance: Q numbers. lengthscale, period: (Q,), for one active column, or (Q, d), for d of them;
    one number stands for (Q,). A period far beyond the extent of x makes a component an RBF. A
    product over columns of sums is a product of these kernels with `active_dims`. Wilson & Adams
    2013, Gaussian process kernels for pattern discovery and extrapolation, equation 12.

    >>> kernel = gl.kernels.SpectralMixture([1.0, 0.5], lengthscale=[5.0, 1.0], period=[2.0, 1.0])
    >>> kernel.initialize()
    >>> round(kernel.diag(mx.nd.array([[[0.0]]])).asnumpy().item(), 4)
    1.5
    """

    def __init__(
        self,
        variance: Sequence[float] = (0.5, 0.5),
        lengthscale: Components = 1.0,
        period: Components = (1.0, 4.0),
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        if np.ndim(variance) != 1 or not np.size(variance):
            raise ShapeError(
                f"{self.name}: 'variance' has shape {np.shape(variance)}, expected one number for "
                "each component."
            )
        self.components = len(variance)
        self.variance = positive_parameter(self, "variance", variance)
        sizes = {
            name: self._of_components(name, value)
            for name, value in (("lengthscale", lengthscale), ("period", period))
        }
        self._width = max(1 if values.ndim == 1 else values.shape[1] for values in sizes.values())
        seen = self._columns.count(None)
        if seen not in (self._width, None):
            raise wrong_columns(self.name, "period", self._width, seen)
        for name, values in sizes.items():
            if self._width > 1:
                values = values[:, None] if values.ndim == 1 else values
                values = np.broadcast_to(values, (self.components, self._width))
            setattr(self, name, positive_parameter(self, name, values))

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        lengthscale: Array,
        period: Array,
    ) -> Array:
        x, z = fn.centred(F, x, z)
        lengthscale, period = (F.cast(a, dtype="float64") for a in (lengthscale, period))
        columns = self._column_pairs(x, z)
        parts = []
        for q in range(self.components):
            part = self._decay(F, x, z, dtype, self.of_component(lengthscale, q))
            for d, (left, right) in enumerate(columns):
                part = part * _wave(F, left, right, self.of_component(period, q, d), dtype)
            part = F.broadcast_mul(part, F.expand_dims(_element(variance, q), axis=2))
            parts.append(part)
        return reduce(add, parts)

    def variances(
        self, F: Namespace, x: Array, dtype: str, variance: Array, **others: Array
    ) -> Array:
        total = F.sum(variance, axis=1, keepdims=True)
        return F.broadcast_mul(fn.ones_like(F, F.sum(x, axis=2)), total)

    def write(
        self,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        variance: Array,
        lengthscale: Array,
        period: Array,
    ) -> None:
        columns = self._column_pairs(x, z)
        for q in range(self.components):
            lengths = program.hyperparameter(self.of_component(lengthscale, q))
            program.write("distance", program.points(x, z), lengths)
            program.write("rbf")
            for d, pair in enumerate(columns):
                own = program.hyperparameter(self.of_component(period, q, d))
                program.write("waves", program.points(*pair), own)
                program.write("multiply")
            program.write("scale", program.hyperparameter(_element(variance, q)))
            if q:
                program.write("add")

    def state_space(
        self, F: Namespace, orders: fn.Orders, variance: Array, lengthscale: Array, period: Array
    ) -> fn.LinearSDE:
        """Each component the product of the states of an RBF and of a wave."""
        parts: List[fn.LinearSDE] = []
        for q in range(self.components):
            own, length, wave = (_element(array, q) for array in (variance, lengthscale, period))
            decay = fn.rbf_chain(orders.rbf, 1.0 / length)
            parts.append(fn.ScaledSDE(fn.ProductSDE(decay, fn.cosine_features(wave)), own))
        return parts[0] if len(parts) == 1 else fn.SumSDE(*parts)

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        """A wave makes what an RBF leaves out no larger."""
        total = float(self.variance.value().sum())
        return total, total * RBF_CHAINS[orders.rbf][1]

    def check_columns(self, count: int) -> None:
        super().check_columns(count)
        seen = given(self._columns.count(count))
        if seen != self._width:
            raise wrong_columns(self.name, "period", self._width, seen)

    def _of_components(self, name: str, value: Components) -> np.ndarray:
        values = np.asarray(value, dtype="float64")
        if values.ndim == 0:
            values = np.full(self.components, float(values))
        if values.ndim > 2 or len(values) != self.components or 0 in values.shape:
            raise ShapeError(
                f"{self.name}: '{name}' has shape {values.shape}, expected ({self.components},) or "
                f"({self.components}, d): one number, or one for each active column, for each of "
                f"{self.components} components."
            )
        return values

    def of_component(self, values: Array, q: int, d: Optional[int] = None) -> Array:
        """Those of component q, or its one of column d, from (B or 1, Q d)."""
        begin = q * self._width
        if d is None:
            return values.slice_axis(axis=1, begin=begin, end=begin + self._width)
        return _element(values, begin + d)

    def _column_pairs(self, x: Array, z: Optional[Array]) -> List[Any]:
        """The active columns of x and z, one by one."""
        if self._width == 1:
            return [(x, z)]
        return [
            tuple(None if a is None else a.slice_axis(axis=2, begin=d, end=d + 1) for a in (x, z))
            for d in range(self._width)
        ]

    def _decay(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, lengthscale: Array
    ) -> Array:
        lengthscale = F.expand_dims(lengthscale, axis=1)
        scaled: Dict[str, Any] = {}
        for name, points in (("x", x), ("z", z)):
            if points is not None:
                points = fn.require_columns(F, points, lengthscale, self.name, "period")
                scaled[name] = F.broadcast_div(points, lengthscale)
        left, right = fn.in_range(F, scaled["x"], scaled.get("z"))
        right = left if right is None else right
        return F.exp(fn.negative_half_squared_distance(F, left, right, dtype))


def _wave(F: Namespace, x: Array, z: Optional[Array], period: Array, dtype: str) -> Array:
    """cos(2π (x - z) / period) of one column, (B, n, 1), (B, m, 1) -> (B, n, m)."""
    sides = []
    for points in (x,) if z is None else (x, z):
        angle = F.broadcast_div(2.0 * math.pi * points, F.expand_dims(period, axis=1))
        sides.append(F.concat(F.cos(angle), F.sin(angle), dim=2))
    return F.cast(fn.product(F, sides[0], sides[-1], transpose_b=True), dtype=dtype)


def _element(values: Array, number: int) -> Array:
    return values.slice_axis(axis=1, begin=number, end=number + 1)
