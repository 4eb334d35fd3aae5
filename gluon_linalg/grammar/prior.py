"""The description of a prior distribution of a parameter."""

from typing import ClassVar, Optional

from pydantic import Field

from ..blocks import priors
from .section import Number, OneOf, Positive, Section


class Normal(Section):
    """N(mean, deviation²)"""

    mean: Number = Field(0.0, description="The mean.")
    deviation: Positive = Field(1.0, description="The standard deviation.")


class LogNormal(Section):
    """The logarithm is normal"""

    location: Number = Field(0.0, description="The mean of the logarithm.")
    scale: Positive = Field(1.0, description="The standard deviation of the logarithm.")


class Gamma(Section):
    """Of mean shape/rate"""

    shape: Positive = Field(..., description="How narrow.")
    rate: Positive = Field(..., description="One over the scale.")


class InverseGamma(Section):
    """Of one over the parameter it is a gamma distribution"""

    shape: Positive = Field(..., description="How narrow.")
    scale: Positive = Field(..., description="The scale.")


class HalfNormal(Section):
    """The absolute value of a normal number"""

    scale: Positive = Field(1.0, description="Its standard deviation.")


class HalfCauchy(Section):
    """The absolute value of a Cauchy number"""

    scale: Positive = Field(1.0, description="Its median.")


class PriorExpression(OneOf):
    """A prior: exactly one of these keys."""

    noun: ClassVar[str] = "prior"
    advice: ClassVar[str] = "write it as log_normal: {location: 0, scale: 1}"

    log_normal: Optional[LogNormal] = Field(None, description="Around exp(location).")
    gamma: Optional[Gamma] = Field(None, description="Around shape/rate.")
    inverse_gamma: Optional[InverseGamma] = Field(None, description="Away from 0.")
    half_normal: Optional[HalfNormal] = Field(None, description="Not far above 0.")
    half_cauchy: Optional[HalfCauchy] = Field(None, description="Near 0, or far above it.")
    normal: Optional[Normal] = Field(None, description="Around the mean.")

    def build(self) -> priors.Prior:
        """The prior of the block."""
        name, section = self.chosen()
        cls = getattr(priors, "".join(word.title() for word in name.split("_")))
        found: priors.Prior = cls(**section.model_dump())
        return found
