"""The kernels of a job file that have parameters of their own."""

from typing import ClassVar, List, Optional, Tuple

import numpy as np
from pydantic import Field, field_validator

from ...blocks import kernels
from ...grammar.section import Names, Positive, Positives, Section, check_fixed
from ..errors import suggestion


class Leaf(Section):
    """A kernel with parameters of its own; those that are null start at a typical size."""

    kernel_class: ClassVar = None
    # The learnable ones among the fields.
    parameters: ClassVar[Tuple[str, ...]] = ("variance",)
    is_stationary: ClassVar[bool] = True

    variance: Optional[Positive] = Field(
        None,
        description="The kernel's value where its inputs coincide; null for the mean square of the "
        "target, or in a product for 1 in all kernels but one.",
    )
    columns: Optional[Names] = Field(
        None, description="The input columns that the kernel sees; null for all."
    )
    fixed: List[str] = Field([], description="The parameters of this kernel that are not trained.")

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, cls.parameters)

    def build(self, inputs):
        """The kernel, for `Inputs`; its parameters have shapes, but no initial values yet."""
        active = None if self.columns is None else inputs.places(self.columns)
        values = self.model_dump(exclude={"columns", "fixed", *self.parameters})
        for name, typical in self.typical(inputs).items():
            given = self.given(name, inputs)
            values[name] = np.ones(np.shape(typical if given is None else given))
        return self.kernel_class(active_dims=active, **values)

    def given(self, name, inputs):
        """The initial value of the job file; of a column of names, one for each of its levels."""
        value = getattr(self, name)
        names = self.columns or list(dict.fromkeys(inputs.names))
        if isinstance(value, list) and 1 < len(value) == len(names):
            counts = [len(inputs.places([name])) for name in names]
            return np.repeat(value, counts).tolist()
        return value

    def typical(self, inputs):
        """The size of each parameter for a target with a mean square of 1, by its name."""
        return {"variance": 1.0}

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

    lengthscale: Optional[Positives] = Field(
        None,
        description="The distance in x over which values are alike; one, or one per column; null "
        "for one per column, at first in proportion to its standard deviation.",
    )

    def typical(self, inputs):
        return {"variance": 1.0, "lengthscale": inputs.of(self.columns).spread}


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

    def typical(self, inputs):
        return {**super().typical(inputs), "alpha": 1.0}


class Periodic(RBF):
    """variance · exp(-2 sin²(π (x - z) / period) / lengthscale²)."""

    kernel_class: ClassVar = kernels.Periodic
    parameters: ClassVar[Tuple[str, ...]] = ("variance", "lengthscale", "period")

    lengthscale: Positives = Field(
        [1.0], description="The smoothness within a period, without unit; one, or one per column."
    )
    period: Optional[Positives] = Field(
        None,
        description="The period in the unit of x; one, or one per column; null for one per column, "
        "at first that of its wave which fits the target best.",
    )

    def typical(self, inputs):
        columns = inputs.of(self.columns)
        period = columns.periods() if self.period is None else columns.spread
        return {"variance": 1.0, "lengthscale": 1.0, "period": period}


class Linear(Leaf):
    """Σ variance x z over the columns."""

    kernel_class: ClassVar = kernels.Linear
    is_stationary: ClassVar[bool] = False

    variance: Optional[Positives] = Field(
        None,
        description="The prior variance of the slope; one, or one per column; null for one per "
        "column, at first the mean square of the target over that of the column.",
    )

    def typical(self, inputs):
        squares = inputs.of(self.columns).mean_squares
        return {"variance": 1.0 / (squares * len(squares))}


class Polynomial(Leaf):
    """variance · (Σ x z / lengthscale² + offset)^degree."""

    kernel_class: ClassVar = kernels.Polynomial
    parameters: ClassVar[Tuple[str, ...]] = ("variance", "lengthscale", "offset")
    is_stationary: ClassVar[bool] = False

    variance: Optional[Positive] = Field(
        None,
        description="The factor of the power; null for one that makes the kernel the mean square "
        "of the target at a typical x.",
    )
    degree: int = Field(2, ge=1, le=20, description="The power; it is not trained.")
    lengthscale: Optional[Positives] = Field(
        None,
        description="The unit of x; one, or one per column; null for one per column, at first its "
        "root mean square.",
    )
    offset: Positive = Field(1.0, description="The constant inside the power.")

    def typical(self, inputs):
        squares = inputs.of(self.columns).mean_squares
        variance = (len(squares) + self.offset) ** -float(self.degree)
        return {"variance": variance, "lengthscale": np.sqrt(squares), "offset": 1.0}


class Constant(Leaf):
    """variance, for every pair of inputs."""

    kernel_class: ClassVar = kernels.Constant

    variance: Optional[Positive] = Field(
        None,
        description="The prior variance of the common level; null for the mean square of the "
        "target.",
    )


class White(Leaf):
    """variance where a row meets itself, 0 elsewhere."""

    kernel_class: ClassVar = kernels.White

    variance: Optional[Positive] = Field(
        None,
        description="The variance of the independent part; null for a tenth of the mean square of "
        "the target.",
    )

    def typical(self, inputs):
        return {"variance": 0.1}
