"""The components of a structural time series model, as data: in job files and in forecasting."""

from typing import Any, ClassVar, Dict, List, Literal, Optional, Sequence, Tuple, Type

import mxnet as mx
from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from ..blocks import structural
from .component_part import (
    MOST_STATES,
    SMALLEST_VARIANCE,
    Numbers,
    Orders,
    Part,
    Variance,
    Variances,
)
from .section import Columns, Number, OneOf


class Level(Part):
    """μ_{t+1} = μ_t + η_t."""

    component_class: ClassVar[Type[structural.Component]] = structural.LocalLevel
    parameters: ClassVar[Tuple[str, ...]] = ("level_variance",)
    is_level: ClassVar[bool] = True

    level_variance: Optional[Variance] = Field(
        None, description="The variance of η, by which the level changes; 0 for a constant."
    )


class Trend(Part):
    """μ_{t+1} = μ_t + ν_t + η_t, ν_{t+1} = ν_t + ζ_t."""

    component_class: ClassVar[Type[structural.Component]] = structural.LocalLinearTrend
    parameters: ClassVar[Tuple[str, ...]] = ("level_variance", "slope_variance")
    is_level: ClassVar[bool] = True

    level_variance: Optional[Variance] = Field(
        None, description="The variance of η, by which the level changes; 0 for a smooth trend."
    )
    slope_variance: Optional[Variance] = Field(
        None, description="The variance of ζ, by which the slope changes; 0 for a fixed slope."
    )


class DampedTrend(Trend):
    """μ_{t+1} = μ_t + ν_t + η_t, ν_{t+1} = damping · ν_t + ζ_t."""

    component_class: ClassVar[Type[structural.Component]] = structural.DampedTrend
    parameters: ClassVar[Tuple[str, ...]] = ("level_variance", "slope_variance", "damping")

    damping: Number = Field(
        0.9, gt=0, lt=1, description="What is left of the slope after a step, in (0, 1)."
    )


class SemilocalTrend(Trend):
    """μ_{t+1} = μ_t + D + ν_t + η_t, ν_{t+1} = damping · ν_t + ζ_t, D constant."""

    component_class: ClassVar[Type[structural.Component]] = structural.SemilocalLinearTrend
    parameters: ClassVar[Tuple[str, ...]] = ("level_variance", "slope_variance", "damping")

    damping: Number = Field(
        0.9,
        gt=0,
        lt=1,
        description="What is left after a step of how the slope differs from D, in (0, 1).",
    )


class Seasonal(Part):
    """A pattern of `period` steps that sums to 0 and changes slowly."""

    component_class: ClassVar[Type[structural.Component]] = structural.Seasonal
    parameters: ClassVar[Tuple[str, ...]] = ("seasonal_variance",)

    period: Number = Field(
        ..., ge=2, le=1e6, description="The number of steps, whole for the dummy form."
    )
    form: Literal["dummy", "trigonometric"] = Field(
        "dummy",
        description="dummy: one effect for each season; trigonometric: sines and cosines, of "
        "which few are enough for a smooth pattern.",
    )
    harmonics: Optional[int] = Field(
        None,
        ge=1,
        description="How many frequencies the trigonometric form has; null for all, period / 2.",
    )
    seasonal_variance: Optional[Variance] = Field(
        None, description="The variance by which the pattern changes; 0 for a fixed one."
    )

    @property
    def waves(self) -> List[float]:
        """The periods of its waves, the longest first."""
        count = self.harmonics or int(self.period // 2)
        return [self.period / k for k in range(1, count + 1)]


class Cycle(Part):
    """c_{t+1} = damping · (c_t cos λ + c*_t sin λ) + κ_t, λ = 2π / period, c* its partner."""

    component_class: ClassVar[Type[structural.Component]] = structural.Cycle
    parameters: ClassVar[Tuple[str, ...]] = ("period", "damping", "cycle_variance")

    period: Number = Field(..., gt=2, description="The period in steps, learned.")
    period_bounds: Optional[List[Number]] = Field(
        None,
        min_length=2,
        max_length=2,
        description="The least and the largest period; null for 2 and the number of steps of the "
        "series.",
    )
    damping: Number = Field(
        0.9,
        gt=0,
        le=1,
        description="What is left of the cycle after a step, in (0, 1]; 1 is not trained.",
    )
    cycle_variance: Optional[Variance] = Field(
        None, description="The variance of κ, which keeps the cycle alive; 0 for none."
    )

    def within(self, steps: int) -> Self:
        if self.period_bounds is not None:
            return self
        return self.model_copy(update={"period_bounds": [2.0, max(steps, 2.0 * self.period)]})

    @field_validator("damping", mode="before")
    @classmethod
    def none_is_no_damping(cls, value: Any) -> Any:
        return 1 if value is None else value


class Autoregression(Part):
    """z_{t+1} = Σ φ_j z_{t+1-j} + ε_t, always stationary."""

    component_class: ClassVar[Type[structural.Component]] = structural.AutoRegression
    parameters: ClassVar[Tuple[str, ...]] = ("coefficients", "innovation_variance")

    order: int = Field(1, ge=1, le=MOST_STATES, description="The number of coefficients.")
    coefficients: Optional[Numbers] = Field(
        None, description="The initial φ, as many as `order`; null for zeros."
    )
    innovation_variance: Optional[Variance] = Field(None, description="The variance of ε.")

    def trained(self, block: structural.AutoRegression) -> Dict[str, mx.gluon.Parameter]:
        found = {"coefficients": block.partial_autocorrelation}
        if block.innovation_variance is not None:
            found["innovation_variance"] = block.innovation_variance
        return found


class Arima(Part):
    """(1 - L)^d (1 - L^s)^D y is an autoregressive moving average, with seasonal factors."""

    component_class: ClassVar[Type[structural.Component]] = structural.ARIMA
    parameters: ClassVar[Tuple[str, ...]] = (
        "ar",
        "ma",
        "seasonal_ar",
        "seasonal_ma",
        "innovation_variance",
    )

    order: Orders = Field(
        [0, 0, 0],
        description="(p, d, q): lags of the autoregression, differences, lags of the moving "
        "average.",
    )
    seasonal_order: Orders = Field(
        [0, 0, 0], description="(P, D, Q), the same in steps of `period`."
    )
    period: Optional[int] = Field(None, ge=2, le=1000, description="The steps of a season.")
    ar: Optional[Numbers] = Field(None, description="The initial φ, p numbers; null for zeros.")
    ma: Optional[Numbers] = Field(None, description="The initial θ, q numbers; null for zeros.")
    seasonal_ar: Optional[Numbers] = Field(None, description="The initial Φ, P numbers.")
    seasonal_ma: Optional[Numbers] = Field(None, description="The initial Θ, Q numbers.")
    intercept: bool = Field(
        False,
        description="Whether what the differences leave has a mean other than 0, the drift where "
        "there is one difference.",
    )
    innovation_variance: Optional[Variance] = Field(
        None, description="The variance of the innovations, above 0."
    )

    @property
    def is_level(self) -> bool:  # type: ignore[override]
        """Whether it has a level of its own."""
        return self.order[1] + self.seasonal_order[1] > 0 or self.intercept

    @property
    def has_noise(self) -> bool:
        """Whether noise on top makes another model of the same kind, and cannot be told apart."""
        period = self.period or 1
        (p, d, q), (seasonal_p, seasonal_d, seasonal_q) = self.order, self.seasonal_order
        return q + period * seasonal_q >= p + d + period * (seasonal_p + seasonal_d)


class Regression(Part):
    """xᵀ β, with β constant or a random walk."""

    component_class: ClassVar[Type[structural.Component]] = structural.Regression
    parameters: ClassVar[Tuple[str, ...]] = ("coefficient_variance",)

    columns: Optional[Columns] = Field(
        None,
        description="The covariates with an effect, of `data.covariates`, in forecasting "
        "feat_dynamic_real_0, feat_dynamic_real_1, ...; null for all of them.",
    )
    drifting: bool = Field(False, description="Whether the coefficients change with time.")
    coefficient_variance: Optional[Variances] = Field(
        None,
        description="The variance by which drifting coefficients change; one, or one per column.",
    )

    @model_validator(mode="after")
    def only_drifting_coefficients_have_a_variance(self) -> Self:
        if not self.drifting and self.coefficient_variance is not None:
            raise ValueError("coefficient_variance belongs to drifting: true; remove it")
        if 0 in (self.coefficient_variance or ()):
            raise ValueError(
                "coefficient_variance is 0; put the columns with constant coefficients into a "
                "regression of their own, without drifting: true"
            )
        return self

    def build(
        self,
        label: Optional[str] = None,
        variance: float = 1.0,
        squares: Optional[Sequence[float]] = None,
    ) -> structural.Regression:
        given: List[Any] = self.coefficient_variance or [None]
        count = len(squares or self.columns or self._values_per_column())
        given = given * count if len(given) == 1 else given
        squares = squares or [1.0] * count
        values = [
            max(variance / square, 2.0 * SMALLEST_VARIANCE) if value is None else value
            for value, square in zip(given, squares)
        ]
        return structural.Regression(
            count, self.drifting, values, self.prior, label=self.label or label
        )

    def count_problem(self, columns: int) -> Optional[Tuple[Tuple[str, ...], str]]:
        """What does not fit so many columns, as (keys, message), or None."""
        expected = "1" if columns == 1 else f"1 or {columns}"
        values = {"coefficient_variance": [self.coefficient_variance or []]}
        if isinstance(self.prior, list):
            values["prior"] = self.prior
        for name, lists in values.items():
            for given in map(len, lists):
                if given not in (0, 1, columns):
                    return (name,), f"{given} values for {columns} columns; give {expected}"
        return None

    def _values_per_column(self):
        """The longest list with a value for each column: where columns are not named."""
        known = self.prior if isinstance(self.prior, list) else []
        return max([self.coefficient_variance or [None], *known], key=len)


class Component(OneOf):
    """A component: exactly one of these keys."""

    noun: ClassVar[str] = "component"
    advice: ClassVar[str] = "write each as an item of the list: - level: {}"

    level: Optional[Level] = Field(None, description="A random walk.")
    trend: Optional[Trend] = Field(None, description="A level with a slope.")
    damped_trend: Optional[DampedTrend] = Field(
        None, description="A level with a slope that dies out."
    )
    semilocal_trend: Optional[SemilocalTrend] = Field(
        None,
        description="A level with a slope that returns to a long-run slope, for far forecasts.",
    )
    seasonal: Optional[Seasonal] = Field(None, description="A pattern of known period.")
    cycle: Optional[Cycle] = Field(None, description="A damped wave of unknown period.")
    ar: Optional[Autoregression] = Field(None, description="A stationary autoregression.")
    arima: Optional[Arima] = Field(
        None, description="A seasonal ARIMA process; with noise_variance: 0 the whole model."
    )
    regression: Optional[Regression] = Field(None, description="The effect of covariates.")
