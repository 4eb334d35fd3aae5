"""Decompositions of many small matrices and of one large one, against `torch.linalg`."""

from functools import partial
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..case import Arrays, Case, Contender, Work, ours

SIZES = [(1000, 8), (100, 64), (1, 1000)]
# Columns of right sides.
RIGHT = 4


class Kind(NamedTuple):
    """A decomposition: how many operations of n³ value and gradients are, and shapes of outputs.

    Of the values alone: Golub and Van Loan, Matrix Computations, chapters 4, 5 and 8. Adjoints are
    triangular solves and products.
    """

    title: str
    operations: float
    outputs: str


# Rows are n long, but for those of `lq`, which are m = 5 n / 4.
KINDS = {
    "cholesky": Kind("Cholesky", 1 / 3 + 2 / 3 + 1, "nn"),
    "lq": Kind("LQ, rows of 5 n / 4", 2 * (4 * (5 / 4 - 1 / 3) + 2), "nm nn"),
    "eigh": Kind("eigh", 9 + 6, "nn n"),
    "solve": Kind(f"solve, positive definite, {RIGHT} right sides", 1 / 3 + 2 / 3, "nk"),
    "sqrt": Kind("matrix square root", 9 + 2 + 8, "nn"),
    "svd": Kind("SVD", 22 + 16, "nn n nn"),
}


def cases() -> List[Case]:
    """In the order of the page."""
    return [_case(name, *size) for name in KINDS for size in SIZES]


def _case(name, batch, n):
    kind = KINDS[name]
    numbers = n * n + sum(_size(one, n) for one in kind.outputs.split())
    return Case(
        f"linalg/{name}-{batch}x{n}",
        "linalg",
        f"{kind.title}, {batch} × {n}²",
        inputs=partial(problem, name, batch, n),
        small=partial(problem, name, 2, 4),
        contenders=[
            Contender("PyTorch", "torch", f"{__package__}.with_torch:{name.title()}"),
            *ours(f"{__package__}.ours:{name.title()}"),
        ],
        tolerance=1e-9,
        work=Work(batch * kind.operations * n**3, batch * 2 * 8.0 * numbers),
    )


def _size(shape, n):
    return int(np.prod([{"n": n, "m": 5 * n // 4, "k": RIGHT}[axis] for axis in shape]))


def problem(name: str, batch: int, n: int) -> Arrays:
    """Matrices with spectra from 1 to 2 that are well apart, and gradients by the outputs."""
    random = np.random.RandomState(0)
    orthogonal = np.linalg.qr(random.randn(2, batch, n, n))[0]
    spectrum = np.linspace(1.0, 2.0, n)
    right = orthogonal[1 if name == "svd" else 0].swapaxes(1, 2)
    arrays = {"a": (orthogonal[0] * spectrum) @ right}
    if name == "lq":
        arrays["a"] = random.randn(batch, n, 5 * n // 4)
    if name == "solve":
        arrays["b"] = random.randn(batch, n, RIGHT)
    lengths = {"n": n, "m": 5 * n // 4, "k": RIGHT}
    for index, shape in enumerate(KINDS[name].outputs.split()):
        arrays[f"head{index}"] = random.randn(batch, *(lengths[axis] for axis in shape))
    return arrays


def parts(arrays: Arrays) -> Tuple[Arrays, List[np.ndarray]]:
    """The arguments of a decomposition, and the gradients by its outputs."""
    inputs = {name: array for name, array in arrays.items() if "head" not in name}
    return inputs, [array for name, array in arrays.items() if "head" in name]


def named(outputs: Sequence[Any], squares: bool) -> Arrays:
    """Outputs by name, their squares where signs are a convention."""
    return {
        f"output{index}": output**2 if squares else output for index, output in enumerate(outputs)
    }
