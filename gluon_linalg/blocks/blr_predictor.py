"""The posterior of Bayesian linear regression (Bishop, equations 3.49 to 3.51 and 3.59)."""

from typing import Any, Mapping, Optional, Tuple

import mxnet as mx

from .. import functional as fn
from ..errors import DtypeError, ShapeError
from ..typing import Array, Namespace
from .base import LinearAlgebraBlock


class BLRPredictor(LinearAlgebraBlock):
    """phi -> (mean, variance) of the posterior of Φ w, (B, m, d) -> (B, m), (B, m).

    mean = Φ μ,  variance_i = |P⁻¹ φ_i|²  [+ noise variance],

    with the mean μ of the weights and the lower factor P of their precision, Σ⁻¹ = P Pᵀ, computed
    once by `BLRLikelihoodLayer.condition`; with k targets both are (B, m, k). The variance is a
    sum of squares: no rounding makes it negative. Exports like any block.

    Raises ShapeError, DtypeError. Bishop 2006, section 3.3.2.

    >>> layer = gl.BLRLikelihoodLayer(prior_variance=1.0, noise_variance=1.0)
    >>> layer.initialize()
    >>> predictor = layer.condition([[1.0]], [2.0])  # w has mean 1 and variance ½
    >>> print(*(a.asnumpy().round(4) for a in predictor(mx.nd.array([[[2.0]]]))))
    [[2.]] [[2.]]
    """

    arguments = (("phi", "B m d"),)

    def __init__(
        self,
        weight_mean: Array,
        precision_factor: Array,
        noise_variance: Optional[Array] = None,
        targets: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._targets = targets
        with self.name_scope():
            self.weight_mean = self.params.get_constant("weight_mean", weight_mean)
            self.precision_factor = self.params.get_constant("precision_factor", precision_factor)
            if noise_variance is not None:
                self.noise_variance = self.params.get_constant("noise_variance", noise_variance)
        self.params.initialize(ctx=weight_mean.context)

    def hybrid_forward(
        self,
        F: Namespace,
        phi: Array,
        weight_mean: Array,
        precision_factor: Array,
        noise_variance: Optional[Array] = None,
    ) -> Tuple[Array, Array]:
        mean = fn.product(F, phi, weight_mean)
        whitened = fn.triangular_solve(F, precision_factor, fn.transpose(F, phi))
        variance = F.sum(F.square(whitened), axis=1)
        if noise_variance is not None:
            variance = F.broadcast_add(variance, F.reshape(noise_variance, shape=(1, 1)))
        if self._targets is None:
            return F.squeeze(mean, axis=2), variance
        return mean, F.broadcast_like(F.expand_dims(variance, axis=2), fn.stop(F, mean))

    def mean(self, phi: Array) -> Array:
        """The posterior mean, (B, m, d) -> (B, m)."""
        return self(phi)[0]

    def variance(self, phi: Array) -> Array:
        """The posterior variance, (B, m, d) -> (B, m)."""
        return self(phi)[1]

    def weights(self) -> Tuple[Array, Array]:
        """The posterior mean and covariance of the weights, (B, d) or (B, d, k), and (B, d, d)."""
        mean = self.weight_mean.data()
        covariance = fn.factor_inverse(mx.nd, self.precision_factor.data())
        if self._targets is None:
            mean = mean.squeeze(axis=2)
        return mean, fn.symmetrize(mx.nd, covariance)

    def check_cast(self, dtype: str) -> None:
        """Not possible: the factor belongs to the dtype it was computed in."""
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: cannot cast to {dtype}; cast the BLRLikelihoodLayer and condition "
                f"again: the factor of the data was computed in {self.dtype}."
            )

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        batch, columns, _ = self.weight_mean.shape
        if sizes["B"] != batch or sizes["d"] != columns:
            raise ShapeError(
                f"{self.name}: 'phi' has batch {sizes['B']} and {sizes['d']} features; the data it "
                f"was conditioned on has batch {batch} and {columns} features."
            )
