"""Prefix compositions by an associative scan of depth O(log T) (Blelloch 1990)."""

from typing import Callable, List

from ..typing import Array, Namespace

# Composes two lists of arrays, (F, earlier, later) -> both.
Combine = Callable[[Namespace, List[Array], List[Array]], List[Array]]


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
