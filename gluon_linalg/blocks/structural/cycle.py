"""The stochastic cycle."""

import math
from typing import Any, Optional, Sequence

from ...typing import Array, Namespace
from ..bounded import MARGIN, bounded_parameter
from ..parameters import positive_parameter
from .arrays import matrix
from .base import Component, Prior


class Cycle(Component):
    """A cycle of learnable period, damped and kept alive by disturbances.

    c_{t+1} = ρ (c_t cos λ + c*_t sin λ) + κ_t,  c*_{t+1} = ρ (-c_t sin λ + c*_t cos λ) + κ*_t,
    λ = 2π / period,  κ, κ* ~ N(0, cycle_variance).

    State (c_t, c*_t), contribution c_t. period: in steps, learnable, always above 2, and between
    the period_bounds if there are any: a cycle that is longer than the series is a trend, and the
    likelihood may grow with its period for ever. damping: ρ
    in (0, 1), learnable; 1 makes no parameter and a cycle that does not die out. cycle_variance:
    in squared units of y. The stationary prior, the default of a damped cycle with disturbances,
    is N(0, cycle_variance / (1 - ρ²)) for both states; all others are diffuse. Durbin & Koopman
    2012, section 3.2; Harvey 1989, chapter 2.

    Raises ValueError for a period up to 2 or outside its bounds, a damping outside (0, 1], a
    negative variance, or a prior that is none.

    >>> cycle = gl.structural.Cycle(4.0, damping=1, cycle_variance=0)
    >>> model = gl.StructuralModel(cycle, noise_variance=0.01)
    >>> model.initialize()
    >>> mean, _ = model.forecaster(4)(mx.nd.array([[1.0, 0.0, -1.0, 0.0] * 2]))
    >>> print(np.abs(mean.asnumpy().round(3)))
    [[1. 0. 1. 0.]]
    """

    kind = "cycle"

    def __init__(
        self,
        period: float,
        damping: Optional[float] = 0.9,
        cycle_variance: Optional[float] = 1.0,
        prior: Prior = None,
        period_bounds: Optional[Sequence[float]] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, **kwargs)
        if period_bounds is None:
            self.period = positive_parameter(self, "period", period, lower=2.0)
        else:
            lower, upper = _checked_bounds(self.name, period_bounds)
            self.period = bounded_parameter(self, "period", period, lower, upper)
        self.cycle_variance = self._disturb([0, 1], "cycle_variance", cycle_variance)
        self.damping = None
        if damping is not None and damping != 1:
            self.damping = bounded_parameter(self, "damping", damping, 0.0, 1.0 - MARGIN)
        stationary = self.damping is not None and self.cycle_variance is not None
        self._set_prior(prior, stationary=(0, 1) if stationary else ())

    def transition(
        self,
        F: Namespace,
        one: Array,
        period: Array,
        damping: Optional[Array] = None,
        **values: Array,
    ) -> Array:
        frequency = 2.0 * math.pi / period
        cosine, sine = F.cos(frequency), F.sin(frequency)
        if damping is not None:
            cosine, sine = damping * cosine, damping * sine
        return matrix(F, one, [[cosine, sine], [-sine, cosine]])

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        return F.expand_dims(matrix(F, one, [[1.0, 0.0]]), axis=1)

    def stationary_factor(
        self,
        F: Namespace,
        one: Array,
        cycle_variance: Array,
        damping_complement: Array,
        **values: Array,
    ) -> Array:
        deviation = F.sqrt(cycle_variance / damping_complement)
        return matrix(F, one, [[deviation, 0.0], [0.0, deviation]])


def _checked_bounds(name, bounds):
    try:
        lower, upper = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        lower = upper = 0.0
    if not 2.0 <= lower < upper < math.inf:
        raise ValueError(
            f"{name}: period_bounds is {bounds!r}, expected two numbers of steps, the lower from 2 "
            "on and below the upper."
        )
    return lower, upper
