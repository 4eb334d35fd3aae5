"""The description of a kernel, in job files and as an argument of estimators.

{"rbf": {"lengthscale": 10}}
{"sum": [{"matern32": {}}, {"product": [{"periodic": {"period": 12}}, {"rbf": {}}]}]}
{"linear": {"columns": ["price"]}}

A new kernel is a `Leaf` here and a key of `KernelExpression`.
"""

from typing import Any, ClassVar, Dict, List, Optional, Tuple, Type

import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from ..blocks import kernels
from ..errors import suggestion
from .kernel_inputs import InputNames, SeenColumns
from .section import Columns, Fixable, OneOf, Positive, Positives

Period = Annotated[
    Optional[Positives],
    Field(
        description="The period in the unit of x; one, or one per column; null for one per column, "
        "at first that of its wave which fits the target best."
    ),
]


class Leaf(Fixable):
    """A kernel with parameters of its own; those that are null start at a typical size."""

    kernel_class: ClassVar[Type[kernels.Kernel]]
    # The fields with numbers that are never trained.
    settings: ClassVar[Tuple[str, ...]] = ()
    is_stationary: ClassVar[bool] = True

    variance: Optional[Positive] = Field(
        None,
        description="The kernel's value where its inputs coincide; null for the mean square of the "
        "target, or in a product for 1 in all kernels but one.",
    )
    columns: Optional[Columns] = Field(
        None, description="The input columns that the kernel sees; null for all."
    )
    fixed: List[str] = Field([], description="The parameters of this kernel that are not trained.")

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return cls.parameters()

    @classmethod
    def parameters(cls) -> Tuple[str, ...]:
        """The fields that are trained unless they are fixed."""
        others = ("columns", "fixed", *cls.settings)
        return tuple(name for name in cls.model_fields if name not in others)

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        """The size of each parameter for a target with a mean square of 1, by its name."""
        return {"variance": 1.0}

    def given(self, name: str, columns: SeenColumns) -> Any:
        """The initial value that the description has; of several, one for each column."""
        value, widths = getattr(self, name), columns.widths
        if isinstance(value, list) and 1 < len(value) == len(widths):
            return np.repeat(value, widths).tolist()
        return value

    def build(self, columns: SeenColumns) -> kernels.Kernel:
        """The kernel; its parameters have shapes, but no initial values yet."""
        values = {name: getattr(self, name) for name in self.settings}
        for name, typical in self.typical(columns).items():
            given = self.given(name, columns)
            values[name] = np.ones(np.shape(typical if given is None else given))
        return self.kernel_class(active_dims=columns.active_dims, **values)

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        """What does not fit to the inputs, as (keys, message), or None."""
        for index, name in enumerate(self.columns or ()):
            if name not in inputs:
                advice = suggestion(name, inputs)
                return ("columns", index), f"'{name}' is not one of {inputs.noun}; {advice}"
        count = inputs.most_values(self.columns)
        for name in self.parameters():
            values = getattr(self, name)
            if isinstance(values, list) and len(values) not in (1, count):
                either = "1" if count in (1, None) else f"1 or {count}"
                columns = (
                    "as many columns as the data have" if count is None else f"{count} columns"
                )
                return (name,), f"{len(values)} values for {columns}; give {either}"
        return None


class RBF(Leaf):
    """variance · exp(-½ r²), with r the distance in lengthscales."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.RBF

    lengthscale: Optional[Positives] = Field(
        None,
        description="The distance in x over which values are alike; one, or one per column; null "
        "for one per column, at first in proportion to its standard deviation.",
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 1.0, "lengthscale": columns.spread}


class Matern12(RBF):
    """variance · exp(-r)."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Matern12


class Matern32(RBF):
    """variance · (1 + √3 r) exp(-√3 r)."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Matern32


class Matern52(RBF):
    """variance · (1 + √5 r + 5/3 r²) exp(-√5 r)."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Matern52


class RationalQuadratic(RBF):
    """variance · (1 + r² / (2 alpha))^(-alpha)."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.RationalQuadratic

    alpha: Positive = Field(
        1.0, description="How alike the mixed lengthscales are; the kernel nears RBF as it grows."
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {**super().typical(columns), "alpha": 1.0}


class Periodic(RBF):
    """variance · exp(-2 sin²(π (x - z) / period) / lengthscale²)."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Periodic

    lengthscale: Positives = Field(
        [1.0], description="The smoothness within a period, without unit; one, or one per column."
    )
    period: Period = None

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 1.0, "lengthscale": 1.0, "period": _period(self, columns)}


class Cosine(Leaf):
    """variance · cos(2π Σ (x - z) / period)."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Cosine

    period: Period = None

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 1.0, "period": _period(self, columns)}


class Linear(Leaf):
    """Σ variance x z over the columns."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Linear
    is_stationary: ClassVar[bool] = False

    variance: Optional[Positives] = Field(  # type: ignore[assignment]
        None,
        description="The prior variance of the slope; one, or one per column; null for one per "
        "column, at first the mean square of the target over that of the column.",
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        squares = columns.mean_squares
        return {"variance": 1.0 / (squares * len(squares))}


class Polynomial(Leaf):
    """variance · (Σ x z / lengthscale² + offset)^degree."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Polynomial
    settings: ClassVar[Tuple[str, ...]] = ("degree",)
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

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        squares = columns.mean_squares
        variance = (len(squares) + self.offset) ** -float(self.degree)
        return {"variance": variance, "lengthscale": np.sqrt(squares), "offset": 1.0}


class Constant(Leaf):
    """variance, for every pair of inputs."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.Constant

    variance: Optional[Positive] = Field(
        None,
        description="The prior variance of the common level; null for the mean square of the "
        "target.",
    )


class White(Leaf):
    """variance where a row meets itself, 0 elsewhere."""

    kernel_class: ClassVar[Type[kernels.Kernel]] = kernels.White

    variance: Optional[Positive] = Field(
        None,
        description="The variance of the independent part; null for a tenth of the mean square of "
        "the target.",
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 0.1}


class Scaled(Fixable):
    """variance · kernel."""

    variance: Optional[Positive] = Field(
        None, description="The factor of the kernel; null for the mean square of the target."
    )
    kernel: "KernelExpression" = Field(..., description="The kernel that is multiplied.")
    fixed: List[str] = Field([], description="`[variance]` when the factor is not trained.")

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("variance",)


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
    cosine: Optional[Cosine] = Field(None, description="Waves of one frequency.")
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


# It names a class that came later: pydantic 2.2 writes it as {} unless it is built anew.
Scaled.model_rebuild()


def _period(section, columns):
    """Its size; the search for the best wave takes a while."""
    return columns.periods() if section.period is None else columns.spread
