"""The kernel base class: its hyperparameters, input handling and exact symmetry."""

import math
from functools import lru_cache
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from ... import functional as fn
from ... import native
from ...errors import ShapeError, wrong_columns
from ...typing import Array, Namespace, given, hook
from ..base import LinearAlgebraBlock
from ..given import GivenParameter
from ..parameters import PositiveParameter, parameter_array, positive_parameter
from .columns import ActiveColumns

# A hyperparameter of one value, or of one for each active column.
Values = Union[float, Sequence[float], np.ndarray]
# What speaks of natural values, which networks can emit.
Hyperparameter = (PositiveParameter, GivenParameter)
# The lower end of variances: of y of 1e-9 too, and with a root and an inverse in float32.
VARIANCE_FLOOR = 1e-30
# Numbers of columns, and slices of them.
ActiveDims = Union[None, int, slice, Sequence[Union[int, slice]]]


class Kernel(LinearAlgebraBlock):
    """A covariance function: k(x) and k(x, z) are matrices, k.diag(x) the diagonal of k(x).

    x: (B, n, d), z: (B, m, d) -> (B, n, n) or (B, n, m). k(x) is bitwise symmetric with its
    diagonal exactly k.diag(x). `active_dims` selects the columns of x that the kernel sees: a list
    of their numbers, in which a slice such as ``slice(3, None)`` stands for several.
    `+`, `*` and multiplication by a positive number make new kernels; the number becomes a
    learnable variance.

    A subclass implements `covariance`, and `variances` unless its diagonal is the hyperparameter
    `variance`. Both are pure functions of the active columns and of the hyperparameters, which are
    arrays (B or 1, k), k = 1 or, of those that `by_column` names, one for each active column. They
    are parameters of the block, or what a network makes of its input (`Emitted`).

    Raises ShapeError, DtypeError.

    >>> class Minimum(gl.kernels.Kernel):
    ...     def covariance(self, F, x, z, dtype):
    ...         return F.broadcast_minimum(x, F.swapaxes(z, 1, 2))
    ...
    >>> kernel = Minimum()  # of a Wiener process
    """

    arguments = (("x", "B n d"), ("z", "B m d"))
    required = 1
    # The hyperparameters that may have a value for each active column; all others are one number.
    by_column: Tuple[str, ...] = ()

    def __init__(self, active_dims: ActiveDims = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._columns = ActiveColumns(self.name, active_dims)

    @hook
    def covariance(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, **hyperparameters: Array
    ) -> Array:
        """k(x, z), or k(x) when z is None, in arithmetic of `dtype`; symmetric up to rounding."""
        raise NotImplementedError(f"{type(self).__name__} does not implement covariance")

    @hook
    def variances(
        self, F: Namespace, x: Array, dtype: str, variance: Array, **hyperparameters: Array
    ) -> Array:
        """The diagonal of k(x), (B, n); here the constant `variance` of a stationary kernel."""
        return F.broadcast_mul(fn.ones_like(F, F.sum(x, axis=2)), variance)

    # Further hooks, for speed alone.

    @hook
    def constant_covariance(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, **hyperparameters: Array
    ) -> Array:
        """`covariance` where nothing is differentiated."""
        return self.covariance(F, x, z, dtype, **hyperparameters)

    def weighted_sum(self, F: Namespace, weights: Array, x: Array, dtype: str) -> Array:
        """Σ_ij W_ij k(x_i, x_j), (B,), for constant symmetric weights (B, n, n).

        Only its gradient is used, where a likelihood has told how it depends on each entry of the
        matrix; a kernel that can form this gradient without another (n, n) array overrides it.
        """
        return fn.inner(F, weights, self.evaluate(F, x, None, dtype))

    @hook
    def write(
        self,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        **hyperparameters: Array,
    ) -> None:
        """Writes `covariance` in the words of the operators in C++.

        A class that overrides what this describes, and not this, is computed in MXNet's operators.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement write")

    @hook
    def state_space(
        self, F: Namespace, orders: fn.Orders, **hyperparameters: Array
    ) -> fn.LinearSDE:
        """The kernel of one input as a stochastic differential equation, for `StateSpaceGPLayer`.

        In float64; orders: of those that approximate. As with `write`, a class that overrides what
        this describes, and not this, has none.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement state_space")

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        """The largest |k|, and the largest |k - k̃| of the k̃ of `state_space`, at present."""
        return math.inf, 0.0

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        """Brings defaults that nobody has set to the size of x (n, d), for a k(x) of `variance`.

        Lengths become the standard deviation of what they divide; what multiplies x itself, as in
        `Linear`, is of its mean square.
        """
        x = self._seen_columns(x)
        units = {"lengthscale": np.sqrt(np.mean(np.var(x, axis=0))), "variance": variance}
        units["period"] = units["width"] = units["lengthscale"]
        for name, parameter in self._reg_params.items():
            if name in units and isinstance(parameter, PositiveParameter) and units[name] > 0:
                parameter.begin_at(units[name])

    # What blocks call that hold a kernel.

    def hybrid_forward(
        self, F: Namespace, x: Array, z: Optional[Array] = None, **stored: Any
    ) -> Array:
        return self.matrix(F, x, z, cast(str, self.dtype))

    def diag(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The diagonal of k(x), (B, n, d) -> (B, n), without the matrix."""
        (x,) = self._received(x)
        return self.evaluate_diagonal(mx.nd, x, cast(str, self.dtype))

    def matrix(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
    ) -> Array:
        """`evaluate`, of which k(x) is exactly symmetric and has the exact diagonal."""
        matrix = self.evaluate(F, x, z, dtype, hyperparameters)
        if z is not None or self.is_native(F, x):
            return matrix
        matrix = fn.symmetrize(F, matrix)
        diagonal = self.evaluate_diagonal(F, x, dtype, hyperparameters)
        return fn.add_diagonal(F, matrix, diagonal - fn.diagonal(F, matrix))

    def evaluate(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
        constant: bool = False,
    ) -> Array:
        """k(x, z), or k(x) when z is None, in arithmetic of `dtype`; symmetric up to rounding.

        For use inside graphs. hyperparameters: arrays (B or 1, k) by the names that
        `hyperparameters()` has for them; None for the kernel's own. With `constant` the matrix is
        computed from constants, which leaves the backward pass nothing to do.
        """
        if self.is_native(F, x):
            program = self.program(F, x, z, dtype, hyperparameters, constant)
            return native.kernel_matrix(F, program)
        return self.plain(F, x, z, dtype, hyperparameters, constant)

    def evaluate_diagonal(
        self,
        F: Namespace,
        x: Array,
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
    ) -> Array:
        """The diagonal of k(x), (B, n), inside a graph."""
        if self.is_native(F, x):
            return native.kernel_diagonal(F, self.program(F, x, None, dtype, hyperparameters))
        return self.plain_diagonal(F, x, dtype, hyperparameters)

    def is_native(self, F: Namespace, x: Array) -> bool:
        """Whether operators in C++ compute with x, and compute this kernel."""
        return self.has_program() and native.applies(F, x)

    def program(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
        constant: bool = False,
    ) -> native.KernelProgram:
        """What `evaluate` computes, for operators in C++."""
        if constant:
            x, z = fn.stop(F, x), None if z is None else fn.stop(F, z)
        program = native.KernelProgram(cross=z is not None)
        self.describe(F, program, x, z, dtype, hyperparameters, constant)
        return program

    def linear_sde(
        self,
        F: Namespace,
        like: Array,
        orders: fn.Orders,
        hyperparameters: Optional[Dict[str, Array]] = None,
    ) -> fn.LinearSDE:
        """`state_space` with the hyperparameters of the kernel, or others (`evaluate`)."""
        own = self.own(F, like, "float64", hyperparameters)
        return self.state_space(F, orders, **own)

    def without_state_space(self) -> List["Kernel"]:
        """The kernels in this one that `state_space` does not describe."""
        return [] if _is_described(cast(Any, type(self)), "state_space") else [self]

    # How the parts of a combination are computed.

    def plain(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
        constant: bool = False,
    ) -> Array:
        """`evaluate` in MXNet's operators."""
        if constant:
            x, z = fn.stop(F, x), None if z is None else fn.stop(F, z)
        if z is not None:
            z = fn.require_columns(F, z, x, self.name, "z")
        x, z = self.select_both(F, x, z)
        covariance = self.constant_covariance if constant else self.covariance
        return covariance(F, x, z, dtype, **self.own(F, x, dtype, hyperparameters, constant))

    def plain_diagonal(
        self,
        F: Namespace,
        x: Array,
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
    ) -> Array:
        """`evaluate_diagonal` in MXNet's operators."""
        x = self.select(F, x)
        return self.variances(F, x, dtype, **self.own(F, x, dtype, hyperparameters))

    def has_program(self) -> bool:
        """Whether `write` describes this kernel."""
        return _is_described(cast(Any, type(self)), "write")

    def describe(
        self,
        F: Namespace,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]],
        constant: bool,
    ) -> None:
        """Writes the kernel of x and z into a program, with the arrays that it takes."""
        if z is not None:
            z = fn.require_columns(F, z, x, self.name, "z")
        x, z = self.select_both(F, x, z)
        own = self.own(F, x, dtype, hyperparameters, constant)
        for name in self.by_column:
            if getattr(self, name).shape != (1,):
                values = F.expand_dims(own[name], axis=1)
                x = fn.require_columns(F, x, values, self.name, name)
        self.write(program, x, z, **own)

    def hyperparameters(self) -> Dict[str, Union[PositiveParameter, GivenParameter]]:
        """All but those of networks, by their names: 'variance', of a sum '0.variance'."""
        found = {n: p for n, p in self._reg_params.items() if isinstance(p, Hyperparameter)}
        for prefix, child in self._children.items():
            if isinstance(child, Kernel):
                found.update({f"{prefix}.{n}": p for n, p in child.hyperparameters().items()})
        return found

    def check_columns(self, count: int) -> None:
        """Raises ShapeError where the kernel cannot be computed from `count` columns of x."""
        self._columns.check(count)
        seen = given(self._columns.count(count))
        for name in self.by_column:
            values = getattr(self, name).shape[0]
            if values not in (1, seen):
                raise wrong_columns(self.name, name, values, seen)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self.check_columns(sizes["d"])

    # What subclasses call.

    def select(self, F: Namespace, x: Array) -> Array:
        """The active columns of x."""
        return self._columns.select(F, x)

    def select_both(
        self, F: Namespace, x: Array, z: Optional[Array]
    ) -> Tuple[Array, Optional[Array]]:
        """The active columns of x, and of z where there is one."""
        return self.select(F, x), None if z is None else self.select(F, z)

    def own(
        self,
        F: Namespace,
        like: Array,
        dtype: str,
        hyperparameters: Optional[Dict[str, Array]] = None,
        constant: bool = False,
    ) -> Dict[str, Array]:
        """The hyperparameters of this kernel alone, (B or 1, k) by attribute name, in `dtype`."""
        found = {}
        for name, parameter in self._reg_params.items():
            if isinstance(parameter, Hyperparameter):
                if hyperparameters is None:
                    stored = F.cast(parameter_array(F, parameter, like), dtype=dtype)
                    stored = fn.stop(F, stored) if constant else stored
                    found[name] = F.reshape(parameter.natural(F, stored), shape=(1, -1))
                else:
                    value = F.cast(hyperparameters[name], dtype=dtype)
                    found[name] = fn.stop(F, value) if constant else value
        return found

    def column_by_column(
        self, F: Namespace, operation: Callable, x: Array, name: str, values: Array
    ) -> Array:
        """`operation` of x (B, n, d) and the hyperparameter `name`, one value or one per column."""
        values = F.expand_dims(values, axis=1)
        if getattr(self, name).shape != (1,):
            x = fn.require_columns(F, x, values, self.name, name)
        return operation(x, values)

    def _seen_columns(self, x: np.ndarray) -> np.ndarray:
        """The active columns of x (n, d)."""
        return self.select(mx.nd, mx.nd.array(x[None], dtype="float64")).asnumpy()[0]

    def _positive(self, name: str, value: Any) -> PositiveParameter:
        """The learnable hyperparameter `name`, of as many values as `by_column` allows."""
        shape, size, several = np.shape(value), np.size(value), name in self.by_column
        if len(shape) > 1 or not (several or size == 1) or size == 0:
            raise ShapeError(
                f"{self.name}: '{name}' has shape {shape}, expected one number"
                f"{' or one for each active column' if several else ''}."
            )
        seen = self._columns.count(None)
        if size > 1 and seen not in (size, None):
            raise wrong_columns(self.name, name, size, seen)
        lower = VARIANCE_FLOOR if name.endswith("variance") else 1e-12
        return positive_parameter(self, name, value, lower)

    # Combinations are kernels, too: their module imports this one.

    def __add__(self, other: "Kernel") -> "Kernel":
        from .combination import Sum

        if isinstance(other, (int, float)):
            raise TypeError(
                f"{self.name}: a kernel plus the number {other}; a constant function of that "
                f"variance is kernel + gluon_linalg.kernels.Constant({other})."
            )
        return Sum(self, other) if isinstance(other, Kernel) else NotImplemented

    def __radd__(self, other: Any) -> "Kernel":
        # `sum` begins with 0.
        return self if isinstance(other, int) and other == 0 else self + other

    def __mul__(self, other: Any) -> "Kernel":
        from .combination import Product, Scaled

        if isinstance(other, Kernel):
            return Product(self, other)
        if isinstance(other, (int, float)):
            return Scaled(self, other)
        return NotImplemented

    __rmul__ = __mul__


# What `write` and `state_space` describe.
_DESCRIBED = (
    "column_by_column",
    "constant_covariance",
    "covariance",
    "evaluate",
    "evaluate_diagonal",
    "features",
    "matrix",
    "own",
    "plain",
    "plain_diagonal",
    "profile",
    "select",
    "variances",
)


@lru_cache(maxsize=None)
def _is_described(kernel: type, by: str) -> bool:
    """Whether no class overrides what the method `by` of a class above it describes."""
    writer = _definer(kernel, by)
    if writer is Kernel:
        return False
    definers = (_definer(kernel, name) for name in _DESCRIBED if hasattr(kernel, name))
    return all(issubclass(writer, definer) for definer in definers)


def _definer(kernel: type, name: str) -> type:
    return next(base for base in kernel.__mro__ if name in vars(base))
