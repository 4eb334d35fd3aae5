"""Trends: local level, local linear trend, damped trend, semilocal linear trend."""

from typing import Any, Optional

from ...typing import Array, Namespace
from ..bounded import MARGIN, bounded_parameter
from .arrays import matrix
from .base import Component, Prior


class LocalLevel(Component):
    """A random walk, μ_{t+1} = μ_t + η_t,  η_t ~ N(0, level_variance).

    State (μ_t), contribution μ_t. level_variance: in squared units of y; 0 for a constant level.
    Durbin & Koopman 2012, section 2.1; Harvey 1989, chapter 2.

    Raises ValueError for a negative variance, or a prior that is none.

    >>> model = gl.StructuralModel(gl.structural.LocalLevel(level_variance=0), noise_variance=1.0)
    >>> model.initialize()
    >>> mean, _ = model.forecaster(1)(mx.nd.array([[1.0, 2.0, 6.0]]))
    >>> round(mean.asnumpy().item(), 4)  # a constant level: the mean
    3.0
    """

    kind = "level"

    def __init__(
        self, level_variance: Optional[float] = 1.0, prior: Prior = None, **kwargs: Any
    ) -> None:
        super().__init__(1, **kwargs)
        self.state_names = ["level"]
        self.level_variance = self._disturb([0], "level_variance", level_variance)
        self._set_prior(prior)
        self.level_state = 0 if self.diffuse[0] else None

    def transition(self, F: Namespace, one: Array, **values: Array) -> Array:
        return matrix(F, one, [[1.0]])

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        return F.expand_dims(matrix(F, one, [[1.0]]), axis=1)


class LocalLinearTrend(Component):
    """A level whose slope is a random walk.

    μ_{t+1} = μ_t + ν_t + η_t,  η_t ~ N(0, level_variance),
    ν_{t+1} = ν_t + ζ_t,  ζ_t ~ N(0, slope_variance).

    State (μ_t, ν_t), contribution μ_t. Variances in squared units of y; level_variance=0 is the
    smooth trend, both 0 a straight line. Durbin & Koopman 2012, section 3.2; Harvey 1989,
    chapter 2.

    Raises ValueError for a negative variance, or a prior that is none.

    >>> model = gl.StructuralModel(gl.structural.LocalLinearTrend(0, 0), noise_variance=1.0)
    >>> model.initialize()
    >>> mean, _ = model.forecaster(2)(mx.nd.array([[1.0, 2.0, 3.0]]))
    >>> print(mean.asnumpy().round(4))  # a straight line
    [[4. 5.]]
    """

    kind = "trend"

    def __init__(
        self,
        level_variance: Optional[float] = 1.0,
        slope_variance: Optional[float] = 1.0,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, **kwargs)
        self.state_names = ["level", "slope"]
        self.level_variance = self._disturb([0], "level_variance", level_variance)
        self.slope_variance = self._disturb([1], "slope_variance", slope_variance)
        self._set_prior(prior)
        self.level_state = 0 if self.diffuse[0] else None

    def transition(self, F: Namespace, one: Array, **values: Array) -> Array:
        return matrix(F, one, [[1.0, 1.0], [0.0, 1.0]])

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        return F.expand_dims(matrix(F, one, [[1.0, 0.0]]), axis=1)


class DampedTrend(Component):
    """A level whose slope returns to 0.

    μ_{t+1} = μ_t + ν_t + η_t,  η_t ~ N(0, level_variance),
    ν_{t+1} = φ ν_t + ζ_t,  ζ_t ~ N(0, slope_variance),  0 < φ < 1.

    State (μ_t, ν_t), contribution μ_t. Variances in squared units of y. damping: φ, learnable.
    The stationary prior, the default, is ν_1 ~ N(0, slope_variance / (1 - φ²)) with a diffuse
    level; a slope without disturbances has none, and is diffuse. Gardner & McKenzie 1985; Harvey
    1989, chapter 2.

    Raises ValueError for a damping outside (0, 1), a negative variance, or a prior that is none.

    >>> model = gl.StructuralModel(gl.structural.DampedTrend(damping=0.8))
    >>> model.initialize()
    >>> model(mx.nd.array([[1.0, 2.0, 3.0]])).shape
    (1,)
    """

    kind = "trend"

    def __init__(
        self,
        level_variance: Optional[float] = 1.0,
        slope_variance: Optional[float] = 1.0,
        damping: float = 0.9,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, **kwargs)
        self.state_names = ["level", "slope"]
        self.level_variance = self._disturb([0], "level_variance", level_variance)
        self.slope_variance = self._disturb([1], "slope_variance", slope_variance)
        self.damping = bounded_parameter(self, "damping", damping, 0.0, 1.0 - MARGIN)
        self._set_prior(prior, stationary=() if self.slope_variance is None else (1,))
        self.level_state = 0 if self.diffuse[0] else None

    def transition(self, F: Namespace, one: Array, damping: Array, **values: Array) -> Array:
        return matrix(F, one, [[1.0, 1.0], [0.0, damping]])

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        return F.expand_dims(matrix(F, one, [[1.0, 0.0]]), axis=1)

    def stationary_factor(
        self,
        F: Namespace,
        one: Array,
        slope_variance: Array,
        damping_complement: Array,
        **values: Array,
    ) -> Array:
        deviation = F.sqrt(slope_variance / damping_complement)
        return matrix(F, one, [[0.0, 0.0], [0.0, deviation]])


class SemilocalLinearTrend(Component):
    """A level whose slope returns to a long-run slope, which is unknown.

    μ_{t+1} = μ_t + D + ν_t + η_t,  η_t ~ N(0, level_variance),
    ν_{t+1} = φ ν_t + ζ_t,  ζ_t ~ N(0, slope_variance),  0 < φ < 1.

    State (μ_t, ν_t, D), contribution μ_t; the slope is D + ν_t. So a forecast goes on with D, and
    far ahead is less uncertain than that of `LocalLinearTrend`. Variances in squared units of y.
    damping: φ, learnable. The stationary prior, the default, is ν_1 ~ N(0, slope_variance /
    (1 - φ²)) with a diffuse level and D; without slope_variance ν_1 is diffuse too. The
    `semilocal linear trend` of bsts (Scott & Varian 2014, with Brodersen et al. 2015).

    Raises ValueError for a damping outside (0, 1), a negative variance, or a prior that is none.

    >>> model = gl.StructuralModel(gl.structural.SemilocalLinearTrend(damping=0.5))
    >>> model.initialize()
    >>> model(mx.nd.array([[1.0, 2.0, 4.0, 5.0]])).shape
    (1,)
    """

    kind = "trend"

    def __init__(
        self,
        level_variance: Optional[float] = 1.0,
        slope_variance: Optional[float] = 1.0,
        damping: float = 0.9,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(3, **kwargs)
        self.state_names = ["level", "slope", "long-run slope"]
        self.level_variance = self._disturb([0], "level_variance", level_variance)
        self.slope_variance = self._disturb([1], "slope_variance", slope_variance)
        self.damping = bounded_parameter(self, "damping", damping, 0.0, 1.0 - MARGIN)
        self._set_prior(prior, stationary=() if self.slope_variance is None else (1,))
        self.level_state = 0 if self.diffuse[0] else None

    def transition(self, F: Namespace, one: Array, damping: Array, **values: Array) -> Array:
        return matrix(F, one, [[1.0, 1.0, 1.0], [0.0, damping, 0.0], [0.0, 0.0, 1.0]])

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        return F.expand_dims(matrix(F, one, [[1.0, 0.0, 0.0]]), axis=1)

    def stationary_factor(
        self,
        F: Namespace,
        one: Array,
        slope_variance: Array,
        damping_complement: Array,
        **values: Array,
    ) -> Array:
        deviation = F.sqrt(slope_variance / damping_complement)
        return matrix(F, one, [[0.0, 0.0, 0.0], [0.0, deviation, 0.0], [0.0, 0.0, 0.0]])
