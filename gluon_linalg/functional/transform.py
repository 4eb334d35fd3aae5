"""The map between stored, unconstrained numbers and positive quantities."""

from ..typing import Array, Namespace


def positive(F: Namespace, raw: Array, lower: float) -> Array:
    """value = lower + exp(raw): positive, scale-free, with an exact inverse."""
    return F.exp(raw) + lower
