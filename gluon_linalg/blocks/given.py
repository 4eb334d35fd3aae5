"""Parameters that begin with given values and may have any sign."""

from typing import Any

import mxnet as mx
import numpy as np

from ..typing import Array, ArrayLike, Namespace
from .parameters import _Constant, stored_array


class GivenParameter(mx.gluon.Parameter):
    """A Gluon parameter that begins with `value`, of which a cast keeps all digits."""

    def __init__(self, name: str, value: ArrayLike, **kwargs: Any) -> None:
        self._exact = np.asarray(value, dtype="float64")
        super().__init__(name, shape=self._exact.shape, init=_Constant(self._exact), **kwargs)

    def value(self) -> np.ndarray:
        """The value as a float64 NumPy array."""
        return self._exact if self._data is None else self._data[0].asnumpy().astype("float64")

    def set_value(self, value: ArrayLike) -> None:
        """Sets the value, before or after initialization."""
        self._exact = np.array(np.broadcast_to(np.asarray(value, dtype="float64"), self.shape))
        if self._data is None:
            self.init = _Constant(self._exact)
        else:
            self.set_data(stored_array(self._exact, self.dtype))

    def natural(self, F: Namespace, stored: Array) -> Array:
        """The value in a graph, from the stored array: the same."""
        return stored

    def cast(self, dtype: Any) -> None:
        """Casts; a value that was set and not yet trained keeps all digits it was given."""
        untrained = self._data is not None and np.array_equal(
            self._data[0].asnumpy(), self._exact.astype(self.dtype)
        )
        super().cast(dtype)
        if untrained:
            self.set_data(stored_array(self._exact, dtype))


def given_parameter(block: mx.gluon.Block, name: str, value: ArrayLike) -> GivenParameter:
    """The parameter `name` of `block`, created once or found in the parameters it shares."""
    full_name = block.params.prefix + name
    found = block.params._get_impl(full_name)
    if found is None:
        found = GivenParameter(full_name, value)
        block.params._params[full_name] = found
    return found
