"""Small matrices inside graphs, made of numbers, parameters and nothing that a block holds.

Arrays held by a block would be tied to a device and a dtype, and could not be exported: all
constants here are multiples of a 1 that is cut out of an input. Where several models of one kind
are computed at once, it is one 1 for each of them.
"""

from itertools import groupby
from typing import Any, Dict, List, Optional, Sequence, Union

import mxnet as mx

from ... import functional as fn
from ...typing import Array, Namespace


def scalar_one(F: Namespace, like: Array) -> Array:
    """The number 1, (1, 1), with the dtype and on the device of `like` (B, T): a constant."""
    return fn.ones_like(F, F.slice(like, begin=(0, 0), end=(1, 1)))


def ones_for(F: Namespace, like: Array, stored: Any) -> Array:
    """The number 1 of one model, (1, 1), or of each of those that have `stored` parameters, (B, 1).

    like: (B, T).
    """
    if stored is None:
        return scalar_one(F, like)
    return fn.ones_like(F, F.slice_axis(like, axis=1, begin=0, end=1))


def matrix(F: Namespace, one: Array, rows: Sequence[Sequence[Union[float, Array]]]) -> Array:
    """A matrix (b, m, n) from rows of numbers and arrays (b, 1), as `one` is."""
    if isinstance(one, mx.nd.NDArray) and all(type(e) is float for row in rows for e in row):
        numbers = mx.nd.array([rows], dtype=one.dtype, ctx=one.context)
        return F.broadcast_axis(numbers, axis=0, size=len(one)) if len(one) > 1 else numbers
    pieces: List[Array] = []
    # What looks alike is one node.
    made: Dict[Any, Array] = {}
    entries = [entry for row in rows for entry in row]
    for number, run in groupby(entries, lambda e: e if isinstance(e, (int, float)) else None):
        if number is None:
            pieces.extend(entry for entry in run if not isinstance(entry, (int, float)))
            continue
        key = number, len(list(run))
        if key not in made:
            made[key] = F.broadcast_axis(one * number, axis=1, size=key[1])
        pieces.append(made[key])
    return F.reshape(beside(F, pieces, axis=1), shape=(-1, len(rows), len(rows[0])))


def element(F: Namespace, row: Array, index: int) -> Array:
    """The number at `index` of an array (b, n), as (b, 1)."""
    return F.slice_axis(row, axis=1, begin=index, end=index + 1)


def beside(
    F: Namespace, arrays: Sequence[Array], axis: int, spread: Optional[Array] = None
) -> Array:
    """Arrays joined along `axis`; `spread`, zeros of the full batch, broadcasts each first."""
    if spread is not None:
        arrays = [F.broadcast_add(array, spread) for array in arrays]
    return arrays[0] if len(arrays) == 1 else F.concat(*arrays, dim=axis)


def block_diagonal(
    F: Namespace,
    one: Array,
    blocks: Sequence[Array],
    heights: Sequence[int],
    widths: Sequence[int],
) -> Array:
    """Blocks (b, m_i, n_i) on the diagonal, zeros elsewhere, (b, Σ m_i, Σ n_i); one: (b, 1).

    A block of width 0 contributes rows of zeros whatever it is; at least one column comes out.
    """
    total, before, rows = max(1, sum(widths)), 0, []
    for block, height, width in zip(blocks, heights, widths):
        left = _zeros(F, one, height, before)
        right = _zeros(F, one, height, total - before - width)
        pieces = left + ([block] if width else []) + right
        rows.append(beside(F, pieces, axis=2))
        before += width
    return beside(F, rows, axis=1)


def _zeros(F, one, height, width):
    """[zeros (b, height, width)], or [] if there are no columns."""
    if not width:
        return []
    zero = F.reshape(one * 0.0, shape=(-1, 1, 1))
    return [F.broadcast_axis(zero, axis=(1, 2), size=(height, width))]
