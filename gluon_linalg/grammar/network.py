"""What descriptions say of small networks, and the block that they stand for."""

from typing import List, Literal, Optional, Sequence

from pydantic import Field
from typing_extensions import Annotated

from ..blocks.dense_network import DenseNetwork
from .kernel_inputs import SeenColumns

Width = Annotated[int, Field(ge=1, le=10000)]
Hidden = Annotated[List[Width], Field(min_length=1)]
Activation = Literal["tanh", "relu", "sigmoid", "softrelu"]


def build_network(
    columns: SeenColumns, hidden: Sequence[int], activation: str, outputs: Optional[int] = None
) -> DenseNetwork:
    """The network of the columns, each less its mean and over its standard deviation."""
    return DenseNetwork(columns.centre, columns.spread, hidden, activation, outputs)
