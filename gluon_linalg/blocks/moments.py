"""Mean and covariance as Gluon's normalization layers have them: of the batch, or running."""

from typing import Any, Optional, Tuple

import mxnet as mx
import numpy as np

from ..functional.covariance import as_rows, centred_samples, covariance
from ..functional.matrix import magnitude
from ..functional.running import running_average
from ..functional.tangent import ones_like
from ..typing import Array, Namespace


class Moments(mx.gluon.HybridBlock):
    """x (B, n, d) -> ((x - μ)/u, μ, S/u², u): centred samples, mean, covariance and their unit.

    S has the divisor n - ddof; u is a power of 2, a constant.

    momentum: a number makes all B n samples one set, (1, B n, d), (1, 1, d), (1, d, d), u = 1.
    Training, μ and S are those of the batch, and running <- momentum * running + (1 - momentum) *
    batch, in the forward pass; otherwise they are the running ones, which begin as 0 and I.
    None: each of the B sets has its own, always: (B, n, d), (B, 1, d), (B, d, d), and u (B, 1, 1)
    near the largest |x - μ|, at least `least_unit`, so that S/u² is in range.
    """

    def __init__(
        self,
        momentum: Optional[float],
        ddof: int,
        in_features: int = 0,
        least_unit: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_momentum(momentum)
        self._momentum, self._ddof, self._least_unit = momentum, ddof, least_unit
        if momentum is not None:
            with self.name_scope():
                self.running_mean = self._running("mean", (in_features,), "zeros")
                self.running_covariance = self._running(
                    "covariance", (in_features, in_features), IdentityMatrix()
                )

    def hybrid_forward(
        self,
        F: Namespace,
        x: Array,
        running_mean: Optional[Array] = None,
        running_covariance: Optional[Array] = None,
    ) -> Tuple[Array, Array, Array, Array]:
        if running_mean is None or running_covariance is None or self._momentum is None:
            centred, mean = centred_samples(F, x)
            unit = F.maximum(magnitude(F, centred, axis=(1, 2)), self._least_unit)
            centred = F.broadcast_div(centred, unit)
            return centred, mean, covariance(F, centred, self._ddof), unit
        rows = as_rows(F, x)
        centred, mean = centred_samples(F, rows)
        batch = F.squeeze(covariance(F, centred, self._ddof), axis=0)
        mean = F.reshape(mean, shape=(-1,))
        mean = running_average(F, mean, running_mean, self._momentum)
        mean = F.reshape(mean, shape=(1, 1, -1))
        chosen = running_average(F, batch, running_covariance, self._momentum)
        unit = ones_like(F, F.slice_axis(mean, axis=2, begin=0, end=1))
        return F.broadcast_sub(rows, mean), mean, F.expand_dims(chosen, axis=0), unit

    def _running(self, name: str, shape: Tuple[int, ...], init: Any) -> mx.gluon.Parameter:
        return self.params.get(
            f"running_{name}",
            shape=shape,
            init=init,
            grad_req="null",
            allow_deferred_init=True,
            differentiable=False,
        )


@mx.init.register
class IdentityMatrix(mx.init.Initializer):
    """Ones on the diagonal of a square matrix, zeros beside it."""

    def _init_weight(self, _: Any, array: Array) -> None:
        array[:] = np.eye(array.shape[0])


def check_momentum(momentum: Optional[float]) -> None:
    if momentum is not None and not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum is {momentum!r}, expected None or a number from 0 to below 1.")
