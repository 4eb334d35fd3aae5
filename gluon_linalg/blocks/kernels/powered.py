"""The powered exponential kernel."""

from typing import Any

import numpy as np

from ... import functional as fn
from ...errors import ShapeError
from ...typing import Array, Namespace
from ..bounded import bounded_parameter
from ..parameters import ONE
from .base import ActiveDims, Values
from .stationary import Stationary

# Beyond it the kernel is not positive semidefinite.
LARGEST_EXPONENT = 2.0


class PoweredExponential(Stationary):
    """variance · exp(-r^exponent), 0 < exponent <= 2.

    At 1 it is Matern12, at 2 the RBF of lengthscale/√2. The exponent is learnable below 2; one of 2
    stays, and of those that a network emits each above 2 counts as 2. Below 2 it is not
    differentiable in x where two points coincide: the pair contributes 0 to the gradient.
    Rasmussen & Williams, equation 4.18.

    >>> kernel = gl.kernels.PoweredExponential(exponent=1.0)
    >>> kernel.initialize()
    >>> round(kernel(mx.nd.array([[[0.0], [1.0]]]))[0, 0, 1].asnumpy().item(), 4)
    0.3679
    """

    def __init__(
        self,
        variance: float = ONE,
        lengthscale: Values = ONE,
        exponent: float = 1.0,
        active_dims: ActiveDims = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(variance, lengthscale, active_dims, **kwargs)
        if np.ndim(exponent):
            raise ShapeError(
                f"{self.name}: 'exponent' has shape {np.shape(exponent)}, expected one number."
            )
        self.exponent = bounded_parameter(
            self, "exponent", exponent, 0.0, LARGEST_EXPONENT, closed=True
        )

    def profile(self, F: Namespace, squared: Array, exponent: Array) -> Array:
        half = 0.5 * F.minimum(F.expand_dims(exponent, axis=2), LARGEST_EXPONENT)
        # Not `> 0`, which NaN is not either: it would count as no distance.
        apart = fn.stop(F, squared) != 0.0
        logarithm = F.log(F.where(apart, squared, fn.ones_like(F, squared)))
        return F.exp(-F.exp(F.broadcast_mul(logarithm, half)) * apart)
