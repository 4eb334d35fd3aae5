"""Mean functions whose coefficients are numbers near 1, whatever the units of the inputs."""

from typing import Any, Optional, Tuple

import mxnet as mx
import numpy as np

from ...blocks.mean import mean_block
from ...blocks.multi_output_parts import ConstantMeans
from ...typing import Array, Dtype, Namespace
from .inputs import Inputs


class LinearMeans(mx.gluon.HybridBlock):
    """m_k(x) = bias_k + Σ weight_kj (x_j - centre_j) / spread_j, initially 0.

    (B, n, d) -> (B, n, k), k = `outputs`; weight (k, d), bias (k,).
    """

    def __init__(
        self, centre: np.ndarray, spread: np.ndarray, dtype: Dtype, outputs: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._centre, self._spread = np.asarray(centre), np.asarray(spread)
        with self.name_scope():
            self.bias = self.params.get("bias", shape=(outputs,), init="zeros")
            self.weight = self.params.get("weight", shape=(outputs, len(spread)), init="zeros")
            self.centre = self.params.get_constant("centre", mx.nd.array(centre, dtype=dtype))
            self.spread = self.params.get_constant("spread", mx.nd.array(spread, dtype=dtype))

    def hybrid_forward(
        self, F: Namespace, x: Array, bias: Array, weight: Array, centre: Array, spread: Array
    ) -> Array:
        x = F.broadcast_sub(x, F.reshape(centre, shape=(1, 1, -1)))
        x = F.broadcast_div(x, F.reshape(spread, shape=(1, 1, -1)))
        return self.combined(F, x, bias, weight)

    def combined(self, F: Namespace, x: Array, bias: Array, weight: Array) -> Array:
        """The means of scaled inputs (B, n, d)."""
        slopes = F.dot(x, weight, transpose_b=True)
        return F.broadcast_add(slopes, F.reshape(bias, shape=(1, 1, -1)))

    def natural_values(self) -> Tuple[Any, Any]:
        """Slopes (k, d) and the values at x = 0 (k,), of x as it comes."""
        weight = self.weight.data().asnumpy().astype("float64") / self._spread
        return weight, self.bias.data().asnumpy().astype("float64") - weight @ self._centre


class LinearMean(LinearMeans):
    """The one of a single target, (B, n, d) -> (B, n)."""

    def __init__(self, centre: np.ndarray, spread: np.ndarray, dtype: Dtype, **kwargs: Any) -> None:
        super().__init__(centre, spread, dtype, 1, **kwargs)

    def combined(self, F: Namespace, x: Array, bias: Array, weight: Array) -> Array:
        slopes = F.sum(F.broadcast_mul(x, F.expand_dims(weight, axis=0)), axis=2)
        return F.broadcast_add(slopes, F.reshape(bias, shape=(1, 1)))

    def natural_values(self) -> Tuple[np.ndarray, float]:
        """Slopes (d,) and the value at x = 0, of x as it comes."""
        (weight,), (bias,) = super().natural_values()
        return weight, float(bias)


def build_means(
    name: str, inputs: Inputs, dtype: Dtype, outputs: int
) -> Optional[mx.gluon.HybridBlock]:
    """The mean `name` of each of several targets: a block, or None."""
    if name == "zero":
        return None
    if name == "constant":
        return ConstantMeans(outputs, prefix="constant_means_")
    centre = inputs.x.mean(axis=0)
    return LinearMeans(centre, inputs.spread, dtype, outputs, prefix="linear_means_")


def build_mean(name: str, inputs: Inputs, dtype: Dtype) -> Optional[mx.gluon.HybridBlock]:
    """The mean `name` of a job, for `Inputs`: a block, or None."""
    if name != "linear":
        return mean_block(name)
    centre = inputs.x.mean(axis=0)
    return LinearMean(centre, inputs.spread, dtype, prefix="linear_mean_")
