"""The kernel base class: input handling, exact symmetry, sums and products."""

from functools import reduce
from operator import add, mul

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...errors import ShapeError, no_such_column, wrong_columns
from ..base import LinearAlgebraBlock
from ..parameters import PositiveParameter, parameter_array, positive_parameter


class Kernel(LinearAlgebraBlock):
    """A covariance function: k(x) and k(x, z) are matrices, k.diag(x) the diagonal of k(x).

    x: (B, n, d), z: (B, m, d) -> (B, n, n) or (B, n, m). k(x) is bitwise symmetric with its
    diagonal exactly k.diag(x). `active_dims` selects the columns of x that the kernel sees.
    `+`, `*` and multiplication by a positive number make new kernels; the number becomes a
    learnable variance.

    A subclass implements `covariance`, and `variances` unless its diagonal is a learnable
    constant named `variance`.
    """

    arguments = (("x", "B n d"), ("z", "B m d"))
    required = 1
    # The hyperparameters that may have a value for each active column; all others are one number.
    by_column = ()

    def __init__(self, active_dims=None, **kwargs):
        super().__init__(**kwargs)
        self._active_dims = None if active_dims is None else _columns(self.name, active_dims)

    def hybrid_forward(self, F, x, z=None, **stored):
        dtype = self.dtype
        if z is not None:
            return self.evaluate(F, x, z, dtype)
        k = fn.symmetrize(F, self.evaluate(F, x, None, dtype))
        correction = self.evaluate_diagonal(F, x, dtype) - fn.diagonal(F, k)
        return fn.add_diagonal(F, k, correction)

    def diag(self, x):
        """The diagonal of k(x), (B, n, d) -> (B, n), without the matrix."""
        (x,) = self._received(x)
        return self.evaluate_diagonal(mx.nd, x, self.dtype)

    def check_columns(self, count):
        """Raises ShapeError where the kernel cannot be computed from `count` columns of x."""
        if self._active_dims is not None:
            beyond = [column for column in self._active_dims if column >= count]
            if beyond:
                raise no_such_column(self.name, beyond[0], count)
        seen = self._seen(count)
        for name in self.by_column:
            values = getattr(self, name).shape[0]
            if values not in (1, seen):
                raise wrong_columns(self.name, name, values, seen)

    def check_shapes(self, sizes):
        self.check_columns(sizes["d"])

    def evaluate(self, F, x, z, dtype, constant=False):
        """k(x, z), or k(x) when z is None, in arithmetic of `dtype`; symmetric up to rounding.

        For use inside graphs: blocks that hold a kernel call this. With `constant` the matrix is
        computed from constants, which leaves the backward pass nothing to do.
        """
        if constant:
            x, z = fn.stop(F, x), None if z is None else fn.stop(F, z)
        if z is not None:
            z = fn.require_columns(F, z, x, self.name, "z")
        x, z = self.select(F, x), None if z is None else self.select(F, z)
        covariance = self.constant_covariance if constant else self.covariance
        return covariance(F, x, z, dtype, **self.naturals(F, x, dtype, constant))

    def evaluate_diagonal(self, F, x, dtype):
        """The diagonal of k(x), (B, n), inside a graph."""
        x = self.select(F, x)
        return self.variances(F, x, dtype, **self.naturals(F, x, dtype))

    def weighted_sum(self, F, weights, x, dtype):
        """Σ_ij W_ij k(x_i, x_j), (B,), for constant symmetric weights (B, n, n).

        Only its gradient is used, where a likelihood has told how it depends on each entry of the
        matrix; a kernel that can form this gradient without another (n, n) array overrides it.
        """
        return fn.inner(F, weights, self.evaluate(F, x, None, dtype))

    def select(self, F, x):
        """The active columns of x."""
        if self._active_dims is None:
            return x
        name = f"columns__{self.name}__active_dims"
        columns = [
            F.slice_axis(x, axis=2, begin=c, end=c + 1, name=name) for c in self._active_dims
        ]
        return columns[0] if len(columns) == 1 else F.concat(*columns, dim=2)

    def by_columns(self, F, operation, x, name, values):
        """`operation` of x (B, n, d) and a hyperparameter `name`, one value or one per column."""
        if getattr(self, name).shape != (1,):
            values = F.reshape(values, shape=(1, 1, -1))
            x = fn.require_columns(F, x, values, self.name, name)
        return operation(x, F.reshape(values, shape=(1, 1, -1)))

    def covariance(self, F, x, z, dtype, **parameters):
        """k(x, z), or k(x) when z is None, from the active columns and natural parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not implement covariance")

    def constant_covariance(self, F, x, z, dtype, **parameters):
        """`covariance` where nothing is differentiated; a kernel with a faster way overrides it."""
        return self.covariance(F, x, z, dtype, **parameters)

    def variances(self, F, x, dtype, variance, **parameters):
        """The diagonal (B, n); here the constant `variance` of a stationary kernel."""
        return F.broadcast_mul(fn.ones_like(F, F.sum(x, axis=2)), F.reshape(variance, shape=(1, 1)))

    def naturals(self, F, like, dtype, constant=False):
        """This kernel's own parameters in natural units and the given dtype, by attribute name."""
        found = {}
        for name, parameter in self._reg_params.items():
            if isinstance(parameter, PositiveParameter):
                stored = F.cast(parameter_array(F, parameter, like), dtype=dtype)
                stored = fn.stop(F, stored) if constant else stored
                found[name] = parameter.natural(F, stored)
        return found

    def _positive(self, name, value):
        """The learnable hyperparameter `name`, of as many values as `by_column` allows."""
        shape, several = np.shape(value), name in self.by_column
        if len(shape) > 1 or not (several or np.size(value) == 1) or np.size(value) == 0:
            raise ShapeError(
                f"{self.name}: '{name}' has shape {shape}, expected one number"
                f"{' or one for each active column' if several else ''}."
            )
        if np.size(value) > 1 and self._seen(np.size(value)) != np.size(value):
            raise wrong_columns(self.name, name, np.size(value), self._seen(None))
        return positive_parameter(self, name, value)

    def _seen(self, count):
        """How many of `count` columns are active."""
        return count if self._active_dims is None else len(self._active_dims)

    def __add__(self, other):
        return Sum(self, other) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other):
        if isinstance(other, Kernel):
            return Product(self, other)
        if isinstance(other, (int, float)):
            return Scaled(self, other)
        return NotImplemented

    __rmul__ = __mul__


class Combination(Kernel):
    """Several kernels, element by element combined with `operation`."""

    operation = None

    def __init__(self, *kernels, **kwargs):
        super().__init__(**kwargs)
        self.kernels = _flatten(type(self), kernels)
        for kernel in self.kernels:
            self.register_child(kernel)

    def check_columns(self, count):
        super().check_columns(count)
        for kernel in self.kernels:
            kernel.check_columns(self._seen(count))

    def evaluate(self, F, x, z, dtype, constant=False):
        x, z = self.select(F, x), None if z is None else self.select(F, z)
        parts = [kernel.evaluate(F, x, z, dtype, constant) for kernel in self.kernels]
        return reduce(type(self).operation, parts)

    def evaluate_diagonal(self, F, x, dtype):
        x = self.select(F, x)
        parts = [kernel.evaluate_diagonal(F, x, dtype) for kernel in self.kernels]
        return reduce(type(self).operation, parts)


class Sum(Combination):
    """k(x, z) = Σ_i k_i(x, z)."""

    operation = add

    def weighted_sum(self, F, weights, x, dtype):
        x = self.select(F, x)
        return reduce(add, [k.weighted_sum(F, weights, x, dtype) for k in self.kernels])


class Product(Combination):
    """k(x, z) = Π_i k_i(x, z)."""

    operation = mul


class Scaled(Kernel):
    """variance · k(x, z), the variance a learnable positive number."""

    def __init__(self, kernel, variance=1.0, **kwargs):
        super().__init__(**kwargs)
        self.kernel = kernel
        self.variance = self._positive("variance", variance)

    def check_columns(self, count):
        super().check_columns(count)
        self.kernel.check_columns(self._seen(count))

    def evaluate(self, F, x, z, dtype, constant=False):
        x, z = self.select(F, x), None if z is None else self.select(F, z)
        variance = self.naturals(F, x, dtype, constant)["variance"]
        matrix = self.kernel.evaluate(F, x, z, dtype, constant)
        return F.broadcast_mul(matrix, F.reshape(variance, shape=(1, 1, 1)))

    def evaluate_diagonal(self, F, x, dtype):
        x = self.select(F, x)
        variance = self.naturals(F, x, dtype)["variance"]
        diagonal = self.kernel.evaluate_diagonal(F, x, dtype)
        return F.broadcast_mul(diagonal, F.reshape(variance, shape=(1, 1)))


def _columns(name, active_dims):
    """Numbers of columns as a tuple of int."""
    columns = np.atleast_1d(np.asarray(active_dims))
    if columns.ndim != 1 or columns.size == 0 or columns.dtype.kind not in "iu":
        raise ShapeError(
            f"{name}: active_dims is {active_dims!r}, expected a list of numbers of columns of "
            "'x', counted from 0."
        )
    if (columns < 0).any():
        raise ShapeError(
            f"{name}: active_dims has column {columns.min()}; columns of 'x' are counted from 0, "
            "the last of d is d - 1."
        )
    return tuple(columns.tolist())


def _flatten(cls, kernels):
    flat = []
    for kernel in kernels:
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{cls.__name__}: {kernel!r} is not a kernel.")
        flat.extend(kernel.kernels if type(kernel) is cls else [kernel])
    return flat
