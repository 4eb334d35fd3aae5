"""Random Fourier features of stationary kernels, for Bayesian linear regression."""

from typing import Any, Sequence, Union

import numpy as np

from .. import functional as fn
from ..errors import ShapeError, wrong_columns
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .given import given_parameter
from .parameters import positive_parameter

# Twice the smoothness of a Matérn kernel, the degrees of freedom of its frequencies; of the RBF
# they are normal.
FREEDOM = {"rbf": np.inf, "matern12": 1.0, "matern32": 3.0, "matern52": 5.0}


class RandomFourierFeatures(LinearAlgebraBlock):
    """φ(x) = (cos(x·w_1), ..., cos(x·w_F), sin(x·w_1), ..., sin(x·w_F))/√F, w_f = ω_f/lengthscale.

    x: (B, n, d) -> (B, n, 2F). With ω drawn from the spectrum of a kernel, φ(x)·φ(z) is on average
    the kernel of variance 1, with a standard deviation below 1/√F. A `BLRLikelihoodLayer` on them
    is then nearly the Gaussian process, its prior_variance the kernel's variance, in n F² time.

    columns: d; count: F; kernel: 'rbf', 'matern12', 'matern32' or 'matern52'; lengthscale: the
    initial value of a learnable parameter, one number or one for each column. The draws of ω are
    the parameter `frequency` (d, F), which has no gradient and is exported; seed: of the draws.
    Rahimi & Recht 2007, Random features for large-scale kernel machines.

    Raises ShapeError, DtypeError.

    >>> features = gl.RandomFourierFeatures(1, 500, kernel="rbf")
    >>> features.initialize()
    >>> phi = features(mx.nd.array([[[0.0], [1.0]]]))
    >>> abs(mx.nd.dot(phi[0, 0], phi[0, 1]).asscalar() - np.exp(-0.5)) < 0.1
    True
    """

    arguments = (("x", "B n d"),)

    def __init__(
        self,
        columns: int,
        count: int = 100,
        kernel: str = "rbf",
        lengthscale: Union[float, Sequence[float], np.ndarray] = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("columns", columns), ("count", count)):
            if not (isinstance(value, (int, np.integer)) and value > 0):
                raise ValueError(f"{self.name}: {name} is {value!r}, expected a number from 1 on.")
        if kernel not in FREEDOM:
            raise ValueError(f"{self.name}: kernel is {kernel!r}, expected {', '.join(FREEDOM)}.")
        if np.shape(lengthscale) not in ((), (1,), (columns,)):
            raise wrong_columns(self.name, "lengthscale", np.size(lengthscale), columns)
        self._count, self._columns = int(count), int(columns)
        with self.name_scope():
            self.lengthscale = positive_parameter(self, "lengthscale", lengthscale)
            draws = _frequencies(columns, count, FREEDOM[kernel], np.random.RandomState(seed))
            self.frequency = given_parameter(self, "frequency", draws)
            self.frequency.grad_req = "null"

    def hybrid_forward(self, F: Namespace, x: Array, lengthscale: Array, frequency: Array) -> Array:
        dtype = self.dtype
        # Differences of x are to survive, wherever x is.
        lengthscale = self.lengthscale.natural(F, F.cast(lengthscale, dtype="float64"))
        scaled = F.broadcast_div(
            F.cast(x, dtype="float64"), F.reshape(lengthscale, shape=(1, 1, -1))
        )
        angle = F.dot(scaled, fn.stop(F, F.cast(frequency, dtype="float64")))
        features = F.concat(F.cos(angle), F.sin(angle), dim=2) * self._count**-0.5
        return F.cast(features, dtype=dtype)

    def check_shapes(self, sizes: Any) -> None:
        if sizes["d"] != self._columns:
            raise ShapeError(
                f"{self.name}: 'x' has {sizes['d']} columns, the features are of {self._columns}."
            )


def _frequencies(
    columns: int, count: int, freedom: float, random: np.random.RandomState
) -> np.ndarray:
    """(columns, count): each from the multivariate t distribution, or the normal one."""
    normal = random.randn(columns, count)
    if np.isinf(freedom):
        return normal
    return normal / np.sqrt(random.chisquare(freedom, size=count) / freedom)
