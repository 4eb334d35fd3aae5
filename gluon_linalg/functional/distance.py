"""Squared distances that survive subtraction.

|x - z|² = |x|² + |z|² - 2 x·z is one product, hence fast, and it cancels: for points far from the
origin, or far apart in lengthscales, the plain form gives negative distances and indefinite
kernel matrices. Here the inputs are centred, and the product carries more than working precision.
"""

from typing import Optional, Tuple

import numpy as np

from ..typing import Array, Dtype, Namespace
from .matrix import magnitude, product
from .tangent import ones_like, stop

# Rounding of the expanded form, in units of ε times the largest squared norm. Squared distances
# below it count as 0, so that coincident points coincide exactly. Points closer than 6e-8 (for
# float32) or 1e-11 (for float64) of the extent of the data cannot be told apart.
ROUNDING = 32.0
EPSILON = 2.0**-53
# A float64 number plus SPLIT times its bound keeps 26 bits: products of two such are exact.
SPLIT = 2.0**27
# Where exponents are cut off: so far below overflow that what kernels make of them is in range. The
# limits of `clip` are float32 in any dtype.
LARGEST = {"float32": 1e34, "float64": 3.4e38}
# Where inputs are cut off.
FARTHEST = 1e250
# Coordinates beyond this are shrunk to it: their squares, and products of these, are in range.
EXTENT = 2.0**400


def centred(F: Namespace, x: Array, z: Optional[Array]) -> Tuple[Array, Optional[Array]]:
    """x and z in float64 without the mean of x, (B, n, d), (B, m, d); z may be None.

    Before anything is divided by a lengthscale: x / lengthscale rounds relative to x, not to the
    differences in x. Beyond ±1e250 all numbers count as that.
    """
    x = _not_farthest(F, F.cast(x, dtype="float64"))
    centre = stop(F, F.mean(x, axis=1, keepdims=True))
    if z is not None:
        z = F.broadcast_sub(_not_farthest(F, F.cast(z, dtype="float64")), centre)
    return F.broadcast_sub(x, centre), z


def in_range(F: Namespace, x: Array, z: Optional[Array]) -> Tuple[Array, Optional[Array]]:
    """x and z (B, n, d), (B, m, d) without overflow of their squares; z may be None.

    Where one is beyond 2^400 both are divided by the same power of 2. Points so far apart that
    they can be told from each other are still far apart.
    """
    unit = magnitude(F, x, axis=(1, 2))
    if z is not None:
        unit = F.broadcast_maximum(unit, magnitude(F, z, axis=(1, 2)))
    unit = F.maximum(unit / EXTENT, 1.0)
    return F.broadcast_div(x, unit), None if z is None else F.broadcast_div(z, unit)


def negative_half_squared_distance(F: Namespace, x: Array, z: Array, dtype: Dtype) -> Array:
    """-½ |x_i - z_j|² in `dtype`, from float64 (B, n, d), (B, m, d) -> (B, n, m).

    Never above 0, and exactly 0 for coincident points. For float32 the float64 product is rounded
    once. For float64 each number is split into a coarse part, whose products are exact, and a
    remainder, whose products are small: the error is ε 2⁻²⁵ of the largest squared norm instead
    of ε.
    """
    dtype = np.dtype(dtype).name
    scale = F.broadcast_maximum(_largest(F, x), _largest(F, z))
    if dtype == "float32":
        wide = _expanded(F, x, z, scale * (ROUNDING * EPSILON))
        return _not_above_zero(F, F.cast(wide, dtype="float32"), dtype)
    bound = F.sqrt(scale) * SPLIT
    coarse_x = stop(F, F.broadcast_sub(F.broadcast_add(x, bound), bound))
    coarse_z = stop(F, F.broadcast_sub(F.broadcast_add(z, bound), bound))
    exact = stop(F, _expanded(F, coarse_x, coarse_z, scale * 0.0))
    offset = scale * (4.0 * ROUNDING * EPSILON / SPLIT)
    return _not_above_zero(F, exact + _remainder(F, x, z, coarse_x, coarse_z, offset), dtype)


def exp_below_zero(F: Namespace, exponent: Array, dtype: Dtype) -> Array:
    """exp(e) of constants e <= 0, in [0, 1].

    In float32 as elu(e) + 1, which oneDNN vectorizes: a fifth of the time of `exp`. Its error is
    1.2e-7 absolute, the rounding of the 1 on a kernel's diagonal, not relative to exp(e).
    """
    if np.dtype(dtype).name != "float32":
        return F.exp(exponent)
    return F.LeakyReLU(exponent, act_type="elu", slope=1.0) + 1.0


def _expanded(F: Namespace, x: Array, z: Array, offset: Array) -> Array:
    """x·z - ½|x|² - ½|z|² + offset as one product of augmented arrays."""
    half_x, half_z = _half_square(F, x), _half_square(F, z)
    left = F.concat(x, -half_x, ones_like(F, half_x), dim=2)
    right = F.concat(z, ones_like(F, half_z), F.broadcast_sub(offset, half_z), dim=2)
    return product(F, left, right, transpose_b=True)


def _remainder(
    F: Namespace, x: Array, z: Array, coarse_x: Array, coarse_z: Array, offset: Array
) -> Array:
    """-½|x - z|² + ½|coarse_x - coarse_z|² + offset, which carries the whole gradient.

    With x = h + l it is h_i·l_j + l_i·z_j - (h·l + ½|l|²)_i - (h·l + ½|l|²)_j.
    """
    fine_x, fine_z = x - coarse_x, z - coarse_z
    own_x = F.sum(coarse_x * fine_x, axis=2, keepdims=True) + _half_square(F, fine_x)
    own_z = F.sum(coarse_z * fine_z, axis=2, keepdims=True) + _half_square(F, fine_z)
    left = F.concat(coarse_x, fine_x, -own_x, ones_like(F, own_x), dim=2)
    right = F.concat(fine_z, z, ones_like(F, own_z), F.broadcast_sub(offset, own_z), dim=2)
    return product(F, left, right, transpose_b=True)


def _not_farthest(F: Namespace, x: Array) -> Array:
    # Infinity stays an error: inf · 0 is NaN.
    return F.maximum(F.minimum(x, FARTHEST), -FARTHEST) + 0.0 * stop(F, x)


def _not_above_zero(F: Namespace, x: Array, dtype: Dtype) -> Array:
    """min(x, 0). As `clip`, which MXNet computes once where a graph has it twice; not `minimum`."""
    return F.clip(x, a_min=-LARGEST[np.dtype(dtype).name], a_max=0.0)


def _half_square(F: Namespace, x: Array) -> Array:
    return 0.5 * F.sum(F.square(x), axis=2, keepdims=True)


def _largest(F: Namespace, x: Array) -> Array:
    """The largest squared norm in each batch element, (B, n, d) -> (B, 1, 1)."""
    return stop(F, F.max(F.sum(F.square(x), axis=2, keepdims=True), axis=1, keepdims=True))
