"""Conditions on values: a named error where one can be raised, NaN where not.

A compiled or exported graph has no operator that raises an error of our wording, so there a batch
element that fails becomes NaN as a whole: never a finite number that looks valid. Imperatively
the answer is read at once and the error names the block and the batch element; blocks that are
called compiled rerun imperatively when they meet an error or NaN (`blocks.explaining`).
"""

from typing import Mapping, Optional, Tuple, Type

import mxnet as mx
import numpy as np

from ..errors import NonFiniteError, listing, remembered
from ..typing import Array, Dtype, Namespace
from .tangent import stop, unit_roundoff


def require(
    F: Namespace, value: Array, holds: Array, error_class: Type[Exception], text: str, axes: int = 3
) -> Array:
    """`value` (B, ...), which has so many axes, where `holds` (B, ...), an array of 0/1, is all 1.

    Elsewhere: `error_class(text)` imperatively, NaN in a graph.
    """
    holds = F.min(F.reshape(stop(F, holds), shape=(0, -1)), axis=1)
    if F is mx.nd:
        _raise_unless(holds.asnumpy(), error_class, text)
        return value
    one_or_nan = holds / holds
    return F.broadcast_mul(value, F.reshape(one_or_nan, shape=(-1,) + (1,) * (axes - 1)))


def require_rows(
    F: Namespace,
    value: Array,
    holds: Array,
    error_class: Type[Exception],
    text: str,
    axes: int = 2,
) -> Array:
    """As `require` for values (B, n, ...); the error names rows where `holds` (B, n) is 0."""
    if F is mx.nd:
        failed = np.argwhere(stop(F, holds).asnumpy() != 1)
        if len(failed):
            element = failed[0, 0]
            rows = failed[failed[:, 0] == element, 1]
            named = "Row" if len(rows) == 1 else "Rows"
            text = f"{text} {named} {listing(rows)} of batch element {element}, counted from 0."
    return require(F, value, holds, error_class, text, axes)


def require_inputs(F: Namespace, x: Array, name: str, mask: Optional[Array] = None) -> None:
    """Raises NonFiniteError imperatively for rows of x (B, n, d) where a mask (B, n) is not 0.

    A graph has NaN for them by itself.
    """
    if F is mx.nd:
        rows = F.min(finite(F, x), axis=2)
        if mask is not None:
            rows = F.maximum(rows, F.cast(mask == 0.0, dtype=rows.dtype))
        require_rows(F, x, rows, NonFiniteError, f"{name}: 'x' contains NaN or infinity.")


def require_status(
    F: Namespace, status: Array, failures: Mapping[int, Tuple[Type[Exception], str]]
) -> None:
    """Raises imperatively for elements whose status (B,) is a key; a graph has NaN there."""
    if F is mx.nd:
        found = stop(F, status).asnumpy()
        for code, (error_class, text) in failures.items():
            _raise_unless(found != code, error_class, text)


def require_number(F: Namespace, value: Array, error_class: Type[Exception], text: str) -> None:
    """Raises imperatively for elements of (B, n) that are NaN, as a graph has them."""
    if F is mx.nd:
        _raise_unless(~np.isnan(stop(F, value).asnumpy()).any(axis=1), error_class, text)


def require_each(
    F: Namespace,
    value: Array,
    holds: Array,
    error_class: Type[Exception],
    text: str,
    first: int = 0,
) -> Array:
    """As `require` for values (1, T, B, m, n) and what holds at each time, (1, T, b, m, 1).

    The error names the batch element and the time, counted from `first`. In a graph the value is
    NaN at that time.
    """
    holds = F.min(stop(F, holds), axis=3, keepdims=True)
    if F is mx.nd:
        failed = np.argwhere(holds.asnumpy()[0, :, :, 0, 0] != 1)
        if len(failed):
            time, element = failed[0]
            raise error_class(f"{text} (batch element {element}, t = {first + time}).")
        return value
    return F.broadcast_mul(value, holds / holds)


def require_dtype(F: Namespace, x: Array, dtype: Dtype, block: str, argument: str) -> Array:
    """x, in a graph that refuses another dtype than `dtype`: an error where the graph is run.

    The sum of an array and its cast has no type otherwise; nothing of x is computed. The operator
    bears the names that the error is to have (`errors`).
    """
    column = stop(F, F.slice_axis(x, axis=-1, begin=0, end=1))
    own = F.elemwise_add(column, F.cast(column, dtype), name=f"dtype__{block}__{argument}__{dtype}")
    return F.reshape_like(x, own, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=1)


def require_columns(F: Namespace, x: Array, like: Array, block: str, argument: str) -> Array:
    """x (B, n, d), in a graph that refuses another d than that of `like` (., ., d).

    `broadcast_*` would take d = 1 for any. The operator bears the names for the error (`errors`).
    """
    if F is mx.nd:
        return x
    ends = {"lhs_begin": 2, "lhs_end": 3, "rhs_begin": 2, "rhs_end": 3}
    return F.reshape_like(x, stop(F, like), name=f"columns__{block}__{argument}", **ends)


def finite(F: Namespace, x: Array) -> Array:
    """1 where x is a finite number, 0 where it is NaN or infinite."""
    return stop(F, x) * 0.0 == 0.0


def refuse_gradient(
    F: Namespace,
    value: Array,
    source: Array,
    holds: Array,
    error_class: Type[Exception],
    text: str,
    axes: int = 3,
) -> Array:
    """`value` (B, ...), with so many axes, without a gradient where `holds` (B, 1) is 0.

    Only a loss that depends on `value` is refused: imperatively by `error_class(text)` where the
    gradient is read, in a graph by NaN for the whole batch element of `source` (B, k, l).
    """
    if F is mx.nd:
        failed = np.flatnonzero(stop(F, holds).asnumpy() != 1)
        if not (len(failed) and mx.autograd.is_recording()):
            return value
        return _Refusal(failed, error_class, text)(value)
    # 0, with a derivative so large that whatever is not 0 overflows on its way back, and 0 · inf is
    # NaN at `source`; where `holds` is 1, the factor is 0.
    shape = (-1,) + (1,) * (axes - 1)
    zero = F.reshape(F.sum(0.0 * (source - stop(F, source)), axis=(1, 2)), shape=shape)
    zero = F.broadcast_like(zero, stop(F, value))
    factor = F.reshape((1.0 - stop(F, holds)) * _huge(F, holds), shape=shape)
    for _ in range(3):
        zero = F.broadcast_mul(zero, factor)
    return value + zero


class _Refusal(mx.autograd.Function):
    """The identity, whose gradient is an error unless it is 0 in the failed batch elements."""

    def __init__(self, failed: np.ndarray, error_class: Type[Exception], text: str) -> None:
        super().__init__()
        self._failed, self._error_class, self._text = failed, error_class, text

    def forward(self, value: Array) -> Array:
        return mx.nd.identity(value)

    def backward(self, gradient: Array) -> Array:
        rows = gradient.asnumpy()
        asked = [i for i in self._failed if (rows[i] != 0).any()]
        if asked:
            text = f"{self._text} Failing batch elements: {listing(asked)} of {len(rows)}."
            raise remembered(self._error_class(text))
        return gradient


def _huge(F: Namespace, like: Array) -> Array:
    """2^118 in float32 and 2^988 in float64."""
    bits = -F.log2(unit_roundoff(F, like))
    return 2.0 ** (30.0 * bits - 602.0)


def likelihood_in_range(F: Namespace, value: Array, name: str) -> Array:
    """φ (B,) where it is finite: NonFiniteError else."""
    return require(
        F,
        value,
        finite(F, value),
        NonFiniteError,
        f"{name}: the likelihood is too large for its dtype. Bring the data to another unit, or "
        "compute in float64.",
        axes=1,
    )


def _raise_unless(holds: np.ndarray, error_class: Type[Exception], text: str) -> None:
    failed = np.flatnonzero(holds != 1)
    if len(failed):
        raise error_class(f"{text} Failing batch elements: {listing(failed)} of {len(holds)}.")
