"""Linear recursions over time, step by step or by an associative scan.

Arrays are (1, T, B, m, n): time comes first, after an axis that `for_each` explains. With
``length=None`` a recursion is MXNet's `foreach`: any T, a graph of one size. With ``length=T`` it
is a scan of depth O(log T) (Blelloch 1990). Native operators, where they apply, need neither.

Nothing is closed over by a loop body: compiled, MXNet 1.9.1 returns garbage gradients for such
arrays. Everything is passed as data or as a state.
"""

from typing import Any, Callable, List, Optional, Sequence, Tuple

from .. import native
from ..native import recursion as native_recursion
from ..typing import Array, Namespace
from .matrix import congruence, product, with_axis
from .tangent import zeros_like

# Composes two lists of arrays, (F, earlier, later) -> both.
Combine = Callable[[Namespace, List[Array], List[Array]], List[Array]]


def affine_recursion(
    F: Namespace,
    matrix: Array,
    offset: Array,
    initial: Array,
    length: Optional[int] = None,
    reverse: bool = False,
) -> Array:
    """x_1 = initial, x_{t+1} = Φ_t x_t + c_t; returns x_1, ..., x_T, (1, T, B, d, 1).

    matrix Φ: (1, T, B, d, d); offset c: (1, T, B, d, 1); initial: (1, 1, B, d, 1); the last two may
    have any number of columns. With `reverse` time runs backwards: x_T = initial,
    x_{t-1} = Φ_t x_t + c_t.
    """
    if native.applies(F, offset):
        return native_recursion.affine_recursion(F, matrix, offset, initial, reverse)
    if length is None:
        return loop(F, _affine_step, (matrix, offset), initial, reverse)
    turned, moved = scan(F, _compose_affine, [matrix, offset], length, reverse)
    start = F.broadcast_add(initial, zeros_like(F, offset))
    return before_steps(F, product(F, turned, start) + moved, initial, reverse)


def quadratic_recursion(
    F: Namespace,
    matrix: Array,
    offset: Array,
    initial: Array,
    length: Optional[int] = None,
    reverse: bool = False,
) -> Array:
    """X_1 = initial, X_{t+1} = Φ_t X_t Φ_tᵀ + C_t; returns X_1, ..., X_T, (1, T, B, d, d).

    As `affine_recursion`, with offsets C of shape (1, T, B, d, d) and an initial (1, 1, B, d, d).
    """
    if native.applies(F, offset):
        return native_recursion.quadratic_recursion(F, matrix, offset, initial, reverse)
    if length is None:
        return loop(F, _quadratic_step, (matrix, offset), initial, reverse)
    turned, moved = scan(F, _compose_quadratic, [matrix, offset], length, reverse)
    start = F.broadcast_add(initial, zeros_like(F, offset))
    return before_steps(F, congruence(F, turned, start) + moved, initial, reverse)


def corrected_recursion(
    F: Namespace, gain: Array, matrix: Array, target: Array, initial: Array
) -> Array:
    """x_1 = initial, x_{t+1} = W_t (c_t - M_t x_t), all of x as constants, (1, T, B, d, k).

    gain W: (1, T, B, d, n); matrix M: (1, T, B, n, d); target c: (1, T, B, n, k); initial:
    (1, 1, B, d, k).
    """
    if native.applies(F, target):
        return native_recursion.corrected_recursion(F, gain, matrix, target, initial)
    return loop(F, corrected_step, (gain, matrix, target), initial)


def corrected_step(F: Namespace, gain: Array, matrix: Array, target: Array, state: Array) -> Array:
    """W (c - M x)."""
    return product(F, gain, target - product(F, matrix, state))


def loop(
    F: Namespace,
    step: Callable[..., Array],
    data: Sequence[Array],
    initial: Array,
    reverse: bool = False,
) -> Array:
    """The states before each step, (1, T, B, ...), of ``state = step(F, *data_t, state)``."""

    def body(arrays: List[Array], states: List[Array]) -> Tuple[List[Array], List[Array]]:
        following = step(F, *arrays, *states)
        return [following], [following]

    data = [F.reverse(x, axis=1) if reverse else x for x in data]
    (after,), final = for_each(F, body, data, initial)
    # MXNet refuses to differentiate a loop of which one result is not used.
    after = F.broadcast_add(after, zeros_like(F, final) * final)
    after = F.reverse(after, axis=1) if reverse else after
    return before_steps(F, after, initial, reverse)


def for_each(
    F: Namespace, body: Callable[..., Any], data: Sequence[Array], initial: Array
) -> Tuple[List[Array], Array]:
    """`foreach` over the times of arrays (1, T, B, m, n): a list of such arrays, the final state.

    MXNet runs a compiled `foreach` without waiting for its inputs, and on the way looks at, and
    resets, what oneDNN keeps with their memory. So no oneDNN operator may touch what goes in and
    out: those of MXNet 1.9.1 take float32 arrays of 1 to 4 axes; hence the leading axis of all
    arrays here, `squeeze` and `stack` where it changes, and never `expand_dims` or `Reshape`.
    """
    data = [F.squeeze(x, axis=0) for x in data]
    results, (final,) = F.contrib.foreach(body, data, [F.squeeze(initial, axis=(0, 1))])
    final = with_axis(F, with_axis(F, final, 0), 0)
    return [with_axis(F, x, 0) for x in results], final


def scan(
    F: Namespace, combine: Combine, elements: List[Array], length: int, reverse: bool = False
) -> List[Array]:
    """Prefix compositions e_1, e_2∘e_1, ... of `elements`, a list of arrays (1, length, B, ...).

    combine(F, earlier, later) composes two lists of arrays. In `reverse` the last element is the
    first to act.
    """
    if reverse:
        elements = [F.reverse(x, axis=1) for x in elements]
    scanned = _scan(F, combine, elements, length)
    return [F.reverse(x, axis=1) for x in scanned] if reverse else scanned


def before_steps(F: Namespace, after: Array, initial: Array, reverse: bool = False) -> Array:
    """The states before each step, from those after each step and the initial one."""
    first = F.slice_axis(after, axis=1, begin=0, end=1)
    initial = F.broadcast_add(initial, zeros_like(F, first))
    if reverse:
        return F.slice_axis(F.concat(after, initial, dim=1), axis=1, begin=1, end=None)
    return F.slice_axis(F.concat(initial, after, dim=1), axis=1, begin=0, end=-1)


def _affine_step(F: Namespace, matrix: Array, offset: Array, state: Array) -> Array:
    return product(F, matrix, state) + offset


def _quadratic_step(F: Namespace, matrix: Array, offset: Array, state: Array) -> Array:
    return congruence(F, matrix, state) + offset


def _compose_affine(F: Namespace, earlier: List[Array], later: List[Array]) -> List[Array]:
    matrix = product(F, later[0], earlier[0])
    return [matrix, product(F, later[0], earlier[1]) + later[1]]


def _compose_quadratic(F: Namespace, earlier: List[Array], later: List[Array]) -> List[Array]:
    matrix = product(F, later[0], earlier[0])
    return [matrix, congruence(F, later[0], earlier[1]) + later[1]]


def _scan(F: Namespace, combine: Combine, elements: List[Array], length: int) -> List[Array]:
    """Pairs are composed, scanned, and give every second prefix; one composition fills the rest."""
    if length == 1:
        return elements
    half = length // 2
    pairs = [F.slice_axis(x, axis=1, begin=0, end=2 * half) for x in elements]
    first, second = ([every_second(F, x, k) for x in pairs] for k in (0, 1))
    odd = _scan(F, combine, combine(F, first, second), half)
    even = [F.slice_axis(x, axis=1, begin=0, end=1) for x in elements]
    rest = (length - 1) // 2
    if rest:
        before = [F.slice_axis(x, axis=1, begin=0, end=rest) for x in odd]
        filled = combine(F, before, [every_second(F, x, 2) for x in elements])
        even = [F.concat(first, x, dim=1) for first, x in zip(even, filled)]
    return [interleaved(F, a, b, length) for a, b in zip(even, odd)]


def every_second(F: Namespace, x: Array, begin: int) -> Array:
    """x_begin, x_{begin + 2}, ... of (1, T, B, m, n)."""
    return F.slice(x, begin=(None, begin), end=(None, None), step=(1, 2))


def interleaved(F: Namespace, even: Array, odd: Array, length: int) -> Array:
    """`length` entries, in turn from two arrays."""
    half = length // 2
    paired = F.slice_axis(even, axis=1, begin=0, end=half) if length % 2 else even
    odd = F.slice_axis(odd, axis=1, begin=0, end=half)
    mixed = F.reshape(F.stack(paired, odd, axis=2), shape=(0, -3, 0, 0, 0))
    if length % 2:
        mixed = F.concat(mixed, F.slice_axis(even, axis=1, begin=half, end=None), dim=1)
    return mixed
