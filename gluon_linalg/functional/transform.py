"""The map between stored, unconstrained numbers and positive quantities."""


def positive(F, raw, lower):
    """value = lower + exp(raw): positive, scale-free, with an exact inverse."""
    return F.exp(raw) + lower
