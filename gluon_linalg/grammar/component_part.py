"""What the descriptions of all structural components share: initial values, priors, the block."""

from typing import ClassVar, Dict, List, Literal, Optional, Sequence, Tuple, Type, Union

import mxnet as mx
import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    model_validator,
)
from typing_extensions import Annotated, Self

from ..blocks.structural import Component
from .json_schema import ShownAs
from .section import Fixable, Name, Number, OneOrMore

# More would take minutes for a likelihood.
MOST_STATES = 500
# The smallest variance of a component is above this (see blocks/structural/bounded.py).
SMALLEST_VARIANCE = 1e-300


def _refuse_tiny(value):
    if not (value == 0 or value > SMALLEST_VARIANCE):
        raise ValueError(f"expected 0 or a number above {SMALLEST_VARIANCE:g}")
    return value


def _read_prior(value):
    if value is None or (isinstance(value, str) and value in ("diffuse", "stationary")):
        return value
    try:
        pair = [np.asarray(part, dtype="float64").reshape(-1).tolist() for part in value]
    except (TypeError, ValueError, OverflowError):
        pair = []
    if len(pair) != 2 or not all(np.isfinite(part).all() for part in pair):
        raise ValueError(
            "expected diffuse, stationary or [mean, standard deviation], each one number or a list "
            "of one for each state"
        )
    return pair


# 0 leaves the disturbance out.
Variance = Annotated[
    Number, AfterValidator(_refuse_tiny), ShownAs({"type": "number", "minimum": 0})
]
Variances = Annotated[List[Variance], Field(min_length=1), OneOrMore()]
Numbers = Annotated[List[Number], Field(min_length=1), OneOrMore()]
Orders = Annotated[
    List[Annotated[int, Field(ge=0, le=MOST_STATES)]], Field(min_length=3, max_length=3)
]
Prior = Annotated[
    Union[
        Literal["diffuse", "stationary"],
        Annotated[List[Numbers], Field(min_length=2, max_length=2)],
    ],
    BeforeValidator(_read_prior),
]


class Part(Fixable):
    """A component with its initial values.

    A subclass names its block, which is built of the fields, and the learnable ones among them.
    """

    component_class: ClassVar[Type[Component]]
    parameters: ClassVar[Tuple[str, ...]] = ()
    # Whether its level takes the mean of the target.
    is_level: ClassVar[bool] = False
    seldom: ClassVar[Tuple[str, ...]] = ("fixed", "label", "prior")

    fixed: List[str] = Field(
        [], description="The parameters of this component that are not trained."
    )
    label: Optional[Name] = Field(
        None, description="What results call the component; null for its key."
    )
    prior: Optional[Prior] = Field(
        None,
        description="What is known of the initial states: diffuse (nothing), stationary, or "
        "[mean, standard deviation], one number each or one for each state; null for stationary "
        "where there is such a distribution, else diffuse.",
    )

    # What the block is like, which knows best.
    _state_size: int = PrivateAttr(0)
    _noise_size: int = PrivateAttr(0)

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return cls.parameters

    @model_validator(mode="after")
    def values_fit_together(self) -> Self:
        for name in self.fixed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is fixed, but has no value; give it one")
        try:
            block = self.build()
        except ValueError as error:
            # The block's own words, without its name.
            raise ValueError(str(error).split(": ", 1)[-1].rstrip(".")) from None
        if block.state_size > MOST_STATES:
            raise ValueError(f"{block.state_size} states; at most {MOST_STATES} are possible")
        self._state_size, self._noise_size = block.state_size, block.noise_size
        return self

    @property
    def state_size(self) -> int:
        """The number of states."""
        return self._state_size

    @property
    def is_deterministic(self) -> bool:
        """Whether nothing disturbs the component."""
        return self._noise_size == 0

    def is_given(self, name: str) -> bool:
        """Whether a learnable parameter begins at the value in the description.

        That of a period is but a hint, unless it is fixed.
        """
        if name in self.fixed:
            return True
        return (
            name != "period" and name in self.model_fields_set and getattr(self, name) is not None
        )

    def within(self, steps: int) -> Self:
        """The same for series of so many steps, which bound what the description leaves open."""
        return self

    def build(
        self,
        label: Optional[str] = None,
        variance: float = 1.0,
        squares: Optional[Sequence[float]] = None,
    ) -> Component:
        """The block.

        label: what to call it where the description has no label; None for the kind of the block;
        variance: for those that are null; squares: the mean square of each column of a regression.
        """
        values = self.model_dump(exclude={"fixed", "label"})
        for name, value in values.items():
            if name.endswith("_variance") and value is None:
                values[name] = variance
        return self.component_class(label=self.label or label, **values)

    def trained(self, block: Component) -> Dict[str, mx.gluon.Parameter]:
        """The Gluon parameters of its block by the names of the description."""
        found = {name: getattr(block, name) for name in self.parameters}
        return {name: parameter for name, parameter in found.items() if parameter is not None}
