"""The components of a job file."""

from typing import ClassVar, List, Literal, Optional, Tuple

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from typing_extensions import Annotated

from ...blocks import structural
from ...grammar.section import Names, Number, Section, check_fixed

# More would take minutes for a likelihood.
MOST_STATES = 500
# The smallest variance of a component is above this (see blocks/structural/bounded.py).
SMALLEST_VARIANCE = 1e-300


def _refuse_tiny(value):
    if not (value == 0 or value > SMALLEST_VARIANCE):
        raise ValueError(f"expected 0 or a number above {SMALLEST_VARIANCE:g}")
    return value


def _as_list(value):
    return value if isinstance(value, (list, tuple)) or value is None else [value]


# 0 leaves the disturbance out.
Variance = Annotated[Number, AfterValidator(_refuse_tiny)]
Variances = Annotated[List[Variance], BeforeValidator(_as_list), Field(min_length=1)]
Numbers = Annotated[List[Number], BeforeValidator(_as_list), Field(min_length=1)]


class Part(Section):
    """A component with its initial values."""

    component_class: ClassVar = None
    # The learnable ones among the fields.
    parameters: ClassVar[Tuple[str, ...]] = ()
    # Whether its level takes the mean of the target.
    is_level: ClassVar[bool] = False

    fixed: List[str] = Field(
        [], description="The parameters of this component that are not trained."
    )

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, cls.parameters)

    @model_validator(mode="after")
    def values_fit_together(self):
        for name in self.fixed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is fixed, but has no value; give it one")
        if self.state_size() > MOST_STATES:
            raise ValueError(f"{self.state_size()} states; at most {MOST_STATES} are possible")
        try:
            self.build("trial", 1.0)
        except ValueError as error:
            # The block's own words, without its name.
            raise ValueError(str(error).split(": ", 1)[-1].rstrip(".")) from None
        return self

    def state_size(self):
        """The number of states."""
        return 2

    def build(self, label, variance, squares=None):
        """The component; `variance` stands for those that are null."""
        values = self.model_dump(exclude={"fixed"})
        for name in values:
            if name.endswith("_variance") and values[name] is None:
                values[name] = variance
        return self.component_class(label=label, **values)

    def is_deterministic(self):
        """Whether nothing disturbs the component."""
        return all(
            getattr(self, name) == 0 for name in self.parameters if name.endswith("_variance")
        )

    def trained(self, component):
        """The Gluon parameters of a component by the names of the job file."""
        found = {name: getattr(component, name) for name in self.parameters}
        return {name: parameter for name, parameter in found.items() if parameter is not None}


class Level(Part):
    """μ_{t+1} = μ_t + η_t."""

    component_class: ClassVar = structural.LocalLevel
    parameters: ClassVar[Tuple[str, ...]] = ("level_variance",)
    is_level: ClassVar[bool] = True

    level_variance: Optional[Variance] = Field(
        None, description="The variance of η, by which the level changes; 0 for a constant."
    )

    def state_size(self):
        return 1


class Trend(Part):
    """μ_{t+1} = μ_t + ν_t + η_t, ν_{t+1} = ν_t + ζ_t."""

    component_class: ClassVar = structural.LocalLinearTrend
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

    component_class: ClassVar = structural.DampedTrend
    parameters: ClassVar[Tuple[str, ...]] = ("level_variance", "slope_variance", "damping")

    damping: Number = Field(
        0.9, gt=0, lt=1, description="What is left of the slope after a step, in (0, 1)."
    )


class Seasonal(Part):
    """A pattern of `period` steps that sums to 0 and changes slowly."""

    component_class: ClassVar = structural.Seasonal
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

    def state_size(self):
        if self.form == "dummy":
            return int(self.period) - 1
        harmonics = self.harmonics or int(self.period // 2)
        return 2 * harmonics - (2 * harmonics == self.period)


class Cycle(Part):
    """c_{t+1} = damping · (c_t cos λ + c*_t sin λ) + κ_t, λ = 2π / period, c* its partner."""

    component_class: ClassVar = structural.Cycle
    parameters: ClassVar[Tuple[str, ...]] = ("period", "damping", "cycle_variance")

    period: Number = Field(..., gt=2, description="The period in steps, learned.")
    damping: Number = Field(
        0.9,
        gt=0,
        le=1,
        description="What is left of the cycle after a step, in (0, 1]; 1 is not trained.",
    )
    cycle_variance: Optional[Variance] = Field(
        None, description="The variance of κ, which keeps the cycle alive; 0 for none."
    )


class Autoregression(Part):
    """z_{t+1} = Σ φ_j z_{t+1-j} + ε_t, always stationary."""

    component_class: ClassVar = structural.AutoRegression
    parameters: ClassVar[Tuple[str, ...]] = ("coefficients", "innovation_variance")

    order: int = Field(1, ge=1, le=MOST_STATES, description="The number of coefficients.")
    coefficients: Optional[Numbers] = Field(
        None, description="The initial φ, as many as `order`; null for zeros."
    )
    innovation_variance: Optional[Variance] = Field(None, description="The variance of ε.")

    def state_size(self):
        return self.order

    def trained(self, component):
        found = {
            "coefficients": component.partial_autocorrelation,
            "innovation_variance": component.innovation_variance,
        }
        return {name: parameter for name, parameter in found.items() if parameter is not None}


class Regression(Part):
    """xᵀ β, with β constant or a random walk."""

    component_class: ClassVar = structural.Regression
    parameters: ClassVar[Tuple[str, ...]] = ("coefficient_variance",)

    columns: Optional[Names] = Field(
        None, description="The covariates with an effect; null for all of `data.covariates`."
    )
    drifting: bool = Field(False, description="Whether the coefficients change with time.")
    coefficient_variance: Optional[Variances] = Field(
        None,
        description="The variance by which drifting coefficients change; one, or one per column.",
    )

    @model_validator(mode="after")
    def only_drifting_coefficients_have_a_variance(self):
        if not self.drifting and self.coefficient_variance is not None:
            raise ValueError("coefficient_variance belongs to drifting: true; remove it")
        if 0 in (self.coefficient_variance or ()):
            raise ValueError(
                "coefficient_variance is 0; put the columns with constant coefficients into a "
                "regression of their own, without drifting: true"
            )
        return self

    def state_size(self):
        return len(self.columns or [""])

    def is_deterministic(self):
        return not self.drifting

    def build(self, label, variance, squares=None):
        """squares: the mean square of each column."""
        given = self.coefficient_variance or [None]
        count = len(squares or self.columns or given)
        given = given * count if len(given) == 1 else given
        squares = squares or [1.0] * count
        values = [
            max(variance / square, 2.0 * SMALLEST_VARIANCE) if value is None else value
            for value, square in zip(given, squares)
        ]
        return self.component_class(count, self.drifting, values, label=label)
