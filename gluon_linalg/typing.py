"""What annotations say of MXNet's arrays, for which MXNet itself has no types.

A checker is told no more than it needs to tell an array from None, a tuple or a number; whether an
array is an NDArray or a Symbol depends on the F that comes with it.
"""

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import mxnet as mx
import numpy as np

# What `F` is: `mxnet.nd` or `mxnet.sym`.
Namespace = Any

# A device of MXNet, `mx.cpu()` or `mx.gpu(0)`.
Device = Any

Dtype = Union[str, type, np.dtype]

if TYPE_CHECKING:

    class Array:
        """An NDArray or a Symbol: arithmetic gives another one, of all else nothing is known."""

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, key: Any) -> "Array": ...
        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator["Array"]: ...
        def __neg__(self) -> "Array": ...
        def __add__(self, other: Union["Array", float]) -> "Array": ...
        def __radd__(self, other: Union["Array", float]) -> "Array": ...
        def __sub__(self, other: Union["Array", float]) -> "Array": ...
        def __rsub__(self, other: Union["Array", float]) -> "Array": ...
        def __mul__(self, other: Union["Array", float]) -> "Array": ...
        def __rmul__(self, other: Union["Array", float]) -> "Array": ...
        def __truediv__(self, other: Union["Array", float]) -> "Array": ...
        def __rtruediv__(self, other: Union["Array", float]) -> "Array": ...
        def __pow__(self, other: Union["Array", float]) -> "Array": ...
        def __rpow__(self, other: Union["Array", float]) -> "Array": ...
        def __lt__(self, other: Union["Array", float]) -> "Array": ...
        def __le__(self, other: Union["Array", float]) -> "Array": ...
        def __gt__(self, other: Union["Array", float]) -> "Array": ...
        def __ge__(self, other: Union["Array", float]) -> "Array": ...
        def __eq__(self, other: Any) -> "Array": ...  # type: ignore[override]
        def __ne__(self, other: Any) -> "Array": ...  # type: ignore[override]

else:
    Array = Union[mx.nd.NDArray, mx.sym.Symbol]

# What a block gives: one array or several.
Arrays = Union[Array, Tuple[Array, ...], List[Array]]

# ArrayLike at a prompt: what `numpy.asarray` takes, or an NDArray.
ArrayLike = Union[float, Sequence[Any], np.ndarray, Array]

# What a block's arguments are: pairs of a name and its axes, such as ("x", "B n d").
Rules = Sequence[Tuple[str, str]]

T = TypeVar("T")


def given(value: Optional[T]) -> T:
    """A value that is known not to be None, which a checker cannot see."""
    assert value is not None
    return value


def hook(method: Callable[..., T]) -> Callable[..., T]:
    """A method that each subclass implements with the arguments that it has use for.

    A checker takes any of them in an override, and does not compare them.
    """
    return method
