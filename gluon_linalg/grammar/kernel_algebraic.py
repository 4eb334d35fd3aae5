"""Descriptions of kernels of inner products, of constants and of labels."""

from typing import Any, ClassVar, Dict, Optional, Tuple

import numpy as np
from pydantic import Field

from ..blocks import kernels
from .kernel_inputs import InputNames, SeenColumns
from .kernel_leaf import Leaf
from .section import Positive, Positives

# J(0)/π of each order of the arc-cosine kernel.
AT_ZERO = (1.0, 1.0, 3.0)


class Linear(Leaf):
    """Σ variance x z over the columns."""

    meaning = "Straight lines through x = 0."
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

    meaning = "Polynomials of a degree."
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

    meaning = "A common, unknown level."

    variance: Optional[Positive] = Field(
        None,
        description="The prior variance of the common level; null for the mean square of the "
        "target.",
    )


class White(Leaf):
    """variance where a row meets itself, 0 elsewhere."""

    meaning = "Independent noise that is part of the model."

    variance: Optional[Positive] = Field(
        None,
        description="The variance of the independent part; null for a tenth of the mean square of "
        "the target.",
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 0.1}


class ArcCosine(Leaf):
    """variance/π · (u(x, x) u(z, z))^(order/2) J(θ), u(x, z) = Σ weight_variance x z + offset."""

    meaning = "A wide neural network."
    settings: ClassVar[Tuple[str, ...]] = ("order",)
    is_stationary: ClassVar[bool] = False

    variance: Optional[Positive] = Field(
        None,
        description="The factor of the kernel; null for one that makes it the mean square of the "
        "target at a typical x.",
    )
    order: int = Field(
        1, ge=0, le=2, description="The units of the wide layer: 0 steps, 1 ramps, 2 squared ramps."
    )
    weight_variance: Optional[Positives] = Field(
        None,
        description="The prior variance of the weights of x; one, or one per column; null for one "
        "per column, at first 1 over its mean square.",
    )
    offset: Positive = Field(1.0, description="The prior variance of the constant in each unit.")

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        squares = columns.mean_squares
        size = AT_ZERO[self.order] * (len(squares) + self.offset) ** float(self.order)
        return {"variance": 1.0 / size, "weight_variance": 1.0 / squares, "offset": 1.0}


class Categorical(Leaf):
    """B[x, z] of labels x and z, B = factor factorᵀ + diag(variance)."""

    meaning = "Of labels, any two alike or not."
    settings: ClassVar[Tuple[str, ...]] = ("rank",)
    of_series: ClassVar[bool] = False

    variance: Optional[Positive] = Field(
        None, description="What each label has by itself; null for half."
    )
    rank: int = Field(
        1, ge=0, le=20, description="The columns of factor, which is learned; 0 for none."
    )

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("variance", "factor")

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        levels = columns.labels()
        found: Dict[str, Any] = {"variance": np.full(levels, 0.5)}
        factor = kernels.Categorical(levels, self.rank).factor
        if factor is not None:
            found["factor"] = factor.value()
        return found

    def given(self, name: str, columns: SeenColumns) -> Any:
        return self.variance if name == "variance" else None

    def build(self, columns: SeenColumns) -> kernels.Kernel:
        levels = columns.labels()
        return kernels.Categorical(
            levels,
            self.rank,
            one_hot=len(columns.spread) > 1,
            active_dims=columns.active_dims,
        )

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        found = super().problem(inputs)
        if found is None and inputs.most_values(self.columns) != 1:
            return (), "labels are one column: name it in columns"
        return found
