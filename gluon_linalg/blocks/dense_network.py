"""A chain of dense layers on standardized columns."""

from typing import Any, Optional, Sequence

import mxnet as mx
import numpy as np

from ..typing import Array, Namespace
from .given import given_parameter


class DenseNetwork(mx.gluon.HybridBlock):
    """The last layer of h ↦ activation(W h + b), starting at h = (x - centre)/spread.

    x: (B, n, d) -> (B, n, k). centre, spread: d numbers each, constants that are exported. hidden:
    the sizes of the layers; outputs: None, or the size of one more layer, W h + b, which begins
    at 0.
    """

    def __init__(
        self,
        centre: np.ndarray,
        spread: np.ndarray,
        hidden: Sequence[int],
        activation: str,
        outputs: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.centre = given_parameter(self, "centre", centre)
            self.spread = given_parameter(self, "spread", spread)
            for constant in (self.centre, self.spread):
                constant.grad_req = "null"
            self.layers = mx.gluon.nn.HybridSequential()
            for before, size in zip([len(centre), *hidden], hidden):
                self.layers.add(
                    mx.gluon.nn.Dense(
                        size,
                        in_units=before,
                        activation=activation,
                        flatten=False,
                        weight_initializer=mx.init.Xavier(),
                    )
                )
            if outputs is not None:
                last = mx.gluon.nn.Dense(
                    outputs, in_units=hidden[-1], flatten=False, weight_initializer="zeros"
                )
                self.layers.add(last)

    def hybrid_forward(self, F: Namespace, x: Array, centre: Array, spread: Array) -> Array:
        x = F.broadcast_sub(x, F.reshape(centre, shape=(1, 1, -1)))
        return self.layers(F.broadcast_div(x, F.reshape(spread, shape=(1, 1, -1))))
