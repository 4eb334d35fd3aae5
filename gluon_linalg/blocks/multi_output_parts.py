"""What exact and sparse processes of several outputs share: kernels, matrices, means, targets."""

from typing import Any, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import NonFiniteError
from ..functional.coregionalization import label_indicators
from ..typing import Array, Namespace
from .coregionalization import Coregionalization
from .given import given_parameter
from .inducing import seen_inputs
from .kernels import Kernel
from .mean import MEAN_SLOPES, mean_slope, no_slope

Kernels = Union[Kernel, Sequence[Kernel]]
Coregionalizations = Union[None, Coregionalization, Sequence[Coregionalization]]
Means = Union[None, str, mx.gluon.HybridBlock]


class ConstantMeans(mx.gluon.HybridBlock):
    """m(x) = c, a learnable constant of each of k outputs, at first 0: (B, n, d) -> (B, n, k)."""

    def __init__(self, outputs: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.constant = given_parameter(self, "constant", np.zeros(outputs))

    def hybrid_forward(self, F: Namespace, x: Array, constant: Array) -> Array:
        ones = fn.ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1))
        return F.broadcast_mul(ones, F.reshape(constant, shape=(1, 1, -1)))


class RowMeans(mx.gluon.HybridBlock):
    """The mean of the output that the last column names, (B, n, d + 1) -> (B, n).

    means: of all k = `outputs`, (B, n, d) -> (B, n, k).
    """

    def __init__(self, means: mx.gluon.HybridBlock, outputs: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.means, self._outputs = means, outputs

    def hybrid_forward(self, F: Namespace, x: Array) -> Array:
        labels = F.slice_axis(x, axis=2, begin=-1, end=None)
        values = self.means(F.slice_axis(x, axis=2, begin=0, end=-1))
        return F.sum(label_indicators(F, labels, self._outputs, self.name) * values, axis=2)


def _slope_of_rows(F: Namespace, mean: Any, x: Array, name: str) -> Optional[Array]:
    """Of the output that the last column names, (B, n, d + 1), whose number has none."""
    inputs, labels = (F.slice_axis(x, axis=2, begin=b, end=e) for b, e in ((0, -1), (-1, None)))
    slope = mean_slope(F, mean.means, inputs, name)
    if slope is None:
        return None
    chosen = F.cast(label_indicators(F, labels, mean._outputs, name), dtype="float64")
    found = F.dot(chosen, F.cast(F.reshape(slope, shape=(-3, 0)), dtype="float64"))
    return F.concat(found, fn.zeros_like(F, F.cast(labels, dtype="float64")), dim=2)


MEAN_SLOPES.update({ConstantMeans: no_slope, RowMeans: _slope_of_rows})


def means_block(mean: Means, outputs: int) -> Optional[mx.gluon.HybridBlock]:
    """The means of k outputs as a block: None for zero, and any HybridBlock as it is."""
    if isinstance(mean, mx.gluon.HybridBlock):
        return mean
    if mean is None or mean == "zero":
        return None
    if mean == "constant":
        return ConstantMeans(outputs)
    if mean == "linear":
        return mx.gluon.nn.Dense(outputs, flatten=False, weight_initializer="zeros")
    raise ValueError(
        f"mean is {mean!r}, expected None, 'zero', 'constant', 'linear' or a HybridBlock."
    )


def kernel_list(name: str, kernel: Kernels) -> List[Kernel]:
    """One kernel of the intrinsic model, or those of the linear model. Raises TypeError."""
    kernels: List[Any] = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel]
    for each in kernels:
        if not isinstance(each, Kernel):
            raise TypeError(f"{name}: kernel is {each!r}, expected a gluon_linalg kernel.")
    return kernels


def coregionalization_list(
    name: str, given: Coregionalizations, kernels: Sequence[Kernel], outputs: int, rank: int
) -> List[Coregionalization]:
    """One for each kernel, by default of `rank`. Raises TypeError, ValueError."""
    if given is None:
        return [Coregionalization(outputs, rank) for _ in kernels]
    found: List[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    for each in found:
        if not isinstance(each, Coregionalization) or each.outputs != outputs:
            raise TypeError(
                f"{name}: coregionalization is {each!r}, expected a Coregionalization of "
                f"{outputs} outputs."
            )
    if len(found) != len(kernels):
        raise ValueError(f"{name}: {len(found)} coregionalizations for {len(kernels)} kernels.")
    return found


def seen_outputs(
    F: Namespace,
    x: Array,
    y: Array,
    noise: Optional[Array],
    mask: Optional[Array],
    dtype: str,
    name: str,
) -> Tuple[Array, Array, Optional[Array], Optional[Array]]:
    """x (B, n, d), the others (B, n, k) in `dtype`, with numbers where the mask hides what is.

    Raises NonFiniteError, which names rows; ValueError.
    """
    y, noise, mask = fn.seen_targets(F, y, noise, mask, dtype, name, axes=3)
    x = seen_inputs(F, F.cast(x, dtype=dtype), None if mask is None else F.max(mask, axis=2))
    if F is mx.nd:
        for argument, array in (("x", x), ("y", y)):
            text = f"{name}: '{argument}' contains NaN or infinity; a mask hides it."
            rows = F.min(fn.finite(F, array), axis=2)
            rows = rows if mask is None else F.maximum(rows, 1.0 - F.max(mask, axis=2))
            fn.require_rows(F, array, rows, NonFiniteError, text, axes=3)
    return x, y, noise, mask


def output_means(
    F: Namespace,
    mean: Optional[mx.gluon.HybridBlock],
    x: Array,
    like: Array,
    dtype: str,
    parameter_dtype: str,
) -> Array:
    """m(x) in `dtype`, (B, n, k), for a mean block whose parameters have another."""
    if mean is None:
        return fn.zeros_like(F, like)
    return F.cast(mean(F.cast(x, dtype=parameter_dtype)), dtype=dtype)
