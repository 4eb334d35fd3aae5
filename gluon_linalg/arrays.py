"""The types of what graphs are made of."""

from typing import Any, Union

import mxnet as mx

# What goes through a `hybrid_forward`, and the module of its operators, `mx.nd` or `mx.sym`.
Array = Union[mx.nd.NDArray, mx.sym.Symbol]
Operators = Any
