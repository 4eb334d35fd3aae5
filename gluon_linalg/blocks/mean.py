"""Mean functions of Gaussian processes."""

from typing import Any, Callable, Dict, Optional, Union

import mxnet as mx

from .. import functional as fn
from ..typing import Array, Dtype, Namespace
from .parameters import parameter_array

# (F, mean, x, name) -> `mean_slope`, by the class of the mean itself: a subclass may mean another.
MEAN_SLOPES: Dict[type, Callable[..., Optional[Array]]] = {}


class ConstantMean(mx.gluon.HybridBlock):
    """m(x) = c with a learnable c, initially 0: (B, n, d) -> (B, n)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.constant = self.params.get("constant", shape=(1,), init="zeros")

    def hybrid_forward(self, F: Namespace, x: Array, constant: Array) -> Array:
        return F.broadcast_add(
            fn.zeros_like(F, F.sum(x, axis=2)), F.reshape(constant, shape=(1, 1))
        )


def mean_block(mean: Union[None, str, mx.gluon.HybridBlock]) -> Optional[mx.gluon.HybridBlock]:
    """The mean as a block: None for zero, and any HybridBlock as it is."""
    if isinstance(mean, mx.gluon.HybridBlock):
        return mean
    if mean is None or mean == "zero":
        return None
    if mean == "constant":
        return ConstantMean(prefix="constant_mean_")
    if mean == "linear":
        return mx.gluon.nn.Dense(
            1, flatten=False, weight_initializer="zeros", prefix="linear_mean_"
        )
    raise ValueError(
        f"mean is {mean!r}, expected None, 'zero', 'constant', 'linear' or a HybridBlock."
    )


def mean_values(
    F: Namespace,
    mean: Optional[mx.gluon.HybridBlock],
    x: Array,
    dtype: Dtype,
    parameter_dtype: Dtype,
) -> Array:
    """m(x) in `dtype`, (B, n, d) -> (B, n), for a mean block whose parameters have another."""
    if mean is None:
        return fn.zeros_like(F, F.sum(x, axis=2))
    values = F.reshape(mean(F.cast(x, dtype=parameter_dtype)), shape=(0, -1))
    return F.cast(values, dtype=dtype)


def mean_slope(
    F: Namespace, mean: Optional[mx.gluon.HybridBlock], x: Array, name: str
) -> Optional[Array]:
    """∂m/∂x of a mean that is constant or linear at x (B, n, d); None for 0.

    (1, 1, d), or (B, n, d) where it depends on x; of k outputs (1, k, d). In the dtype of the mean.
    """
    if mean is None:
        return None
    function = MEAN_SLOPES.get(type(mean))
    if function is None:
        raise TypeError(
            f"{name}: there is no closed derivative of the mean {type(mean).__name__}; there is of "
            "'constant' and 'linear'. Differentiate `mean` and `variance` by mx.autograd instead."
        )
    return function(F, mean, x, name)


def no_slope(F: Namespace, mean: Any, x: Array, name: str) -> None:
    """Of a mean that does not depend on x."""


def _of_dense(F: Namespace, mean: Any, x: Array, name: str) -> Array:
    if mean.act is not None:
        raise TypeError(
            f"{name}: there is no closed derivative of the mean Dense with an activation, "
            f"{mean.act._act_type}. Differentiate `mean` and `variance` by mx.autograd instead."
        )
    return F.expand_dims(parameter_array(F, mean.weight, x), axis=0)


MEAN_SLOPES.update({ConstantMean: no_slope, mx.gluon.nn.Dense: _of_dense})
