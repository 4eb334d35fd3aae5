"""The rule for the arguments of a block: by position or by name, and which axes they have."""

import contextlib
import functools
import warnings
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..errors import ShapeError, suggestion
from ..host_memory import from_loader
from ..typing import Array, Device, Rules
from .casting import FLOATS


def bound(
    block: str, arguments: Rules, required: int, args: Sequence[Any], keywords: Mapping[str, Any]
) -> Tuple[Any, ...]:
    """The arguments of a call in their order, without the optional ones at the end that are None.

    block: its name; arguments: as in `LinearAlgebraBlock`. Raises TypeError.
    """
    names = [name for name, _ in arguments]
    if len(args) > len(names):
        raise TypeError(f"{block}: got {len(args)} arguments, expected {_expected(arguments)}.")
    for name in keywords:
        if name not in names:
            raise TypeError(f"{block}: there is no argument '{name}'; {suggestion(name, names)}")
        if name in names[: len(args)]:
            raise TypeError(f"{block}: '{name}' is given twice, by position and by name.")
    given = list(args) + [keywords.get(name) for name in names[len(args) :]]
    missing = [name for name, value in zip(names[:required], given) if value is None]
    if missing:
        count = sum(value is not None for value in given)
        raise TypeError(
            f"{block}: got {count} arguments, without '{missing[0]}'; expected "
            f"{_expected(arguments)}."
        )
    while given[-1] is None:
        given.pop()
    return tuple(given)


# The letters of batch axes: of the observations, and of covariates, which all may share.
BATCH = "BC"

# The share of the standard deviation of data that rounding may take unseen, and the relative
# differences that are rounding themselves.
LOST, ROUNDING = 1e-3, 1e-12


def from_data(block: str, name: str, axes: str, value: Any, dtype: str, device: Device) -> Array:
    """What a person gives as data, as an NDArray of this dtype with its batch axis.

    value: an NDArray, which stays on its device, or what `numpy.asarray` takes; it may lack the
    batch axis. Raises TypeError, ShapeError.
    """
    value = plain(axes, value)
    if not isinstance(value, mx.nd.NDArray):
        numbers = _numbers(block, name, value)
        _warn_of_lost_digits(block, name, numbers, dtype)
        value = mx.nd.array(numbers, dtype=dtype, ctx=device)
    elif isinstance(value, mx.np.ndarray):
        value = value.as_nd_ndarray()
    value = from_loader(value).astype(dtype, copy=False)
    if 0 in value.shape:
        raise ShapeError(f"{block}: '{name}' is empty, shape {value.shape}.")
    lacks_batch = value.ndim == len(axes.split()) - 1 and axes[0] in BATCH
    return value.expand_dims(axis=0) if lacks_batch else value


def plain(axes: str, value: Any) -> Any:
    """NumPy's masked arrays with NaN for what is masked, and DataFrames as their axes are.

    `numpy.asarray` would show what the mask hides. A column is a series of its own where an
    argument has one axis beside that of the batch.
    """
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.filled(value.astype("float64"), np.nan)
    has_one_axis = axes[0] in BATCH and len(axes.split()) == 2
    return value.T if has_one_axis and hasattr(value, "columns") else value


def _numbers(block: str, name: str, value: Any) -> np.ndarray:
    numbers = np.asarray(value)
    if numbers.dtype.kind in "mM":
        raise TypeError(
            f"{block}: '{name}' has dates, {numbers.dtype}; expected numbers, such as days: "
            "(dates - dates[0]) / numpy.timedelta64(1, 'D')."
        )
    # NumPy would drop imaginary parts with a warning.
    if numbers.dtype.kind != "c":
        with contextlib.suppress(TypeError, ValueError):
            return numbers.astype("float64")
    raise TypeError(
        f"{block}: '{name}' is a {type(value).__name__} of {numbers.dtype}; expected numbers, in a "
        "NumPy array or an mx.nd.NDArray."
    )


def _warn_of_lost_digits(block: str, name: str, numbers: np.ndarray, dtype: str) -> None:
    """A warning of numbers whose differences float32 does not have, such as seconds since 1970."""
    if dtype != "float32" or numbers.size < 2 or not np.isfinite(numbers).all():
        return
    columns = numbers.reshape(-1, numbers.shape[-1] if numbers.ndim > 1 else 1)
    with np.errstate(over="ignore"):
        lost = np.abs(columns - columns.astype("float32")).max(axis=0)
    spread, largest = columns.std(axis=0), np.abs(columns).max(axis=0)
    # Constants may differ by rounding.
    if ((lost > LOST * spread) & (spread > ROUNDING * largest)).any():
        warnings.warn(
            f"{block}: float32 rounds '{name}' by up to {lost.max():.2g}, where its numbers are "
            f"about {spread[np.argmax(lost)]:.2g} apart: subtract their mean, or cast to float64.",
            stacklevel=2,
        )


def data_dtype(value: Any) -> str:
    """The dtype of data: their own, or float64 for numbers that are not floating-point."""
    dtype = value.dtype if isinstance(value, mx.nd.NDArray) else np.asarray(value).dtype
    name = np.dtype(dtype).name
    return name if name in FLOATS else "float64"


def _expected(arguments: Rules) -> str:
    return ", ".join(f"{name} ({axes})" for name, axes in arguments)


def axis_sizes(block: str, given: Iterable[Tuple[str, str, Tuple[int, ...]]]) -> Dict[str, int]:
    """The size of each letter; given: triples of a name, its axes and a shape. ShapeError."""
    sizes: Dict[str, int] = {}
    owner: Dict[str, str] = {}
    misfits = []
    for name, axes, shape in given:
        axes_of_rule = _letters(axes)
        if len(shape) != len(axes_of_rule):
            misfits.append((name, axes.split(), shape))
            continue
        if 0 in shape:
            raise ShapeError(f"{block}: '{name}' is empty, shape {shape}.")
        for (letter, may_be_one), size in zip(axes_of_rule, shape):
            if size == 1 and may_be_one:
                continue
            known = sizes.get(letter)
            if known is None:
                sizes[letter], owner[letter] = size, name
            elif known != size:
                raise ShapeError(
                    f"{block}: '{name}' has shape {shape} for ({', '.join(axes.split())}), but "
                    f"{letter} is {known} in '{owner[letter]}'."
                )
    for name, letters, shape in misfits:
        raise ShapeError(
            f"{block}: '{name}' has shape {shape}, expected {len(letters)} axes "
            f"({', '.join(letters)}){_remedy(shape, letters, sizes)}."
        )
    return sizes


@functools.lru_cache(maxsize=None)
def _letters(axes: str) -> Tuple[Tuple[str, bool], ...]:
    """The letter of each axis, and whether it may be 1 as well."""
    return tuple((letter.rstrip("?"), letter.endswith("?")) for letter in axes.split())


def _remedy(shape: Tuple[int, ...], letters: List[str], sizes: Mapping[str, int]) -> str:
    """Which axis of size 1 to add or to drop, if one makes the array fit the others."""
    if len(shape) == len(letters) - 1:
        places = [
            axis
            for axis in range(len(letters))
            if _fits(shape[:axis] + (1,) + shape[axis:], letters, sizes)
        ]
        if places:
            what = "the batch axis" if places[0] == 0 and letters[0][0] in BATCH else "an axis"
            return f"; add {what} with array.expand_dims(axis={places[0]})"
    if len(shape) == len(letters) + 1:
        for axis, size in enumerate(shape):
            if size == 1 and _fits(shape[:axis] + shape[axis + 1 :], letters, sizes):
                return f"; drop an axis of size 1 with array.squeeze(axis={axis})"
    return ""


def _fits(shape: Tuple[int, ...], letters: List[str], sizes: Mapping[str, int]) -> bool:
    """Whether an array of this shape agrees with the others, and with itself."""
    sizes = dict(sizes)
    for letter, size in zip(letters, shape):
        if letter.endswith("?") and size == 1:
            continue
        if sizes.setdefault(letter.rstrip("?"), size) != size:
            return False
    return True
