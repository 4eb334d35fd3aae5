"""Sparse Gaussian processes of several outputs: the sparse layers on rows (x, output)."""

from typing import Any, List, Mapping, Optional, Tuple, Union, cast

import mxnet as mx

from ..errors import ShapeError
from ..functional.coregionalization import by_output
from ..functional.coregionalization import output_rows as rows_of
from ..typing import Array, ArrayLike, Namespace
from .coregionalization import Coregionalization
from .inducing import WIDE, InducingBlock
from .kernels import Kernel
from .likelihoods import Gaussian, Likelihood
from .multi_output_parts import Coregionalizations, Kernels, Means, seen_outputs
from .multi_output_rows import RowProcess, Variances
from .multi_output_sparse_predictor import SparseMultiOutputPredictor
from .parameters import parameter_array
from .sparse_gp import SGPRLikelihoodLayer
from .svgp import SVGPLikelihoodLayer


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

    def _keep(self, process: RowProcess) -> None:
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
