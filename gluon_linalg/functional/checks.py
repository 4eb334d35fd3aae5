"""Conditions on values: a named error where one can be raised, NaN where not.

A compiled or exported graph has no operator that raises an error of our wording, so there a batch
element that fails becomes NaN as a whole: never a finite number that looks valid. Imperatively
the answer is read at once and the error names the block and the batch element; blocks that are
called compiled rerun imperatively when they meet an error or NaN (`blocks.base`).
"""

import numpy as np

from .._runtime import import_mxnet
from ..errors import NonFiniteError, listing
from .tangent import stop

mx = import_mxnet()


def require(F, value, holds, error_class, text, axes=3):
    """`value` (B, ...), which has so many axes, where `holds` (B, ...), an array of 0/1, is all 1.

    Elsewhere: `error_class(text)` imperatively, NaN in a graph.
    """
    holds = F.min(F.reshape(stop(F, holds), shape=(0, -1)), axis=1)
    if F is mx.nd:
        _raise_unless(holds.asnumpy(), error_class, text)
        return value
    one_or_nan = holds / holds
    return F.broadcast_mul(value, F.reshape(one_or_nan, shape=(-1,) + (1,) * (axes - 1)))


def require_each(F, value, holds, error_class, text, first=0):
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


def finite(F, x):
    """1 where x is a finite number, 0 where it is NaN or infinite."""
    return stop(F, x) * 0.0 == 0.0


def likelihood_in_range(F, value, name):
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


def _raise_unless(holds, error_class, text):
    failed = np.flatnonzero(holds != 1)
    if len(failed):
        raise error_class(f"{text} Failing batch elements: {listing(failed)} of {len(holds)}.")
