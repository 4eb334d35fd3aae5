"""Positive parameters: natural values outside, unconstrained numbers inside."""

import json
from typing import Any, List

import mxnet as mx
import numpy as np

from ..errors import ShapeError
from ..typing import Array, ArrayLike, Namespace


class Default(float):
    """A number that stands where nobody gave one: `fit` may begin elsewhere."""


ONE = Default(1.0)
# Lower ends up to here only keep numbers from 0, and are of quantities of size 1.
SMALL, TINY = 1e-10, 1e-8
SMALLEST_NORMAL = float(np.finfo("float64").tiny)


class PositiveParameter(mx.gluon.Parameter):
    """A Gluon parameter for a positive quantity: value = lower + exp(stored).

    `data()`, `grad()`, trainers and files see the stored, unconstrained number; `value()` and
    `set_value()` speak in natural units. Freeze it as any parameter: ``grad_req = 'null'``.
    """

    # Whether a natural number depends on more than one of those that are stored, or may be 0.
    mixes = False
    # Whether there are numbers that no element is below.
    has_bounds = True
    _is_default = False

    def __init__(self, name: str, value: ArrayLike, lower: float = 1e-12, **kwargs: Any) -> None:
        self.lower, self._is_default = float(lower), isinstance(value, Default)
        self._exact = self._stored(np.asarray(value, dtype="float64"), name)
        super().__init__(name, shape=self._exact.shape, init=_Constant(self._exact), **kwargs)

    def value(self) -> np.ndarray:
        """The natural value as a float64 NumPy array."""
        stored = self._exact if self._data is None else self._data[0].asnumpy().astype("float64")
        return self.natural_of(stored)

    def natural_of(self, stored: np.ndarray) -> np.ndarray:
        """The natural values of stored numbers, whatever this parameter has."""
        return np.exp(stored) + self.lower

    def set_value(self, value: ArrayLike) -> None:
        """Sets the natural value, before or after initialization."""
        stored = self._stored(np.asarray(value, dtype="float64"), self.name)
        if stored.shape != self.shape:
            raise ShapeError(f"{self.name}: a value of shape {stored.shape} for {self.shape}.")
        self._exact, self._is_default = stored, False
        if self._data is None:
            self.init = _Constant(stored)
        else:
            self.set_data(stored_array(stored, self.dtype))

    @property
    def is_default(self) -> bool:
        """Whether the value is a default that nobody has set, trained or frozen."""
        return self._is_default and self._is_untrained() and self.grad_req != "null"

    def begin_at(self, value: ArrayLike) -> None:
        """Sets the natural value, or what is just above the lower end, if it `is_default`."""
        if self.is_default:
            self.set_value(np.full(self.shape, np.maximum(value, 2.0 * self.lower)))

    def cast(self, dtype: Any) -> None:
        """Casts; a value that was set and not yet trained keeps all digits it was given."""
        untrained = self._is_untrained()
        super().cast(dtype)
        if untrained:
            self.set_data(stored_array(self._exact, dtype))

    def natural(self, F: Namespace, stored: Array) -> Array:
        """The natural value in a graph, from the stored array."""
        return F.exp(stored) + self.lower

    def _is_untrained(self) -> bool:
        return self._data is not None and np.array_equal(
            self._data[0].asnumpy(), self._exact.astype(self.dtype)
        )

    def _stored(self, value: np.ndarray, name: str) -> np.ndarray:
        if not (np.isfinite(value).all() and (value > self.lower).all()):
            raise ValueError(
                f"{name}: {value.tolist()} is not a positive number above {self.lower:g}."
            )
        return np.log(np.atleast_1d(value) - self.lower)


class _Constant(mx.init.Constant):
    """MXNet's own, which can be written into a graph only once, and then fails on its list."""

    def dumps(self) -> str:
        return json.dumps(["constant", {"value": np.asarray(self.value).tolist()}])


def stored_array(values: np.ndarray, dtype: Any) -> Any:
    """What parameters store, in MXNet's NumPy mode too."""
    return (mx.np if mx.util.is_np_array() else mx.nd).array(values, dtype=np.dtype(dtype).name)


def positive_parameter(
    block: mx.gluon.Block, name: str, value: ArrayLike, lower: float = 1e-12
) -> PositiveParameter:
    """The parameter `name` of `block`, created once or found in the parameters it shares."""
    full_name = block.params.prefix + name
    found = block.params._get_impl(full_name)
    if found is None:
        least = np.min(np.asarray(value, dtype="float64"), initial=1.0)
        if lower <= SMALL and 0.0 < least < TINY:
            # Given in small units: the end is below it by as much as it is below 1. MXNet takes no
            # smaller scalars than normal ones.
            lower = max(lower * float(least), SMALLEST_NORMAL)
        found = PositiveParameter(full_name, value, lower)
        block.params._params[full_name] = found
    return found


def parameters_of(block: mx.gluon.Block) -> List[mx.gluon.Parameter]:
    """Those of `block.collect_params()`, without its search for blocks in containers."""
    found = dict.fromkeys(block.params.values())
    for child in block._children.values():
        found.update(dict.fromkeys(parameters_of(child)))
    return list(found)


def parameter_array(F: Namespace, parameter: mx.gluon.Parameter, like: Array) -> Array:
    """A parameter's array inside a graph: its symbol, or its data on the device of `like`."""
    return parameter.data(like.context) if F is mx.nd else parameter.var()


def check_include_noise(block: Any, include_noise: bool) -> None:
    """A predictor of new observations needs the variance of their noise: else ValueError."""
    if include_noise and block.noise_variance is None:
        raise ValueError(
            f"{block.name}: include_noise needs a noise_variance that holds for new "
            "observations too."
        )
