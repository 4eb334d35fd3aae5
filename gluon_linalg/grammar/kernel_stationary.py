"""Descriptions of stationary kernels, and of one whose lengthscale a network bends."""

from typing import Any, ClassVar, Dict, Optional, Tuple

import numpy as np
from pydantic import AfterValidator, Field
from typing_extensions import Annotated

from ..blocks import kernels
from .json_schema import ShownAs
from .kernel_inputs import InputNames, SeenColumns
from .kernel_leaf import Leaf
from .network import Activation, Hidden, build_network
from .section import Number, Positive, Positives

Period = Annotated[
    Optional[Positives],
    Field(
        description="The period in the unit of x; one, or one per column; null for one per column, "
        "at first that of its wave which fits the target best."
    ),
]


def _refuse_exponent(value):
    if not 0 < value <= 2:
        raise ValueError("expected a number above 0 and at most 2")
    return value


Exponent = Annotated[
    Number,
    AfterValidator(_refuse_exponent),
    ShownAs({"type": "number", "exclusiveMinimum": 0, "maximum": 2}),
]
# Of a mixture: how long a wave keeps its phase, in spreads of its column, and the period of its
# first component, which has hardly a wave.
PHASE, TREND = 2.0, 20.0


class RBF(Leaf):
    """variance · exp(-½ r²), with r the distance in lengthscales."""

    meaning = "variance · exp(-½ r²), r in lengthscales."

    lengthscale: Optional[Positives] = Field(
        None,
        description="The distance in x over which values are alike; one, or one per column; null "
        "for one per column, at first in proportion to its standard deviation.",
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 1.0, "lengthscale": columns.spread}


class Matern12(RBF):
    """variance · exp(-r)."""

    meaning = "Rough: exp(-r)."


class Matern32(RBF):
    """variance · (1 + √3 r) exp(-√3 r)."""

    meaning = "Once differentiable."


class Matern52(RBF):
    """variance · (1 + √5 r + 5/3 r²) exp(-√5 r)."""

    meaning = "Twice differentiable."


class Matern72(RBF):
    """variance · (1 + √7 r + 14/5 r² + 7√7/15 r³) exp(-√7 r)."""

    meaning = "Three times differentiable."


class RationalQuadratic(RBF):
    """variance · (1 + r² / (2 alpha))^(-alpha)."""

    meaning = "A mixture of RBF kernels of many lengthscales."

    alpha: Positive = Field(
        1.0, description="How alike the mixed lengthscales are; the kernel nears RBF as it grows."
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {**super().typical(columns), "alpha": 1.0}


class Periodic(RBF):
    """variance · exp(-2 sin²(π (x - z) / period) / lengthscale²)."""

    meaning = "Repeats itself after each period."

    lengthscale: Positives = Field(
        [1.0], description="The smoothness within a period, without unit; one, or one per column."
    )
    period: Period = None

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 1.0, "lengthscale": 1.0, "period": _period(self, columns)}


class Cosine(Leaf):
    """variance · cos(2π Σ (x - z) / period)."""

    meaning = "Waves of one frequency."

    period: Period = None

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {"variance": 1.0, "period": _period(self, columns)}


class PoweredExponential(RBF):
    """variance · exp(-r^exponent), with r the distance in lengthscales."""

    meaning = "exp(-r^exponent), from rough to smooth."

    exponent: Exponent = Field(
        1.0, description="How smooth: 1 is matern12; 2, which stays, an rbf."
    )

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        return {**super().typical(columns), "exponent": 1.0}


class SpectralMixture(Leaf):
    """Σ variance_q · exp(-½ (x - z)² / lengthscale_q²) cos(2π (x - z) / period_q) of one column."""

    meaning = "Waves of several frequencies, each of which loses its phase."

    components: int = Field(3, ge=1, le=50, description="How many waves q there are.")
    variance: Optional[Positives] = Field(  # type: ignore[assignment]
        None,
        description="The variance of each wave; one, or one per component; null for equal shares "
        "of the mean square of the target.",
    )
    lengthscale: Optional[Positives] = Field(
        None,
        description="The distance over which each wave keeps its phase; one, or one per component; "
        "null for a few periods.",
    )
    period: Optional[Positives] = Field(
        None,
        description="The period of each wave; one, or one per component; null for a trend, the "
        "wave that fits the target best, and its overtones.",
    )

    @classmethod
    def parameters(cls) -> Tuple[str, ...]:
        return ("variance", "lengthscale", "period")

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        spread, count = float(columns.spread[0]), self.components
        wave = spread
        if self.period is None:
            wave = float(columns.periods()[0])
        overtones = [wave / number for number in range(1, count)]
        return {
            "variance": np.full(count, 1.0 / count),
            "lengthscale": np.array([spread, *[PHASE * spread] * (count - 1)]),
            "period": np.array([TREND * spread, *overtones]),
        }

    def given(self, name: str, columns: SeenColumns) -> Any:
        value = getattr(self, name)
        return None if value is None else np.broadcast_to(value, (self.components,)).tolist()

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        for name in self.parameters():
            values = getattr(self, name)
            if values is not None and len(values) not in (1, self.components):
                return (name,), f"{len(values)} values for {self.components} components"
        if inputs.most_values(self.columns) != 1:
            return (), "a mixture sees one column: name it in columns, and multiply several"
        return super().problem(inputs) if self.columns else None


class Gibbs(RBF):
    """variance · √(2 l l'/(l² + l'²))^d exp(-r²/(l² + l'²)), l = exp(g(x)), l' = exp(g(z))."""

    meaning = "RBF with a lengthscale that a network makes of x."
    settings: ClassVar[Tuple[str, ...]] = ("hidden", "activation")
    of_series: ClassVar[bool] = False

    hidden: Hidden = Field(
        [16], description="The sizes of the layers of the network g, before its one output."
    )
    activation: Activation = Field("tanh", description="The function between its layers.")

    def build(self, columns: SeenColumns) -> kernels.Kernel:
        typical = self.typical(columns)["lengthscale"]
        shape = np.shape(
            typical if self.lengthscale is None else self.given("lengthscale", columns)
        )
        network = build_network(columns, self.hidden, self.activation, outputs=1)
        return kernels.Gibbs(network, lengthscale=np.ones(shape), active_dims=columns.active_dims)


def _period(section, columns):
    """Its size; the search for the best wave takes a while."""
    return columns.periods() if section.period is None else columns.spread
