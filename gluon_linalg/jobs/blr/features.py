"""The features of a job file, and the blocks that compute them."""

from typing import ClassVar, List, Literal, Optional, Sequence

from pydantic import Field
from typing_extensions import Annotated

from ...grammar.section import OneOf, Positive, Section
from .feature_blocks import FourierFeatures, NetworkFeatures, PolynomialFeatures

Width = Annotated[int, Field(ge=1, le=10000)]


class Linear(Section):
    """1, x_1, ..., x_d"""

    def count(self, inputs: int) -> int:
        """The number of features of so many input columns."""
        return 1 + inputs

    def build(self, inputs: int) -> PolynomialFeatures:
        """A block x (B, n, d) -> phi (B, n, count)."""
        return PolynomialFeatures(1)

    def names(self, inputs: Sequence[str]) -> List[str]:
        """Of the features, one each; none where they are too many to have any."""
        return ["1", *inputs]


class Polynomial(Section):
    """1 and x_j, x_j², ..., x_j^degree of each column"""

    degree: int = Field(2, ge=1, le=100, description="The highest power.")

    def count(self, inputs: int) -> int:
        return 1 + inputs * self.degree

    def build(self, inputs: int) -> PolynomialFeatures:
        return PolynomialFeatures(self.degree)

    def names(self, inputs: Sequence[str]) -> List[str]:
        powers = range(1, self.degree + 1)
        return ["1", *(name if p == 1 else f"{name}^{p}" for p in powers for name in inputs)]


class Network(Section):
    """1 and the last layer of h ↦ activation(W h + b), starting at h = x"""

    hidden: Annotated[List[Width], Field(min_length=1)] = Field(
        [32, 16], description="The sizes of the layers; the last is the number of features but 1."
    )
    activation: Literal["tanh", "relu", "sigmoid", "softrelu"] = Field(
        "tanh", description="The function between the layers; softrelu is log(1 + exp(x))."
    )

    def count(self, inputs: int) -> int:
        return 1 + self.hidden[-1]

    def build(self, inputs: int) -> NetworkFeatures:
        return NetworkFeatures(inputs, self.hidden, self.activation)

    def names(self, inputs: Sequence[str]) -> List[str]:
        return []


class Fourier(Section):
    """1 and cos(w·x)/√F, sin(w·x)/√F for F frequencies w, drawn from the spectrum of a kernel"""

    frequencies: Annotated[int, Field(ge=1, le=2000)] = Field(
        100, description="How many are drawn, F."
    )
    kernel: Literal["rbf", "matern12", "matern32", "matern52"] = Field(
        "rbf", description="The kernel that the features have on average."
    )
    lengthscale: Positive = Field(
        1.0,
        description="The initial lengthscale of each column, after data.input_scaling; it is "
        "trained.",
    )

    def count(self, inputs: int) -> int:
        return 1 + 2 * self.frequencies

    def build(self, inputs: int) -> FourierFeatures:
        return FourierFeatures(inputs, self.frequencies, self.kernel, self.lengthscale)

    def names(self, inputs: Sequence[str]) -> List[str]:
        return []


class FeatureExpression(OneOf):
    """The features: exactly one of these keys."""

    noun: ClassVar[str] = "kind of features"
    advice: ClassVar[str] = "write it as linear: {}, polynomial: {degree: 3} or mlp: {}"

    linear: Optional[Linear] = Field(None, description="The input columns themselves.")
    polynomial: Optional[Polynomial] = Field(
        None, description="Powers of each column, without products of columns."
    )
    fourier: Optional[Fourier] = Field(
        None, description="Random waves: nearly a Gaussian process, for many rows."
    )
    mlp: Optional[Network] = Field(
        None, description="A neural network, trained with the marginal likelihood of the whole."
    )
