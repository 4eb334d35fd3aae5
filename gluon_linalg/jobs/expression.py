"""Kernel expressions: their part of the job file, and the kernels they stand for."""

from typing import ClassVar, List, Optional, Tuple

from pydantic import Field, field_validator, model_serializer, model_validator

from ..blocks import kernels
from .errors import suggestion
from .section import Names, Positive, Positives, Section


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
        """The kernel, for data with the input columns `inputs`."""
        active = None
        if self.columns is not None:
            active = [inputs.index(name) for name in self.columns]
        return self.kernel_class(active_dims=active, **self.initial_values())

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
                return (name,), f"{len(values)} values for {count} columns; give 1 or {count}"
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


class Scaled(Section):
    """variance · kernel."""

    variance: Positive = Field(1.0, description="The factor of the kernel.")
    kernel: "KernelExpression" = Field(..., description="The kernel that is multiplied.")
    fixed: List[str] = Field([], description="`[variance]` when the factor is not trained.")

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, ("variance",))


class KernelExpression(Section):
    """A kernel: exactly one of these keys."""

    rbf: Optional[RBF] = Field(None, description="variance · exp(-½ r²), r in lengthscales.")
    matern12: Optional[Matern12] = Field(None, description="Rough: exp(-r).")
    matern32: Optional[Matern32] = Field(None, description="Once differentiable.")
    matern52: Optional[Matern52] = Field(None, description="Twice differentiable.")
    rational_quadratic: Optional[RationalQuadratic] = Field(
        None, description="A mixture of RBF kernels of many lengthscales."
    )
    periodic: Optional[Periodic] = Field(None, description="Repeats itself after each period.")
    linear: Optional[Linear] = Field(None, description="Straight lines through x = 0.")
    polynomial: Optional[Polynomial] = Field(None, description="Polynomials of a degree.")
    constant: Optional[Constant] = Field(None, description="A common, unknown level.")
    white: Optional[White] = Field(None, description="Independent noise that is part of the model.")
    sum: Optional[List["KernelExpression"]] = Field(
        None, min_length=1, description="The sum of a list of kernels."
    )
    product: Optional[List["KernelExpression"]] = Field(
        None, min_length=1, description="The product of a list of kernels."
    )
    scaled: Optional[Scaled] = Field(None, description="A number, learned, times a kernel.")

    @model_validator(mode="after")
    def one_kernel(self):
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) if given else "none"
            raise ValueError(
                f"expected one kernel, found {found}; combine several as sum: [...] or "
                "product: [...], and write a kernel as rbf: {}"
            )
        return self

    @model_serializer
    def only_the_given(self):
        name, value = self.chosen()
        if isinstance(value, list):
            return {name: [part.only_the_given() for part in value]}
        return {name: value.model_dump()}

    def chosen(self):
        """The name of the kernel and its section, or its list of parts."""
        for name in type(self).model_fields:
            if getattr(self, name) is not None:
                return name, getattr(self, name)
        raise AssertionError("a validated expression has one kernel")


def check_fixed(names, parameters):
    for name in names:
        if name not in parameters:
            raise ValueError(f"'{name}' is no parameter to fix; {suggestion(name, parameters)}")
    return names


def leaves(expression, path=("kernel",)):
    """All kernels with parameters of their own, as (path, section)."""
    name, section = expression.chosen()
    if isinstance(section, list):
        for index, part in enumerate(section):
            yield from leaves(part, path + (name, index))
    elif isinstance(section, Scaled):
        yield from leaves(section.kernel, path + (name, "kernel"))
    else:
        yield path + (name,), section


def build_kernel(expression, inputs, parameters, path="kernel"):
    """The kernel of an expression; its parameters are added to the dict `parameters` by path."""
    name, section = expression.chosen()
    path = f"{path}.{name}"
    if isinstance(section, list):
        combine = kernels.Sum if name == "sum" else kernels.Product
        return combine(
            *(
                build_kernel(part, inputs, parameters, f"{path}.{index}")
                for index, part in enumerate(section)
            )
        )
    if isinstance(section, Scaled):
        inner = build_kernel(section.kernel, inputs, parameters, f"{path}.kernel")
        kernel, names = kernels.Scaled(inner, section.variance), ("variance",)
    else:
        kernel, names = section.build(inputs), section.parameters
    for name in names:
        parameter = getattr(kernel, name)
        if name in section.fixed:
            parameter.grad_req = "null"
        parameters[f"{path}.{name}"] = parameter
    return kernel
