"""Elementwise functions of which the obvious form overflows or cancels."""

from ..typing import Array, Namespace
from .gaussian import HALF_LOG_2PI
from .tangent import ones_like, stop, with_gradient, zeros_like

# How far arguments are moved up before Stirling's series is used.
STEPS = 8


def softplus(F: Namespace, x: Array) -> Array:
    """log(1 + e^x), with the gradient 1/(1 + e^-x) also at 0."""
    fixed = stop(F, x)
    value = F.relu(fixed) + F.log1p(F.exp(-F.abs(fixed)))
    return with_gradient(F, value, stop(F, F.sigmoid(fixed)) * x)


def root(F: Namespace, x: Array) -> Array:
    """√x of x >= 0, with the gradient 0 at 0, where its own is infinite."""
    positive = stop(F, x) != 0.0
    return F.sqrt(F.where(positive, x, ones_like(F, x))) * positive


def stirling_rest(F: Namespace, z: Array) -> Array:
    """log Γ(z) - (z - ½) log z + z of z > 0, which is ½ log 2π + 1/(12 z) - ... for large z."""
    shifted = z + float(STEPS)
    inverse = 1.0 / shifted
    square = F.square(inverse)
    series = inverse * (
        1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0)))
    )
    # The next term of the series, 1/(1188 z⁹), is below 7e-12 at z = 8.
    series = series + inverse * F.square(F.square(square)) * (
        1.0 / 1188.0 - square * (691.0 / 360360.0 - square / 156.0)
    )
    moved = (z - 0.5) * F.log1p(float(STEPS) / z) - float(STEPS)
    for k in range(STEPS):
        moved = moved + F.log1p((STEPS - k) / (z + float(k)))
    return moved + series + HALF_LOG_2PI


def log_factorial_rest(F: Namespace, y: Array) -> Array:
    """log y! - y log y + y of counts y, 0 at y = 0; what is left does not grow with y."""
    positive = at_least_one(F, y)
    rest = 0.5 * F.log(positive) + stirling_rest(F, positive)
    return F.where(stop(F, y) > 0.0, rest, zeros_like(F, y))


def at_least_one(F: Namespace, y: Array) -> Array:
    """Counts y with 1 in place of 0, for expressions that are not used at 0."""
    return F.where(stop(F, y) > 0.0, y, ones_like(F, y))
