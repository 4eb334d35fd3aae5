"""Kernel expressions: their part of the job file, and the kernels they stand for."""

from collections import Counter
from typing import ClassVar, List, Optional

from pydantic import Field, field_validator

from ...blocks import kernels
from ...grammar.section import OneOf, Positive, Section, check_fixed
from ..regression.learned import learn
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

# The initial lengthscale of a kernel over that of the one before of the same columns.
FINER = 0.25


class Scaled(Section):
    """variance · kernel."""

    variance: Optional[Positive] = Field(
        None, description="The factor of the kernel; null for the mean square of the target."
    )
    kernel: "KernelExpression" = Field(..., description="The kernel that is multiplied.")
    fixed: List[str] = Field([], description="`[variance]` when the factor is not trained.")

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, ("variance",))

    def given(self, name, inputs):
        """The initial value of the job file, as of a kernel with parameters of its own."""
        return getattr(self, name)


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


class KernelBuilder:
    """Kernels for `Inputs`, and their parameters: `learned`, by path in the job file.

    square: the mean square of the target, in units of which the kernel computes.
    """

    def __init__(self, inputs, square):
        self.inputs, self.square = inputs, square
        self.learned = {}
        self._lengthscales = Counter()

    def build(self, expression, path="kernel", has_units=True):
        """The kernel of an expression. has_units: whether its variance is one of the target."""
        name, section = expression.chosen()
        path = f"{path}.{name}"
        if isinstance(section, list):
            combine = kernels.Sum if name == "sum" else kernels.Product
            have = [has_units] * len(section)
            if name == "product" and has_units:
                have = [part is _sized(section) for part in section]
            return combine(
                *(
                    self.build(part, f"{path}.{index}", has)
                    for index, (part, has) in enumerate(zip(section, have))
                )
            )
        if isinstance(section, Scaled):
            kernel = kernels.Scaled(self.build(section.kernel, f"{path}.kernel", False))
            typical = {"variance": 1.0}
        else:
            kernel, typical = section.build(self.inputs), section.typical(self.inputs)
            self._spread_out(section, typical)
        for name, size in typical.items():
            self.learned[f"{path}.{name}"] = learn(
                getattr(kernel, name),
                section.given(name, self.inputs),
                size,
                self.square if has_units and name == "variance" else 1.0,
                name in section.fixed,
            )
        return kernel

    def _spread_out(self, section, typical):
        """Kernels of the same columns begin at lengths of their own, or they would never part."""
        if isinstance(section, Periodic) or getattr(section, "lengthscale", 1.0) is not None:
            return
        columns = tuple(section.columns or self.inputs.names)
        typical["lengthscale"] = typical["lengthscale"] * FINER ** self._lengthscales[columns]
        self._lengthscales[columns] += 1


def _sized(parts):
    """The factor of a product whose variance is that of the target; others have mere numbers.

    One with a variance that is given and trained, or else that is trained, or the first.
    """
    for is_known in (lambda section: section.variance is not None, lambda section: True):
        for part in parts:
            for section in _with_variance(part):
                if "variance" not in section.fixed and is_known(section):
                    return part
    return parts[0]


def _with_variance(expression):
    """The sections of an expression that have a variance."""
    _, section = expression.chosen()
    parts = section if isinstance(section, list) else []
    if isinstance(section, Scaled):
        parts = [section.kernel]
    found = [] if isinstance(section, list) else [section]
    return found + [inner for part in parts for inner in _with_variance(part)]
