"""Linear models in continuous time at the times of observations that are any time apart."""

from typing import Tuple

from .. import functional as fn
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class DiscretizationBlock(LinearAlgebraBlock):
    """dx = F x dt + L dβ over gaps h: transition A and process_factor G of a Kalman layer.

    A = exp(F h),   G Gᵀ = ∫_0^h exp(F s) L Lᵀ exp(F s)ᵀ ds   (Van Loan 1978).

    drift F: (B or 1, T or 1, d, d); diffusion L: (B or 1, T or 1, d, r); gaps h: (B, T), the time
    from each observation to the next, 0 or more; that after the last one leads nowhere. A
    (B, T, d, d), G (B, T, d, 2 d). Exact for any h, and differentiable in all three; in G only
    functions of G Gᵀ, such as all that Kalman layers compute, have a gradient.

    Raises NonFiniteError for F h so large that its exponential is none.

    >>> drift, diffusion = mx.nd.array([[[[-1.0]]]]), mx.nd.array([[[[1.0]]]])
    >>> transition, factor = gl.DiscretizationBlock()(drift, diffusion, mx.nd.array([[np.log(2)]]))
    >>> print(transition.asnumpy().round(4), (factor**2).sum().asnumpy().round(4))  # ½, (1 - ¼)/2
    [[[[0.5]]]] [0.375]
    """

    arguments = (("drift", "B? T? d d"), ("diffusion", "B? T? d r"), ("gaps", "B T"))

    def hybrid_forward(
        self, F: Namespace, drift: Array, diffusion: Array, gaps: Array
    ) -> Tuple[Array, Array]:
        return fn.discretized(F, drift, diffusion, F.expand_dims(gaps, axis=2), name=self.name)
