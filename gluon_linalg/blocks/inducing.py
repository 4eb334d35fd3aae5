"""Processes that are seen through the values at a few inducing points."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..typing import Array, ArrayLike, Namespace, hook
from .base import LinearAlgebraBlock
from .cholesky import check_jitter
from .given import given_parameter
from .kernels import Kernel
from .mean import mean_block
from .parameters import parameter_array

# In what all is computed that has the condition number of K(Z, Z).
WIDE = "float64"
Kernels = Union[Kernel, Sequence[Kernel]]
Means = Union[None, str, mx.gluon.HybridBlock, Sequence[Any]]


class Projection(NamedTuple):
    """f(x) = φ(x)ᵀ v + e with v ~ N(0, I) and e of variance `rest`, all in float64."""

    factor: Array  # L with K(Z, Z) + s I = L Lᵀ, (B, m, m)
    features: Array  # φ = L⁻¹ k(Z, x) in columns, (B, m, n)
    prior: Array  # k(x, x), (B, n)
    rest: Array  # k(x, x) - |φ|², (B, n)


class InducingBlock(LinearAlgebraBlock):
    """A block with kernels, means and inducing points Z, from which it has φ(x) = L⁻¹ k(Z, x).

    inducing_points: the initial value of a parameter of that name, (m, d), or (B, m, d) for
    points of each batch element; ``block.inducing_points.grad_req = 'null'`` keeps them.
    kernel, mean: one for all `latents` processes, or a list of one for each. jitter: as in
    `CholeskyBlock`; it adds to K(Z, Z) only. K(Z, Z), its factor and φ are in float64 in a
    float32 block, too: they alone have the condition number of K(Z, Z).
    """

    def __init__(
        self,
        kernel: Kernels,
        inducing_points: ArrayLike,
        mean: Means = None,
        jitter: Union[float, str] = 1e-8,
        latents: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._jitter, self._latents = check_jitter(jitter), latents
        points = _points(self.name, inducing_points)
        with self.name_scope():
            self.kernels = _one_or_each(self.name, "kernel", kernel, latents)
            for each in self.kernels:
                if not isinstance(each, Kernel):
                    raise TypeError(
                        f"{self.name}: kernel is {each!r}, expected a gluon_linalg kernel."
                    )
                self.register_child(each)
            self.means = _one_or_each(self.name, "mean", mean, latents)
            self.means = [mean_block(each) for each in self.means]
            for each in self.means:
                if each is not None:
                    self.register_child(each)
            self.inducing_points = given_parameter(self, "inducing_points", points)

    # How many columns rows have beside those of x.
    further_columns = 0

    @property
    def kernel(self) -> Kernel:
        """The kernel, of several processes that of the first."""
        return self.kernels[0]

    @property
    def count(self) -> int:
        """The number of inducing points."""
        return int(self.inducing_points.shape[1])

    def projections(self, F: Namespace, x: Array) -> List[Projection]:
        """`Projection` of each kernel at x (B, n, d), inside a graph."""
        x = F.cast(x, dtype=WIDE)
        points = self.points(F, x)
        corner = F.slice_axis(F.slice_axis(x, axis=1, begin=0, end=1), axis=2, begin=0, end=1)
        points = F.broadcast_add(points, fn.zeros_like(F, corner))
        found = []
        for kernel in self.kernels:
            values = hyperparameters(F, kernel, x)
            factor = self._factor(F, kernel, points, values)
            found.append(projection(F, kernel, factor, points, x, values))
        return found

    @hook
    def rows(
        self, F: Namespace, x: Array, y: Array, noise: Optional[Array], mask: Optional[Array]
    ) -> Tuple[Any, Any, Any, Any]:
        """The data of a call as rows (B, n, d) and arrays (B, n) of them, inside a graph."""
        return x, y, noise, mask

    def points(self, F: Namespace, like: Array) -> Array:
        """Z inside a graph, (B or 1, m, d) in float64."""
        return F.cast(parameter_array(F, self.inducing_points, like), dtype=WIDE)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        batch, _, columns = self.inducing_points.shape
        if columns != sizes["d"]:
            raise ShapeError(
                f"{self.name}: 'x' has {sizes['d']} columns, the inducing points have {columns}."
            )
        for kernel in self.kernels:
            kernel.check_columns(sizes["d"] + self.further_columns)
        if batch not in (1, sizes["B"]):
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']}, but there are inducing points for "
                f"each of {batch} batch elements."
            )

    def _factor(
        self, F: Namespace, kernel: Kernel, points: Array, values: Dict[str, Array]
    ) -> Array:
        covariance = fn.symmetrize(F, kernel.evaluate(F, points, None, WIDE, values))
        return fn.cholesky(F, covariance, self._jitter, self.name)


def projection(
    F: Namespace,
    kernel: Kernel,
    factor: Array,
    points: Array,
    x: Array,
    values: Dict[str, Array],
) -> Projection:
    """`Projection` at x (B, n, d) on points (B, m, d), all in float64; values: hyperparameters."""
    features = fn.triangular_solve(F, factor, kernel.evaluate(F, points, x, WIDE, values))
    prior = kernel.evaluate_diagonal(F, x, WIDE, values)
    return Projection(factor, features, prior, prior - fn.column_squares(F, features))


def hyperparameters(F: Namespace, kernel: Kernel, like: Array) -> Dict[str, Array]:
    """The natural hyperparameters of a kernel in float64, (1, k), each cast once.

    What K(Z, Z), k(Z, x) and k(x, x) give to a gradient is large and cancels: it is added before
    it is rounded.
    """
    found = {}
    for name, parameter in kernel.hyperparameters().items():
        stored = F.cast(parameter_array(F, parameter, like), dtype=WIDE)
        found[name] = F.reshape(parameter.natural(F, stored), shape=(1, -1))
    return found


def latent_moments(
    F: Namespace,
    found: Sequence[Projection],
    weights: Array,
    roots: Sequence[Array],
    triangular: bool = False,
) -> Tuple[Array, Array]:
    """φᵀw and k(x, x) - |φ|² + |Rᵀφ|², (B, n), or (B, n, p) of p > 1 latent values.

    found: one `Projection` for all, or one for each; weights (B, m, p); roots (B, m, m) of each,
    lower `triangular` or of any kind. The variance is not below ε k(x, x), where rounding would
    make it negative.
    """
    times = fn.triangular_product if triangular else fn.product
    means, variances = [], []
    for i, root in enumerate(roots):
        own = found[i % len(found)]
        column = F.slice_axis(weights, axis=2, begin=i, end=i + 1)
        mean = fn.product(F, own.features, column, transpose_a=True)
        means.append(F.reshape(mean, shape=(0, -1)))
        moved = times(F, root, own.features, True)
        variance = own.rest + fn.column_squares(F, moved)
        variances.append(F.maximum(variance, own.prior * fn.unit_roundoff(F, own.prior)))
    return latent_axis(F, means, len(roots)), latent_axis(F, variances, len(roots))


def latent_axis(F: Namespace, each: Sequence[Array], latents: int) -> Array:
    """(B, n) of one latent value, or of each in (B, n, p); a list of one serves all."""
    if latents == 1:
        return each[0]
    return F.stack(*(each[i % len(each)] for i in range(latents)), axis=2)


def seen_inputs(F: Namespace, x: Array, mask: Optional[Array]) -> Array:
    """x (B, n, d) with the middle one of the others where the mask (B, n) hides a row.

    Whatever stands there. That one is near their mean: it hardly moves the centre and not the
    extent of the data, by which distances are rounded, and what is a label in it stays one.
    """
    if mask is None:
        return x
    column = F.expand_dims(fn.stop(F, mask), axis=2)
    rows = F.broadcast_like(column, fn.stop(F, x))
    known = F.where(rows, fn.stop(F, x), fn.zeros_like(F, x))
    count = F.maximum(F.sum(column, axis=1, keepdims=True), 1.0)
    mean = F.broadcast_div(F.sum(known, axis=1, keepdims=True), count)
    distance = F.sum(F.square(F.broadcast_sub(known, mean)), axis=2)
    beyond = 2.0 * F.max(distance, axis=1, keepdims=True) + 1.0
    distance = F.where(fn.stop(F, mask), distance, F.broadcast_like(beyond, distance))
    nearest = F.expand_dims(F.argmin(distance, axis=1), axis=1)
    place = F.broadcast_like(nearest, F.max(known, axis=1))
    middle = F.pick(known, place, axis=1, keepdims=True)
    return F.where(rows, x, F.broadcast_like(fn.stop(F, middle), fn.stop(F, x)))


def _points(name: str, points: ArrayLike) -> np.ndarray:
    values = points.asnumpy() if isinstance(points, mx.nd.NDArray) else np.asarray(points)
    values = np.asarray(values, dtype="float64")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ShapeError(
            f"{name}: inducing_points has shape {values.shape}, expected (m, d) or (B, m, d)."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: inducing_points contains NaN or infinity.")
    return values if values.ndim == 3 else values[None]


def _one_or_each(name: str, what: str, given: Any, latents: int) -> List[Any]:
    """A list of one for all, or of one for each latent process."""
    if not isinstance(given, (list, tuple)):
        return [given]
    if len(given) not in (1, latents):
        raise ValueError(
            f"{name}: {what} is a list of {len(given)}, expected one for each of {latents} "
            "processes of the likelihood."
        )
    return list(given)
