"""A kernel that becomes another."""

from typing import Any, Optional, Tuple

import numpy as np

from ... import functional as fn
from ...errors import ShapeError, no_such_column
from ...typing import Array, Namespace, given
from ..given import given_parameter
from ..parameters import ONE
from .base import ActiveDims, Kernel
from .combination import inner


class ChangePoint(Kernel):
    """(1 - s(x)) before(x, z) (1 - s(z)) + s(x) after(x, z) s(z),

    s(x) = 1 / (1 + exp(-(x_c - location) / width)): one kernel far below the location, another far
    above it, in the column c. location: a number, learnable; width: a positive number, in the
    units of x, 1 over GPflow's steepness; column: c, counted from 0 among the active ones.
    before and after see all active columns. Saatçi, Turner & Rasmussen 2010; Lloyd et al. 2014.

    >>> before, after = gl.kernels.Constant(1.0), gl.kernels.Constant(4.0)
    >>> kernel = gl.kernels.ChangePoint(before, after, location=0.0, width=0.1)
    >>> kernel.initialize()
    >>> print(kernel.diag(mx.nd.array([[[-9.0], [9.0]]])).asnumpy().round(4))
    [[1. 4.]]
    """

    def __init__(
        self,
        before: Kernel,
        after: Kernel,
        location: float = 0.0,
        width: float = ONE,
        column: int = 0,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        for name, kernel in (("before", before), ("after", after)):
            if not isinstance(kernel, Kernel):
                raise TypeError(f"{self.name}: {name} is {kernel!r}, expected a kernel.")
        if np.ndim(location):
            raise ShapeError(
                f"{self.name}: 'location' has shape {np.shape(location)}, expected one number."
            )
        if not np.isfinite(location):
            raise ValueError(f"{self.name}: location is {location!r}, expected a number.")
        self.before, self.after, self._column = before, after, int(column)
        self.location = given_parameter(self, "location", [location])
        self.width = self._positive("width", width)

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        x = self._seen_columns(x)
        deviation = np.std(x[:, self._column])
        if deviation > 0:
            self.width.begin_at(deviation)
        for kernel in (self.before, self.after):
            kernel.begin_with(x, variance)

    def check_columns(self, count: int) -> None:
        super().check_columns(count)
        seen = given(self._columns.count(count))
        if not 0 <= self._column < seen:
            raise no_such_column(self.name, self._column, seen)
        self.before.check_columns(seen)
        self.after.check_columns(seen)

    def plain(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any = None,
        constant: bool = False,
    ) -> Array:
        if constant:
            x, z = fn.stop(F, x), None if z is None else fn.stop(F, z)
        x, z = self.select_both(F, x, z)
        own = self.own(F, x, "float64", hyperparameters, constant)
        left = self._shares(F, x, dtype, own)
        right = left if z is None else self._shares(F, z, dtype, own)
        parts = []
        for name, a, b in zip(("before", "after"), left, right):
            kernel = getattr(self, name)
            part = kernel.evaluate(F, x, z, dtype, inner(hyperparameters, name), constant)
            parts.append(F.broadcast_mul(F.broadcast_mul(part, a), fn.transpose(F, b)))
        return parts[0] + parts[1]

    def plain_diagonal(
        self, F: Namespace, x: Array, dtype: str, hyperparameters: Any = None
    ) -> Array:
        x = self.select(F, x)
        shares = self._shares(F, x, dtype, self.own(F, x, "float64", hyperparameters))
        parts = []
        for name, share in zip(("before", "after"), shares):
            kernel = getattr(self, name)
            part = kernel.evaluate_diagonal(F, x, dtype, inner(hyperparameters, name))
            parts.append(part * F.square(F.reshape(share, shape=(0, -1))))
        return parts[0] + parts[1]

    def _shares(self, F: Namespace, x: Array, dtype: str, own: Any) -> Tuple[Array, Array]:
        """1 - s(x) and s(x), (B, n, 1), neither by a difference."""
        column = F.slice_axis(x, axis=2, begin=self._column, end=self._column + 1)
        location, width = (F.expand_dims(own[name], axis=2) for name in ("location", "width"))
        place = F.broadcast_div(F.broadcast_sub(F.cast(column, dtype="float64"), location), width)
        place = F.cast(place, dtype=dtype)
        return F.sigmoid(-place), F.sigmoid(place)
