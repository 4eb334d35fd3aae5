"""Kernels of one kernel, which they compute from other inputs or hyperparameters."""

from typing import Any, Optional, Tuple

from ... import native
from ...typing import Array, Namespace, given
from .base import Kernel


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


def inner(hyperparameters: Any, child: Any) -> Any:
    """Those of the kernel `child` among the hyperparameters of a combination; None stays None."""
    if hyperparameters is None:
        return None
    prefix = f"{child}."
    names = [name for name in hyperparameters if name.startswith(prefix)]
    return {name[len(prefix) :]: hyperparameters[name] for name in names}
