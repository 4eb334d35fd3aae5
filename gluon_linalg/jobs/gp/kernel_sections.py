"""The kernels of a job file that have parameters of their own."""

from typing import ClassVar, List, Optional, Tuple

from pydantic import Field, field_validator

from ...blocks import kernels
from ..errors import suggestion
from ..section import Names, Positive, Positives, Section, check_fixed


class Leaf(Section):
    """A kernel with parameters of its own."""

    kernel_class: ClassVar = None
    # The learnable ones among the fields.
    parameters: ClassVar[Tuple[str, ...]] = ("variance",)
    is_stationary: ClassVar[bool] = True

    variance: Positive = Field(1.0, description="The kernel's value where its inputs coincide.")
    columns: Optional[Names] = Field(
        None, description="The input columns that the kernel sees; null for all."
    )
    fixed: List[str] = Field([], description="The parameters of this kernel that are not trained.")

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, cls.parameters)

    def build(self, inputs):
        """The kernel, for data with the input columns `inputs`, where a name may come again."""
        names = self.columns or list(dict.fromkeys(inputs))
        places = [[i for i, own in enumerate(inputs) if own == name] for name in names]
        values = self.initial_values()
        for key, value in values.items():
            if isinstance(value, list) and 1 < len(value) == len(names):
                values[key] = [v for v, own in zip(value, places) for _ in own]
        active = None if self.columns is None else sum(places, [])
        return self.kernel_class(active_dims=active, **values)

    def initial_values(self):
        values = self.model_dump(exclude={"columns", "fixed"})
        return {name: value for name, value in values.items() if value is not None}

    def problem(self, inputs):
        """What does not fit to the input columns, as (keys, message), or None."""
        for index, name in enumerate(self.columns or ()):
            if name not in inputs:
                advice = suggestion(name, inputs)
                return ("columns", index), f"'{name}' is not one of data.inputs; {advice}"
        count = len(self.columns or inputs)
        for name in self.parameters:
            values = getattr(self, name)
            if isinstance(values, list) and len(values) not in (1, count):
                either = "1" if count == 1 else f"1 or {count}"
                return (name,), f"{len(values)} values for {count} columns; give {either}"
        return None


class RBF(Leaf):
    """variance · exp(-½ r²), with r the distance in lengthscales."""

    kernel_class: ClassVar = kernels.RBF
    parameters: ClassVar[Tuple[str, ...]] = ("variance", "lengthscale")

    lengthscale: Positives = Field(
        [1.0], description="The distance in x over which values are alike; one, or one per column."
    )


class Matern12(RBF):
    """variance · exp(-r)."""

    kernel_class: ClassVar = kernels.Matern12


class Matern32(RBF):
    """variance · (1 + √3 r) exp(-√3 r)."""

    kernel_class: ClassVar = kernels.Matern32


class Matern52(RBF):
    """variance · (1 + √5 r + 5/3 r²) exp(-√5 r)."""

    kernel_class: ClassVar = kernels.Matern52


class RationalQuadratic(RBF):
    """variance · (1 + r² / (2 alpha))^(-alpha)."""

    kernel_class: ClassVar = kernels.RationalQuadratic
    parameters: ClassVar[Tuple[str, ...]] = ("variance", "lengthscale", "alpha")

    alpha: Positive = Field(
        1.0, description="How alike the mixed lengthscales are; the kernel nears RBF as it grows."
    )


class Periodic(RBF):
    """variance · exp(-2 sin²(π (x - z) / period) / lengthscale²)."""

    kernel_class: ClassVar = kernels.Periodic
    parameters: ClassVar[Tuple[str, ...]] = ("variance", "lengthscale", "period")

    lengthscale: Positives = Field(
        [1.0], description="The smoothness within a period, without unit; one, or one per column."
    )
    period: Positives = Field(
        [1.0], description="The period in the unit of x; one, or one per column."
    )


class Linear(Leaf):
    """Σ variance x z over the columns."""

    kernel_class: ClassVar = kernels.Linear
    is_stationary: ClassVar[bool] = False

    variance: Positives = Field(
        [1.0], description="The prior variance of the slope; one, or one per column."
    )


class Polynomial(Leaf):
    """variance · (Σ x z / lengthscale² + offset)^degree."""

    kernel_class: ClassVar = kernels.Polynomial
    parameters: ClassVar[Tuple[str, ...]] = ("variance", "lengthscale", "offset")
    is_stationary: ClassVar[bool] = False

    variance: Positive = Field(1.0, description="The factor of the power.")
    degree: int = Field(2, ge=1, le=20, description="The power; it is not trained.")
    lengthscale: Positives = Field([1.0], description="The unit of x; one, or one per column.")
    offset: Positive = Field(1.0, description="The constant inside the power.")


class Constant(Leaf):
    """variance, for every pair of inputs."""

    kernel_class: ClassVar = kernels.Constant

    variance: Positive = Field(1.0, description="The prior variance of the common level.")


class White(Leaf):
    """variance where a row meets itself, 0 elsewhere."""

    kernel_class: ClassVar = kernels.White

    variance: Positive = Field(1.0, description="The variance of the independent part.")
