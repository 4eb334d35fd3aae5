"""The process of rows (x, output), of which sparse processes of several outputs are made."""

from typing import Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..errors import ShapeError
from ..typing import ArrayLike
from .coregionalization import Coregionalization
from .kernels import Kernel, Sum
from .multi_output_parts import (
    Coregionalizations,
    Kernels,
    Means,
    RowMeans,
    coregionalization_list,
    kernel_list,
    means_block,
)

Variances = Union[float, Sequence[float], np.ndarray]


def output_rows(x: ArrayLike, outputs: int) -> np.ndarray:
    """Rows of all k = `outputs` at each x, (n, d) -> (k n, d + 1), or both with a batch axis.

    The last column is the number of the output, from 0 on: one output after the other. So sparse
    processes of several outputs have their inducing points, and any kernel times
    `Coregionalization.kernel` its rows. Álvarez & Lawrence 2011. Raises ShapeError.

    >>> gl.output_rows([[0.5], [1.5]], 2).tolist()
    [[0.5, 0.0], [1.5, 0.0], [0.5, 1.0], [1.5, 1.0]]
    """
    values = x.asnumpy() if isinstance(x, mx.nd.NDArray) else np.asarray(x)
    values = np.asarray(values, dtype="float64")
    if values.ndim not in (2, 3):
        raise ShapeError(f"output_rows: x has shape {values.shape}, expected (n, d).")
    each = [np.insert(values, values.shape[-1], a, axis=-1) for a in range(outputs)]
    return np.concatenate(each, axis=-2)


class RowProcess:
    """The process of rows (x, output), and its parts.

    Raises ShapeError, TypeError, ValueError.
    """

    def __init__(
        self,
        name: str,
        kernel: Kernels,
        inducing_points: ArrayLike,
        outputs: int,
        rank: int,
        coregionalization: Coregionalizations,
        mean: Means,
    ) -> None:
        self.name, self.outputs = name, outputs
        self.points, self.numbers = _points_and_outputs(name, inducing_points, outputs)
        self.columns = self.points.shape[-1]
        self.kernels = kernel_list(name, kernel)
        self.coregionalizations = coregionalization_list(
            name, coregionalization, self.kernels, outputs, rank
        )
        self.kernel = kernel_of_rows(self.kernels, self.coregionalizations, self.columns)
        self.means = means_block(mean, outputs)
        self.mean = None if self.means is None else RowMeans(self.means, outputs)

    def variances(self, given: Variances) -> np.ndarray:
        """A noise variance for each output. Raises ShapeError."""
        noise = np.asarray(given, dtype="float64")
        if noise.ndim > 1 or noise.size not in (1, self.outputs):
            raise ShapeError(
                f"{self.name}: noise_variance has shape {noise.shape}, expected one number or "
                f"({self.outputs},), one for each output."
            )
        return np.full(self.outputs, 1.0) * noise.reshape(-1)


def kernel_of_rows(
    kernels: Sequence[Kernel], coregionalizations: Sequence[Coregionalization], columns: int
) -> Kernel:
    """Σ_q k_q(x, x') B_q[a, a'] of rows (x, a) with so many columns of x."""
    parts = (
        Sum(own, active_dims=[slice(0, columns)]) * between.kernel(columns)
        for own, between in zip(kernels, coregionalizations)
    )
    return Sum(*parts)


def _points_and_outputs(
    name: str, points: ArrayLike, outputs: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Inducing points (m, d + 1) as their places and the numbers of their outputs (1, m, 1)."""
    values = points.asnumpy() if isinstance(points, mx.nd.NDArray) else np.asarray(points)
    numbers = values[..., -1] if values.ndim in (2, 3) and values.shape[-1] > 1 else None
    if numbers is None or not np.isin(numbers, np.arange(outputs)).all():
        raise ShapeError(
            f"{name}: inducing_points has shape {values.shape}, expected (m, d + 1) with the "
            f"number of an output, 0 to {outputs - 1}, in the last column; output_rows(points, "
            f"{outputs}) has those of all outputs."
        )
    numbers = values[..., -1:]
    return values[..., :-1], numbers if numbers.ndim == 3 else numbers[None]
