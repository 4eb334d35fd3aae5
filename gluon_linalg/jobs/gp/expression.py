"""Kernel expressions: their part of the job file, and the kernels they stand for."""

from typing import ClassVar, List, Optional

from pydantic import Field, field_validator

from ...blocks import kernels
from ..section import OneOf, Positive, Section, check_fixed
from .kernel_sections import (
    RBF,
    Constant,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
    RationalQuadratic,
    White,
)


class Scaled(Section):
    """variance · kernel."""

    variance: Positive = Field(1.0, description="The factor of the kernel.")
    kernel: "KernelExpression" = Field(..., description="The kernel that is multiplied.")
    fixed: List[str] = Field([], description="`[variance]` when the factor is not trained.")

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, ("variance",))


class KernelExpression(OneOf):
    """A kernel: exactly one of these keys."""

    noun: ClassVar[str] = "kernel"
    advice: ClassVar[str] = (
        "combine several as sum: [...] or product: [...], and write a kernel as rbf: {}"
    )

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
