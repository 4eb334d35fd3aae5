"""Kernels made of kernels (Rasmussen & Williams 2006, section 4.2.4)."""

import math
from functools import reduce
from operator import add, mul
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple, Type

import numpy as np

from ... import functional as fn
from ... import native
from ...typing import Array, Namespace, given
from ..parameters import ONE
from .base import Kernel


class Combination(Kernel):
    """Several kernels, element by element combined with `operation`."""

    operation: Callable[..., Any]
    combined_sde: Type[fn.LinearSDE]

    def __init__(self, *kernels: Kernel, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernels = _flatten(type(self), kernels)
        for kernel in self.kernels:
            self.register_child(kernel)

    def check_columns(self, count: int) -> None:
        super().check_columns(count)
        for kernel in self.kernels:
            kernel.check_columns(given(self._columns.count(count)))

    def plain(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any = None,
        constant: bool = False,
    ) -> Array:
        x, z = self.select_both(F, x, z)
        return self._combined(
            kernel.evaluate(F, x, z, dtype, inner(hyperparameters, index), constant)
            for index, kernel in enumerate(self.kernels)
        )

    def plain_diagonal(
        self, F: Namespace, x: Array, dtype: str, hyperparameters: Any = None
    ) -> Array:
        x = self.select(F, x)
        return self._combined(
            kernel.evaluate_diagonal(F, x, dtype, inner(hyperparameters, index))
            for index, kernel in enumerate(self.kernels)
        )

    def has_program(self) -> bool:
        return super().has_program() and all(kernel.has_program() for kernel in self.kernels)

    def describe(
        self,
        F: Namespace,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any,
        constant: bool,
    ) -> None:
        x, z = self.select_both(F, x, z)
        for index, kernel in enumerate(self.kernels):
            own = inner(hyperparameters, index)
            kernel.describe(F, program, x, z, dtype, own, constant)
            if index:
                self.write(program)

    def linear_sde(
        self, F: Namespace, like: Array, orders: fn.Orders, hyperparameters: Any = None
    ) -> fn.LinearSDE:
        parts = (
            kernel.linear_sde(F, like, orders, inner(hyperparameters, index))
            for index, kernel in enumerate(self.kernels)
        )
        return reduce(type(self).combined_sde, parts)

    def without_state_space(self) -> List[Kernel]:
        return [part for kernel in self.kernels for part in kernel.without_state_space()]

    def _combined(self, parts: Iterable[Array]) -> Array:
        return reduce(type(self).operation, parts)


class Sum(Combination):
    """k(x, z) = Σ_i k_i(x, z).

    >>> kernel = gl.kernels.RBF() + gl.kernels.Constant(2.0)
    >>> kernel.initialize()
    >>> round(kernel.diag(mx.nd.array([[[0.0]]])).asnumpy().item(), 4)
    3.0
    """

    operation = add
    combined_sde = fn.SumSDE

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        largest, errors = zip(*(kernel.state_space_bounds(orders) for kernel in self.kernels))
        return sum(largest), sum(errors)

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        for kernel in self.kernels:
            kernel.begin_with(self._seen_columns(x), variance)

    def write(self, program: native.KernelProgram) -> None:
        program.write("add")

    def weighted_sum(self, F: Namespace, weights: Array, x: Array, dtype: str) -> Array:
        x = self.select(F, x)
        return self._combined(k.weighted_sum(F, weights, x, dtype) for k in self.kernels)


class Product(Combination):
    """k(x, z) = Π_i k_i(x, z).

    >>> kernel = gl.kernels.RBF(variance=3.0) * gl.kernels.Constant(2.0)
    >>> kernel.initialize()
    >>> round(kernel.diag(mx.nd.array([[[0.0]]])).asnumpy().item(), 4)
    6.0
    """

    operation = mul
    combined_sde = fn.ProductSDE

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        """|Π k̃_i - Π k_i| <= Π (v_i + e_i) - Π v_i, for |k_i| <= v_i and |k̃_i - k_i| <= e_i."""
        largest, errors = zip(*(kernel.state_space_bounds(orders) for kernel in self.kernels))
        exact = math.prod(largest)
        if not any(errors) or math.isinf(exact):
            return exact, math.inf if any(errors) else 0.0
        return exact, math.prod(v + e for v, e in zip(largest, errors)) - exact

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        """The first of them that can has the variance; in the others it is 1."""
        x = self._seen_columns(x)
        for kernel in self.kernels:
            takes = any(
                name.endswith("variance") and getattr(parameter, "is_default", False)
                for name, parameter in kernel.hyperparameters().items()
            )
            kernel.begin_with(x, variance)
            variance = 1.0 if takes else variance

    def write(self, program: native.KernelProgram) -> None:
        program.write("multiply")


class Wrapper(Kernel):
    """kernel(g(x), g(z)) with the hyperparameters that `inside` says.

    What a subclass does to the values it does in `plain`, `plain_diagonal`, and `write`.
    """

    kernel: Kernel

    def inside(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any,
        constant: bool,
    ) -> Tuple[Array, Optional[Array], Any]:
        """g(x), g(z) and the hyperparameters of the kernel; here the active columns, its own."""
        return (*self.select_both(F, x, z), inner(hyperparameters, "kernel"))

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        """The lengths of what `inside` makes of x are not known here, and stay."""
        self.kernel.begin_with(np.zeros_like(x), variance)

    def check_columns(self, count: int) -> None:
        super().check_columns(count)
        self.kernel.check_columns(given(self._columns.count(count)))

    def plain(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any = None,
        constant: bool = False,
    ) -> Array:
        x, z, own = self.inside(F, x, z, dtype, hyperparameters, constant)
        return self.kernel.evaluate(F, x, z, dtype, own, constant)

    def plain_diagonal(
        self, F: Namespace, x: Array, dtype: str, hyperparameters: Any = None
    ) -> Array:
        x, _, own = self.inside(F, x, None, dtype, hyperparameters, False)
        return self.kernel.evaluate_diagonal(F, x, dtype, own)

    def has_program(self) -> bool:
        return super().has_program() and self.kernel.has_program()

    def describe(
        self,
        F: Namespace,
        program: native.KernelProgram,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any,
        constant: bool,
    ) -> None:
        inputs = self.inside(F, x, z, dtype, hyperparameters, constant)
        self.kernel.describe(F, program, *inputs[:2], dtype, inputs[2], constant)
        self.write(program, **self.own(F, x, dtype, hyperparameters, constant))

    def write(self, program: native.KernelProgram, **hyperparameters: Array) -> None:
        """Nothing: the kernel of these is all."""


class Scaled(Wrapper):
    """variance · k(x, z), the variance a learnable positive number.

    >>> kernel = 0.5 * gl.kernels.RBF()
    >>> kernel.initialize()
    >>> round(kernel.diag(mx.nd.array([[[0.0]]])).asnumpy().item(), 4)
    0.5
    """

    def __init__(self, kernel: Kernel, variance: float = ONE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel
        self.variance = self._positive("variance", variance)

    def plain(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any = None,
        constant: bool = False,
    ) -> Array:
        matrix = super().plain(F, x, z, dtype, hyperparameters, constant)
        variance = self.own(F, x, dtype, hyperparameters, constant)["variance"]
        return F.broadcast_mul(matrix, F.expand_dims(variance, axis=2))

    def plain_diagonal(
        self, F: Namespace, x: Array, dtype: str, hyperparameters: Any = None
    ) -> Array:
        diagonal = super().plain_diagonal(F, x, dtype, hyperparameters)
        variance = self.own(F, x, dtype, hyperparameters)["variance"]
        return F.broadcast_mul(diagonal, variance)

    def begin_with(self, x: np.ndarray, variance: float) -> None:
        takes = self.variance.is_default
        self.variance.begin_at(variance)
        own = float(self.variance.value()[0])
        self.kernel.begin_with(self._seen_columns(x), 1.0 if takes else variance / own)

    def write(self, program: native.KernelProgram, **hyperparameters: Array) -> None:
        program.write("scale", program.hyperparameter(hyperparameters["variance"]))

    def linear_sde(
        self, F: Namespace, like: Array, orders: fn.Orders, hyperparameters: Any = None
    ) -> fn.LinearSDE:
        part = self.kernel.linear_sde(F, like, orders, inner(hyperparameters, "kernel"))
        return fn.ScaledSDE(part, self.own(F, like, "float64", hyperparameters)["variance"])

    def without_state_space(self) -> List[Kernel]:
        return self.kernel.without_state_space()

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        variance = float(self.variance.value()[0])
        largest, error = self.kernel.state_space_bounds(orders)
        return variance * largest, variance * error


def inner(hyperparameters: Any, child: Any) -> Any:
    """Those of the kernel `child` among the hyperparameters of a combination; None stays None."""
    if hyperparameters is None:
        return None
    prefix = f"{child}."
    names = [name for name in hyperparameters if name.startswith(prefix)]
    return {name[len(prefix) :]: hyperparameters[name] for name in names}


def _flatten(cls: Type[Combination], kernels: Sequence[Kernel]) -> List[Kernel]:
    flat: List[Kernel] = []
    for kernel in kernels:
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{cls.__name__}: {kernel!r} is not a kernel.")
        # One of some columns only stays one.
        is_same = type(kernel) is cls and kernel._columns.sees_all
        flat.extend(kernel.kernels if is_same else [kernel])
    return flat
