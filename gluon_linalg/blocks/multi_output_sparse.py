"""Sparse Gaussian processes of several outputs: the sparse layers on rows (x, output)."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union, cast

import mxnet as mx
import numpy as np

from ..errors import ShapeError
from ..functional.coregionalization import by_output
from ..functional.coregionalization import output_rows as rows_of
from ..typing import Array, ArrayLike, Namespace
from .coregionalization import Coregionalization
from .inducing import WIDE, InducingBlock
from .kernels import Kernel, Sum
from .likelihoods import Gaussian, Likelihood
from .multi_output_parts import (
    Coregionalizations,
    Kernels,
    Means,
    RowMeans,
    coregionalization_list,
    kernel_list,
    means_block,
    seen_outputs,
)
from .multi_output_sparse_predictor import SparseMultiOutputPredictor
from .parameters import parameter_array
from .sparse_gp import SGPRLikelihoodLayer
from .svgp import SVGPLikelihoodLayer

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


class OutputRows(InducingBlock):
    """What the sparse layers of several outputs have beside those of one value for each row.

    It makes rows (x, output) of shared inputs. The process of rows has the kernel
    Σ_q k_q(x, x') B_q[a, a'], with which it is the linear model of coregionalization, or of one
    kernel the intrinsic model, and the mean of the row's output.
    """

    further_columns = 1
    outputs: int
    # The numbers of the outputs of the inducing points, (B or 1, m, 1).
    inducing_outputs: mx.gluon.Parameter
    coregionalizations: List[Coregionalization]
    # The kernels of x, and the means of all outputs.
    input_kernels: List[Kernel]
    mean: Optional[mx.gluon.HybridBlock]

    @property
    def coregionalization(self) -> Coregionalization:
        """That of the kernel, of several the first."""
        return self.coregionalizations[0]

    def rows(
        self, F: Namespace, x: Array, y: Array, noise: Optional[Array], mask: Optional[Array]
    ) -> Tuple[Any, Any, Any, Any]:
        dtype = cast(str, self.dtype)
        x, y, noise, mask = seen_outputs(F, x, y, noise, mask, dtype, self.name)
        flat = (None if a is None else by_output(F, a) for a in (y, noise, mask))
        return (rows_of(F, x, self.outputs), *flat)  # type: ignore[return-value]

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if sizes["k"] != self.outputs:
            raise ShapeError(
                f"{self.name}: 'y' has {sizes['k']} outputs, the layer was built with "
                f"outputs={self.outputs}."
            )
        super().check_shapes({**sizes, "n": sizes["n"] * self.outputs})

    def points(self, F: Namespace, like: Array) -> Array:
        numbers = F.cast(parameter_array(F, self.inducing_outputs, like), dtype=WIDE)
        return F.concat(super().points(F, like), numbers, dim=2)

    def _keep(self, process: "RowProcess") -> None:
        with self.name_scope():
            numbers = mx.nd.array(process.numbers)
            self.inducing_outputs = self.params.get_constant("inducing_outputs", numbers)
        self.outputs, self.input_kernels = process.outputs, process.kernels
        self.coregionalizations, self.mean = process.coregionalizations, process.means
        for block in (*process.kernels, *process.coregionalizations):
            self.register_child(block)


class MultiOutputSGPRLikelihoodLayer(OutputRows, SGPRLikelihoodLayer):
    """Titsias' bound for k dependent processes on shared inputs, (x, y) -> (B,).

    `SGPRLikelihoodLayer` of rows (x, output): never below `MultiOutputGPLikelihoodLayer`, and equal
    to it where the inducing points are all rows, `output_rows(x, k)`. Costs n k m² time and n k m
    memory for m points.

    x: (B, n, d) inputs that all outputs share; y: (B, n, k); noise: (B, n, k), optional known
    variances, added to the learned ones; mask: (B, n, k), optional, 1 where an output was observed
    and 0 where not, whatever stands there.

    inducing_points: (m, d + 1) or (B, m, d + 1), with the number of an output in the last column,
    such as `output_rows(points, k)`, or rows that `inducing_points` chose of those of the data; the
    other columns are the parameter of that name. kernel, outputs, rank, coregionalization, mean,
    noise_variance: as in `MultiOutputGPLikelihoodLayer`; jitter, precision: as in
    `SGPRLikelihoodLayer`. For single observations (x, output) call `SGPRLikelihoodLayer` with the
    same kernel (`Coregionalization.kernel`). Álvarez & Lawrence 2011.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.

    >>> x = np.linspace(0, 1, 9)[:, None]
    >>> points = gl.output_rows(x[::4], 2)
    >>> layer = gl.MultiOutputSGPRLikelihoodLayer(gl.kernels.RBF(), points, outputs=2)
    >>> layer.initialize()
    >>> layer(mx.nd.array(x[None]), mx.nd.zeros((1, 9, 2))).shape
    (1,)
    """

    arguments = (("x", "B n d"), ("y", "B n k"), ("noise", "B n k"), ("mask", "B n k"))

    def __init__(
        self,
        kernel: Kernels,
        inducing_points: ArrayLike,
        outputs: int,
        rank: int = 1,
        coregionalization: Coregionalizations = None,
        mean: Means = None,
        noise_variance: Variances = 1.0,
        jitter: Union[float, str] = 1e-8,
        precision: Optional[str] = WIDE,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        process = RowProcess(name, kernel, inducing_points, outputs, rank, coregionalization, mean)
        noises = process.variances(noise_variance)
        super().__init__(
            process.kernel,
            process.points,
            process.mean,
            noises,
            jitter,
            precision,
            noise_column=process.columns,
            **kwargs,
        )
        self._keep(process)

    def condition(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
        include_noise: bool = False,
    ) -> SparseMultiOutputPredictor:
        """The posterior given data: x -> (mean, variance), (B, m, k); arguments as in a call.

        NumPy arrays as well, with or without the batch axis. include_noise: whether its variance
        is that of new observations.
        """
        found = super().condition(x, y, noise, mask, include_noise)
        with self.name_scope():
            return SparseMultiOutputPredictor(found, self.outputs)


class MultiOutputSVGPLikelihoodLayer(OutputRows, SVGPLikelihoodLayer):
    """The negative of a bound on log p(y) of k dependent processes, from a mini-batch, -> (B,).

    `SVGPLikelihoodLayer` of rows (x, output), for any likelihood of one latent value; x, y, mask,
    inducing_points and the other arguments as in `MultiOutputSGPRLikelihoodLayer`.

    likelihood: None for normal noise of variances `noise_variance`, one number or one for each
    output. count: how many values y all data have; None where each call has all of them.
    Álvarez & Lawrence 2011; Hensman, Matthews & Ghahramani 2015.

    Raises NotPositiveDefiniteError, NonFiniteError, ShapeError, DtypeError.

    >>> points = gl.output_rows([[0.0], [1.0]], 2)
    >>> layer = gl.MultiOutputSVGPLikelihoodLayer(gl.kernels.RBF(), points, outputs=2, count=200)
    >>> layer.initialize()
    >>> layer(mx.nd.zeros((1, 10, 1)), mx.nd.ones((1, 10, 2))).shape  # 10 of 100 rows
    (1,)
    """

    arguments = (("x", "B n d"), ("y", "B n k"), ("mask", "B n k"))

    def __init__(
        self,
        kernel: Kernels,
        inducing_points: ArrayLike,
        outputs: int,
        likelihood: Optional[Likelihood] = None,
        count: Optional[int] = None,
        rank: int = 1,
        coregionalization: Coregionalizations = None,
        mean: Means = None,
        noise_variance: Variances = 1.0,
        jitter: Union[float, str] = 1e-8,
        batch: int = 1,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        process = RowProcess(name, kernel, inducing_points, outputs, rank, coregionalization, mean)
        if likelihood is None:
            likelihood = Gaussian(process.variances(noise_variance), process.columns)
        elif likelihood.latents != 1:
            raise ValueError(
                f"{name}: {type(likelihood).__name__} has {likelihood.latents} latent values, "
                "expected a likelihood of one for each output."
            )
        super().__init__(
            process.kernel,
            process.points,
            likelihood,
            count,
            process.mean,
            jitter,
            batch,
            **kwargs,
        )
        self._keep(process)

    def predictor(self, include_noise: bool = False) -> SparseMultiOutputPredictor:
        """The posterior, with copies of all parameters: x -> (mean, variance), (B, m, k).

        include_noise: whether they are those of a new y or of the latent values.
        """
        found = super().predictor(include_noise)
        with self.name_scope():
            return SparseMultiOutputPredictor(found, self.outputs)


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
