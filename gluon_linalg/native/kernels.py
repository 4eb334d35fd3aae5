"""Covariance functions and the likelihoods of Gaussian processes: `source/kernels.cc`, `gp.cc`."""

from typing import Any, Dict, List, Optional, cast

from ..typing import Array, Namespace
from .library import call


class KernelProgram:
    """A covariance function in the words of `source/kernel_program.h`.

    cross: whether it is to give k(x, z), or k(x).
    """

    def __init__(self, cross: bool) -> None:
        self._cross = cross
        self._words: List[str] = []
        self._x: List[Array] = []
        self._z: List[Optional[Array]] = []
        self._hyperparameters: List[Array] = []

    def points(self, x: Array, z: Optional[Array]) -> int:
        """The number of an array x (B, n, d) and of what k(x, z) compares it with."""
        for number, known in enumerate(zip(self._x, self._z)):
            if known[0] is x and known[1] is z:
                return number
        self._x.append(x)
        self._z.append(z)
        return len(self._x) - 1

    def hyperparameter(self, values: Array) -> int:
        """The number of an array (B or 1, k) of natural values."""
        self._hyperparameters.append(values)
        return len(self._hyperparameters) - 1

    def write(self, word: str, *numbers: int) -> None:
        """Appends a word."""
        self._words.append(",".join([word, *map(str, numbers)]))

    @property
    def arrays(self) -> List[Array]:
        """What the operators take."""
        others = [cast(Array, z) for z in self._z] if self._cross else []
        return [*self._x, *others, *self._hyperparameters]

    @property
    def keywords(self) -> Dict[str, Any]:
        """What the operators are told."""
        return {
            "program": " ".join(self._words),
            "points": len(self._x),
            "hyperparameters": len(self._hyperparameters),
            "cross": self._cross,
        }


def kernel_matrix(F: Namespace, program: KernelProgram) -> Array:
    """k(x, z), (B, n, m), or k(x), (B, n, n), bitwise symmetric."""
    return _one(call(F, "kernel_matrix", *program.arrays, **program.keywords))


def kernel_diagonal(F: Namespace, program: KernelProgram) -> Array:
    """The diagonal of k(x), (B, n), bit by bit."""
    return _one(call(F, "kernel_diagonal", *program.arrays, **program.keywords))


def gaussian_process_nll(
    F: Namespace, program: KernelProgram, residual: Array, variances: Array
) -> Array:
    """-log N(r | 0, k(x) + diag v) of r (B, n) and v (B, n), (B,); NaN for one that has none."""
    return _one(
        call(
            F,
            "gaussian_process_nll",
            *program.arrays,
            residual,
            variances,
            **program.keywords,
        )
    )


def gaussian_nll(F: Namespace, covariance: Array, residual: Array) -> Array:
    """-log N(r | 0, A) of A (B, n, n), whose lower triangle is read, and r (B, n), (B,).

    NaN for an A that is not positive definite, or what is not finite. The gradient ½(A⁻¹ - ααᵀ),
    α = A⁻¹r, is symmetric.
    """
    return _one(call(F, "gaussian_nll", covariance, residual))


def _one(result: Any) -> Array:
    return cast(Array, result)
