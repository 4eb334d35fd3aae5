"""Kernels that a network bends: of its features, and with a lengthscale that it makes of x."""

import math
from typing import Any, Optional, Tuple

import mxnet as mx

from ... import functional as fn
from ...typing import Array, Namespace
from .base import ActiveDims, Kernel, Values
from .combination import Wrapper, inner
from .stationary import Stationary

# A lengthscale is within exp(±FARTHEST) of that of the kernel.
FARTHEST = 20.0


class Deep(Wrapper):
    """kernel(g(x), g(z)), g a network that is trained with the rest.

    network: a HybridBlock, active columns (B, n, d) -> features (B, n, k). kernel: of the features,
    which its own `active_dims` and ARD parameters count. Wilson et al. 2016, Deep kernel learning.

    >>> network = mx.gluon.nn.Dense(2, flatten=False)
    >>> kernel = gl.kernels.Deep(network, gl.kernels.RBF())
    >>> kernel.initialize()
    >>> kernel(mx.nd.ones((1, 4, 3))).shape
    (1, 4, 4)
    """

    def __init__(
        self,
        network: mx.gluon.HybridBlock,
        kernel: Kernel,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(active_dims=active_dims, **kwargs)
        _check_network(self.name, network)
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{self.name}: kernel is {kernel!r}, expected a gluon_linalg kernel.")
        self.network, self.kernel = network, kernel

    def inside(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any,
        constant: bool,
    ) -> Tuple[Array, Optional[Array], Any]:
        return (*self._features(F, x, z, dtype, constant), inner(hyperparameters, "kernel"))

    def check_columns(self, count: int) -> None:
        """Of x: how many features there are is for the network to say."""
        Kernel.check_columns(self, count)

    def weighted_sum(self, F: Namespace, weights: Array, x: Array, dtype: str) -> Array:
        x, _ = self._features(F, x, None, dtype, False)
        return self.kernel.weighted_sum(F, weights, x, dtype)

    def _features(
        self, F: Namespace, x: Array, z: Optional[Array], dtype: str, constant: bool
    ) -> Tuple[Array, Optional[Array]]:
        """g(x) and g(z) in `dtype`."""
        x, z = self.select_both(F, x, z)
        found = []
        for points in (x, z):
            if points is not None:
                own = _of_network(F, self.network, points, self.dtype)
                own = F.cast(own, dtype=dtype)
                found.append(fn.stop(F, own) if constant else own)
        return found[0], None if z is None else found[1]


class Gibbs(Stationary):
    """variance · (2 l l'/(l² + l'²))^(d/2) exp(-r²/(l² + l'²)), with l = exp(g(x)), l' = exp(g(z)):

    an RBF whose lengthscale at x is exp(g(x)) times that of the kernel, g a network that is trained
    with the rest. r: the distance in lengthscales, over d active columns.

    network: a HybridBlock, active columns (B, n, d) -> g, (B, n) or (B, n, 1), which counts as -20
    below that and as 20 above. For a network for each column, multiply kernels of one column each.
    Gibbs 1997; Rasmussen & Williams, equation 4.32.

    >>> network = mx.gluon.nn.Dense(1, flatten=False, weight_initializer="zeros")
    >>> kernel = gl.kernels.Gibbs(network)
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)  # as RBF
    0.6065
    """

    def __init__(
        self,
        network: mx.gluon.HybridBlock,
        variance: float = 1.0,
        lengthscale: Values = 1.0,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(variance, lengthscale, active_dims, **kwargs)
        _check_network(self.name, network)
        self.network = network

    def covariance(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        variance: Array,
        **parameters: Array,
    ) -> Array:
        own = self._logarithm(F, x, dtype)
        other = fn.transpose(F, own if z is None else self._logarithm(F, z, dtype))
        left, right = self._feature_pair(F, x, z, parameters)
        exponent = fn.negative_half_squared_distance(F, left, right, dtype)
        gap = F.abs(F.broadcast_sub(own, other))
        # log cosh, which is -log(2 l l' / (l² + l'²)).
        bend = gap + F.log1p(F.exp(-2.0 * gap)) - math.log(2.0)
        sharpness = F.exp(-F.broadcast_add(own, other) - bend)
        columns = F.sum(fn.ones_like(F, x), axis=2, keepdims=True)
        columns = F.cast(F.slice_axis(columns, axis=1, begin=0, end=1), dtype=dtype)
        unit = F.exp(exponent * sharpness - F.broadcast_mul(bend, 0.5 * columns))
        return F.broadcast_mul(unit, F.expand_dims(variance, axis=2))

    def _logarithm(self, F: Namespace, x: Array, dtype: str) -> Array:
        """g(x), (B, n, 1)."""
        found = F.reshape(_of_network(F, self.network, x, self.dtype), shape=(0, -1, 1))
        return F.clip(F.cast(found, dtype=dtype), a_min=-FARTHEST, a_max=FARTHEST)


def _of_network(
    F: Namespace, network: mx.gluon.HybridBlock, x: Array, dtype: Optional[str]
) -> Array:
    """The output of a network, whose parameters have the dtype of the kernel."""
    return network(F.cast(x, dtype=dtype))


def _check_network(name: str, network: Any) -> None:
    if not isinstance(network, mx.gluon.HybridBlock):
        raise TypeError(f"{name}: network is {network!r}, expected a HybridBlock.")
