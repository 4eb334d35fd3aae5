"""Mean functions whose coefficients are numbers near 1, whatever the units of the inputs."""

from typing import Any, Optional, Tuple

import mxnet as mx
import numpy as np

from ...blocks.mean import mean_block
from ...blocks.multi_output_gp import ConstantMeans
from ...typing import Array, Dtype, Namespace
from .inputs import Inputs


class LinearMean(mx.gluon.HybridBlock):
    """m(x) = bias + Σ weight_j (x_j - centre_j) / spread_j, (B, n, d) -> (B, n), initially 0."""

    def __init__(self, centre: np.ndarray, spread: np.ndarray, dtype: Dtype, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._centre, self._spread = np.asarray(centre), np.asarray(spread)
        with self.name_scope():
            self.bias = self.params.get("bias", shape=(1,), init="zeros")
            self.weight = self.params.get("weight", shape=(1, len(spread)), init="zeros")
            self.centre = self.params.get_constant("centre", mx.nd.array(centre, dtype=dtype))
            self.spread = self.params.get_constant("spread", mx.nd.array(spread, dtype=dtype))

    def hybrid_forward(
        self, F: Namespace, x: Array, bias: Array, weight: Array, centre: Array, spread: Array
    ) -> Array:
        x = F.broadcast_sub(x, F.reshape(centre, shape=(1, 1, -1)))
        x = F.broadcast_div(x, F.reshape(spread, shape=(1, 1, -1)))
        slopes = F.sum(F.broadcast_mul(x, F.expand_dims(weight, axis=0)), axis=2)
        return F.broadcast_add(slopes, F.reshape(bias, shape=(1, 1)))

    def natural_values(self) -> Tuple[np.ndarray, float]:
        """Slopes (d,) and the value at x = 0, of x as it comes."""
        weight = self.weight.data().asnumpy().astype("float64")[0] / self._spread
        return weight, float(self.bias.data().asscalar()) - float(weight @ self._centre)


class LinearMeans(mx.gluon.HybridBlock):
    """`LinearMean` of each of k targets, (B, n, d) -> (B, n, k); weight (k, d), bias (k,)."""

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
        slopes = F.dot(x, weight, transpose_b=True)
        return F.broadcast_add(slopes, F.reshape(bias, shape=(1, 1, -1)))

    def natural_values(self) -> Tuple[np.ndarray, np.ndarray]:
        """Slopes (k, d) and the values at x = 0 (k,), of x as it comes."""
        weight = self.weight.data().asnumpy().astype("float64") / self._spread
        return weight, self.bias.data().asnumpy().astype("float64") - weight @ self._centre


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
