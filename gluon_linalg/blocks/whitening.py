"""Whitening: features without correlation and with unit variance, as a normalization layer."""

import math
from typing import Any, Mapping, Optional

from .. import functional as fn
from ..errors import ShapeError
from ..functional.covariance import as_batch, require_in_range
from ..functional.spectral import matrix_inverse_sqrt
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock
from .moments import Moments

FORMS = ("zca", "pca", "cholesky")

# What is added to S beside epsilon, in units of ε tr S: above its rounding, which makes
# eigenvalues of deficient S negative.
ROUNDING = 64.0


class WhiteningBlock(LinearAlgebraBlock):
    """y = (x - μ) W with Wᵀ (S + s I) W = I, (B, n, d) -> (B, n, d).

    form   W, with S + s I = Uᵀ diag(λ) U = L Lᵀ
    zca    (S + s I)^{-1/2}: of all choices the y nearest to x
    pca    Uᵀ diag(λ)^{-1/2}: principal components, λ descending
    cholesky  L⁻ᵀ: y_j is x_j without what x_1 ... x_{j-1} explain

    S = Σ_i (x_i - μ)(x_i - μ)ᵀ / n;  s = epsilon + 64 ε tr S,

    s a constant in the gradient: epsilon as in gluon.nn.BatchNorm, and what rounding may hide (ε is
    1.1e-16 in float64, 6.0e-8 in float32). Variances far below s come out small, never as
    noise blown up to 1.

    x: n samples of d features. momentum: all B n samples are one set; in training μ and S are
    those of the batch, and in inference running averages over batches, as in gluon.nn.BatchNorm
    (updated in the forward pass); None: each of the B sets has its own, always. in_features: d,
    found in the first call if left out.

    The gradient goes through μ and S. For zca and cholesky it is exact, also where eigenvalues are
    equal; for pca it has no rotation among components with equal λ, as in `EigBlock`.
    Raises NonFiniteError, and NotPositiveDefiniteError for constant data with epsilon=0.
    Kessy, Lewin & Strimmer 2018; Huang et al. 2018, Decorrelated batch normalization.

    >>> x = np.random.RandomState(0).randn(50, 2) @ [[2.0, 1.0], [0.0, 1.0]]
    >>> white = gl.WhiteningBlock(momentum=None)(mx.nd.array(x[None]))
    >>> np.cov(white[0].asnumpy().T, bias=True).round(3) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """

    arguments = (("x", "B n d"),)

    def __init__(
        self,
        form: str = "zca",
        momentum: Optional[float] = 0.9,
        epsilon: float = 1e-5,
        in_features: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if form not in FORMS:
            raise ValueError(f"{self.name}: form is {form!r}, expected one of {', '.join(FORMS)}.")
        if not epsilon >= 0.0:
            raise ValueError(f"{self.name}: epsilon is {epsilon!r}; expected 0 or more.")
        self._form, self._epsilon, self._momentum = form, float(epsilon), momentum
        self.unique = form != "pca"
        with self.name_scope():
            # In units of √epsilon or more the epsilon below is in range, whatever the size of x.
            least_unit = 2.0 ** math.floor(math.log2(epsilon) / 2.0) if epsilon > 0.0 else 0.0
            self.moments = Moments(momentum, 0, in_features, least_unit)

    def hybrid_forward(self, F: Namespace, x: Array) -> Array:
        centred, _, covariance, unit = self.moments(x)
        covariance = require_in_range(F, covariance, self.name)
        white = fn.product(F, centred, self._matrix(F, self._shifted(F, covariance, unit)))
        return white if self._momentum is None else as_batch(F, white, x)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if self._momentum is None and sizes["n"] < 2:
            raise ShapeError(
                f"{self.name}: 'x' has one sample in each batch element; with momentum=None its "
                "covariance needs two or more."
            )

    def _shifted(self, F: Namespace, covariance: Array, unit: Any) -> Array:
        variances = fn.stop(F, fn.diagonal(F, covariance))
        total = F.sum(variances, axis=1, keepdims=True)
        unit = F.squeeze(unit, axis=2)
        shift = self._epsilon / unit / unit + ROUNDING * fn.unit_roundoff(F, total) * total
        return fn.shift_diagonal(F, covariance, fn.stop(F, shift))

    def _matrix(self, F: Namespace, covariance: Array) -> Array:
        """W, (B, d, d)."""
        if self._form == "zca":
            return matrix_inverse_sqrt(F, covariance, name=self.name)
        if self._form == "cholesky":
            factor = fn.cholesky(F, covariance, name=self.name)
            return fn.transpose(F, fn.triangular_solve(F, factor, fn.identity_like(F, factor)))
        components, variances = fn.eigh(F, covariance, self.name, descending=True)
        return fn.transpose(
            F, F.broadcast_mul(components, F.expand_dims(F.rsqrt(variances), axis=2))
        )
