"""The description of a kernel, in job files and as an argument of estimators.

{"rbf": {"lengthscale": 10}}
{"sum": [{"matern32": {}}, {"product": [{"periodic": {"period": 12}}, {"rbf": {}}]}]}
{"linear": {"columns": ["price"]}}

A new kernel is a `Leaf` in `kernel_stationary` or `kernel_algebraic`; one around other kernels is a
`Wrapper` here and a key of `KernelExpression`.
"""

from types import ModuleType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
    Type,
)

from pydantic import Field, create_model

from ..blocks import kernels
from ..errors import suggestion
from . import kernel_algebraic, kernel_stationary
from .kernel_inputs import FEATURES, FeatureInputs, InputNames, KernelInputs
from .kernel_leaf import NOT_OF_SERIES, Leaf
from .network import Activation, Hidden, build_network
from .section import Column, Columns, Fixable, Number, OneOf, Positive

__all__ = ["ChangePoint", "Deep", "KernelExpression", "Leaf", "Scaled", "Wrapper"]


class Wrapper(Fixable):
    """A kernel around others, which the keys `parts` have."""

    parts: ClassVar[Tuple[str, ...]] = ("kernel",)

    fixed: List[str] = Field([], description="The parameters that are not trained.")

    def typical(self, inputs: KernelInputs) -> Dict[str, Any]:
        """The size of each of its own parameters, by its name."""
        return {}

    def offset(self, name: str, inputs: KernelInputs) -> float:
        """What a parameter in units of the table has that the model does without."""
        return 0.0

    def build(self, built: Sequence[kernels.Kernel], inputs: KernelInputs) -> kernels.Kernel:
        """The kernel around those that were built of its parts."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build")

    def inner_names(self, inputs: InputNames) -> InputNames:
        """What its parts see."""
        return inputs

    def inner_inputs(self, inputs: KernelInputs) -> KernelInputs:
        """What its parts see, with sizes."""
        return inputs

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        """What does not fit to the inputs, beside what does not fit to its parts."""
        return None


class Scaled(Wrapper):
    """variance · kernel."""

    variance: Optional[Positive] = Field(
        None, description="The factor of the kernel; null for the mean square of the target."
    )
    kernel: "KernelExpression" = Field(..., description="The kernel that is multiplied.")
    fixed: List[str] = Field([], description="`[variance]` when the factor is not trained.")

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("variance",)

    def typical(self, inputs: KernelInputs) -> Dict[str, Any]:
        return {"variance": 1.0}

    def build(self, built: Sequence[kernels.Kernel], inputs: KernelInputs) -> kernels.Kernel:
        return kernels.Scaled(built[0])


class ChangePoint(Wrapper):
    """(1 - s(x)) before (1 - s(z)) + s(x) after s(z), s(x) = 1/(1 + exp((location - x)/width))."""

    parts: ClassVar[Tuple[str, ...]] = ("before", "after")

    before: "KernelExpression" = Field(..., description="The kernel far below the location.")
    after: "KernelExpression" = Field(..., description="The kernel far above it.")
    column: Optional[Column] = Field(
        None, description="The input column in which the change is; null for the first."
    )
    location: Optional[Number] = Field(
        None, description="Where the change is, in the unit of the column; null for its middle."
    )
    width: Optional[Positive] = Field(
        None,
        description="How gradual the change is, in the unit of the column; null for a tenth of "
        "its standard deviation.",
    )
    fixed: List[str] = Field([], description="Of location and width those that are not trained.")

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("location", "width")

    def typical(self, inputs: KernelInputs) -> Dict[str, Any]:
        seen = inputs.of(None if self.column is None else [self.column])
        return {"location": seen.centre[:1], "width": 0.1 * seen.spread[:1]}

    def offset(self, name: str, inputs: KernelInputs) -> float:
        seen = inputs.of(None if self.column is None else [self.column])
        return float(seen.offset[0]) if name == "location" else 0.0

    def build(self, built: Sequence[kernels.Kernel], inputs: KernelInputs) -> kernels.Kernel:
        column = 0 if self.column is None else inputs.of([self.column]).active_dims[0]
        before, after = built
        return kernels.ChangePoint(before, after, column=column)

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        if not inputs.of_table:
            return (), NOT_OF_SERIES
        if self.column is not None and self.column not in inputs:
            advice = suggestion(self.column, inputs)
            return ("column",), f"'{self.column}' is not one of {inputs.noun}; {advice}"
        return None


class Deep(Wrapper):
    """kernel(g(x), g(z)) with g the last layer of h ↦ activation(W h + b), starting at h = x."""

    kernel: "KernelExpression" = Field(
        ..., description="The kernel of what the network gives, all of whose values it sees."
    )
    columns: Optional[Columns] = Field(
        None, description="The input columns that the network sees; null for all."
    )
    hidden: Hidden = Field(
        [32, 2], description="The sizes of the layers; the last is the number of values."
    )
    activation: Activation = Field("tanh", description="The function after each layer.")
    fixed: List[str] = Field([], description="Empty: the network is trained.")

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ()

    def build(self, built: Sequence[kernels.Kernel], inputs: KernelInputs) -> kernels.Kernel:
        columns = inputs.of(self.columns)
        network = build_network(columns, self.hidden, self.activation)
        return kernels.Deep(network, built[0], active_dims=columns.active_dims)

    def inner_names(self, inputs: InputNames) -> InputNames:
        return FEATURES

    def inner_inputs(self, inputs: KernelInputs) -> KernelInputs:
        return FeatureInputs(self.hidden[-1])

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        if not inputs.of_table:
            return (), NOT_OF_SERIES
        for index, name in enumerate(self.columns or ()):
            if name not in inputs:
                advice = suggestion(name, inputs)
                return ("columns", index), f"'{name}' is not one of {inputs.noun}; {advice}"
        return None


def _leaves(module: ModuleType) -> List[Type[Leaf]]:
    """Those that a module defines, in its order."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return [c for c in classes if issubclass(c, Leaf) and c.__module__ == module.__name__]


if TYPE_CHECKING:
    _Single = OneOf
else:
    _Single = create_model(
        "_Single",
        __base__=OneOf,
        __module__=__name__,
        **{
            leaf.key(): (Optional[leaf], Field(None, description=leaf.meaning))
            for leaf in (*_leaves(kernel_stationary), *_leaves(kernel_algebraic))
        },
    )


class KernelExpression(_Single):
    """A kernel: exactly one of these keys."""

    noun: ClassVar[str] = "kernel"
    advice: ClassVar[str] = (
        "combine several as sum: [...] or product: [...], and write a kernel as rbf: {}"
    )

    sum: Optional[List["KernelExpression"]] = Field(
        None, min_length=1, description="The sum of a list of kernels."
    )
    product: Optional[List["KernelExpression"]] = Field(
        None, min_length=1, description="The product of a list of kernels."
    )
    scaled: Optional[Scaled] = Field(None, description="A number, learned, times a kernel.")
    change_point: Optional[ChangePoint] = Field(
        None, description="One kernel before a point, another after it."
    )
    deep: Optional[Deep] = Field(None, description="A kernel of what a network makes of x.")


# They name a class that came later: pydantic 2.2 writes it as {} unless it is built anew.
for section in (Scaled, ChangePoint, Deep):
    section.model_rebuild()
