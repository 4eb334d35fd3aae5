"""Kernels with hyperparameters of their own for each series.

The blocks of `gluon_linalg.kernels` hold parameters; here hyperparameters are arrays (B, k), which
a network may emit.
"""

import math

from .. import functional as fn
from ..blocks import kernels


class SeriesKernel:
    """A kernel with hyperparameters: `initial` maps their names to tuples of positive numbers.

    covariance(F, x, dtype, **hyperparameters): x (B, n, d), each hyperparameter (B or 1, k) with
    k = 1 or one for each active column -> (B, n, n), symmetric up to rounding. columns: pairs of
    numbers, where each run of active columns begins and ends (None: at the last column).
    """

    # Name -> default: a number, or the name of a quantity of `kernel_description.Inputs`.
    defaults = {"variance": 1.0}
    # Those that may have one value for each active column.
    by_column = ()

    def __init__(self, name, columns, initial, fixed):
        self.name, self.columns, self.initial, self.fixed = name, columns, initial, fixed

    def covariance(self, F, x, dtype, variance, **hyperparameters):
        x = _active(F, x, self.columns)
        unit = self.unit_covariance(F, x, dtype, **hyperparameters)
        return F.broadcast_mul(unit, F.expand_dims(variance, axis=2))

    def unit_covariance(self, F, x, dtype, **hyperparameters):
        """The kernel at unit variance."""
        raise NotImplementedError(f"{type(self).__name__} does not implement unit_covariance")


class Stationary(SeriesKernel):
    """variance · profile(r²), r the distance in lengthscales."""

    defaults = {"variance": 1.0, "lengthscale": "distance"}
    by_column = ("lengthscale",)

    def unit_covariance(self, F, x, dtype, lengthscale, **others):
        x, _ = fn.centred(F, x, None)
        features = self.features(F, x, F.cast(F.expand_dims(lengthscale, axis=1), "float64"))
        exponent = fn.negative_half_squared_distance(F, features, features, dtype)
        return self.profile(F, -2.0 * exponent, **others)

    def features(self, F, x, lengthscale):
        """The coordinates whose Euclidean distance is r, (B, n, d), (B, 1, k) -> (B, n, f)."""
        return F.broadcast_div(x, lengthscale)


class RBF(Stationary):
    """variance · exp(-½ r²)."""

    def profile(self, F, squared):
        return F.exp(-0.5 * squared)


class Matern12(Stationary):
    """variance · exp(-r)."""

    profile = kernels.Matern12.profile


class Matern32(Stationary):
    """variance · (1 + √3 r) exp(-√3 r)."""

    profile = kernels.Matern32.profile


class Matern52(Stationary):
    """variance · (1 + √5 r + 5/3 r²) exp(-√5 r)."""

    profile = kernels.Matern52.profile


class RationalQuadratic(Stationary):
    """variance · (1 + r² / (2 alpha))^(-alpha)."""

    defaults = {"variance": 1.0, "lengthscale": "distance", "alpha": 1.0}

    def profile(self, F, squared, alpha):
        alpha = F.expand_dims(alpha, axis=2)
        ratio = F.broadcast_div(0.5 * squared, alpha)
        return F.exp(-F.broadcast_mul(F.log1p(ratio), alpha))


class Periodic(RBF):
    """variance · exp(-2 sin²(π (x - z) / period) / lengthscale²).

    The RBF of the points (cos, sin)(2π x / period) / lengthscale.
    """

    defaults = {"variance": 1.0, "lengthscale": 1.0, "period": "season"}
    by_column = ("lengthscale", "period")

    def unit_covariance(self, F, x, dtype, lengthscale, period):
        period = F.cast(F.expand_dims(period, axis=1), "float64")
        angle = F.broadcast_div(2.0 * math.pi * F.cast(x, "float64"), period)
        # Both lengthscales of a column, if there are several, as the points have them.
        scale = F.broadcast_mul(F.expand_dims(lengthscale, axis=1), fn.ones_like(F, x))
        scale = F.cast(scale, "float64")
        points = F.concat(F.cos(angle) / scale, F.sin(angle) / scale, dim=2)
        return self.profile(F, -2.0 * fn.negative_half_squared_distance(F, points, points, dtype))


class Linear(SeriesKernel):
    """Σ_d variance_d x_d z_d."""

    defaults = {"variance": "slope"}
    by_column = ("variance",)

    def covariance(self, F, x, dtype, variance):
        x = F.cast(_active(F, x, self.columns), dtype)
        left = F.broadcast_mul(x, F.expand_dims(variance, axis=1))
        return fn.product(F, left, x, transpose_b=True)


class Constant(SeriesKernel):
    """variance, for every pair of inputs."""

    def unit_covariance(self, F, x, dtype):
        ones = F.cast(fn.ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1)), dtype)
        return fn.product(F, ones, ones, transpose_b=True)


def _active(F, x, columns):
    """The runs of columns of x (B, n, d)."""
    parts = [F.slice_axis(x, axis=2, begin=begin, end=end) for begin, end in columns]
    return parts[0] if len(parts) == 1 else F.concat(*parts, dim=2)
