"""Bayesian linear regression (Seeger et al. 2017, section 2.2; Bishop, section 3.5)."""

from typing import Any, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.regression import Observed, observed_data, regression_nll, regression_posterior
from ..typing import Array, ArrayLike, Namespace
from .base import LinearAlgebraBlock
from .blr_predictor import BLRPredictor
from .parameters import (
    ONE,
    PositiveParameter,
    check_include_noise,
    parameter_array,
    positive_parameter,
)


class BLRLikelihoodLayer(LinearAlgebraBlock):
    """Negative log marginal likelihood of Bayesian linear regression, (phi, y) -> (B,).

    y = Φ w + ε,  w ~ N(0, V),  ε ~ N(0, S):  φ = -log N(y | 0, Φ V Φᵀ + S),
    V = diag(prior_variance),  S = noise_variance I  [+ diag(noise)].

    phi: (B, n, d) features, of any rank and with d below, at or above n; y: (B, n) targets, or
    (B, n, k) with targets=k, which share V, S and the factorization, and whose φ are added;
    noise: (B, n), optional known variances of single observations, added to the learned one;
    mask: (B, n), optional, 1 where an observation counts and 0 where it does not, whatever stands
    there. Both may be None.

    prior_variance: the initial value of a learnable parameter, one number or one for each
    feature. noise_variance: likewise, one number; None for no such parameter, with `noise` given.
    An intercept is a feature of ones. Computed by LQ of [I, S^-½ Φ V^½ transposed], whose
    condition number is the square root of that of a Cholesky factorization, with an analytic
    gradient, also to phi (`functional.regression_nll`). Costs d² (n + d).

    Raises NonFiniteError, ShapeError, DtypeError.

    >>> layer = gl.BLRLikelihoodLayer(prior_variance=1.0, noise_variance=1.0)
    >>> layer.initialize()
    >>> round(layer(mx.nd.array([[[1.0]]]), mx.nd.array([[0.0]])).asnumpy().item(), 4)  # ½ log 2π·2
    1.2655
    """

    required = 2

    def __init__(
        self,
        prior_variance: ArrayLike = ONE,
        noise_variance: Optional[float] = ONE,
        targets: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if targets is not None and not (isinstance(targets, int) and targets > 0):
            raise ValueError(f"{self.name}: targets is {targets!r}, expected None or a number.")
        shapes = (
            np.shape(prior_variance),
            () if noise_variance is None else np.shape(noise_variance),
        )
        if len(shapes[0]) > 1 or len(shapes[1]) > 0:
            raise ShapeError(
                f"{self.name}: prior_variance has shape {shapes[0]} and "
                f"noise_variance {shapes[1]}; expected one number, or for the prior "
                "one for each feature."
            )
        self._targets = targets
        self.arguments = (
            ("phi", "B n d"),
            ("y", "B n" if targets is None else "B n k"),
            ("noise", "B n"),
            ("mask", "B n"),
        )
        with self.name_scope():
            self.prior_variance = positive_parameter(
                self, "prior_variance", prior_variance, lower=1e-30
            )
            self.noise_variance = None
            if noise_variance is not None:
                self.noise_variance = positive_parameter(
                    self, "noise_variance", noise_variance, lower=1e-10
                )

    def hybrid_forward(
        self,
        F: Namespace,
        phi: Array,
        y: Array,
        noise: Optional[Array] = None,
        mask: Optional[Array] = None,
        **stored: Any,
    ) -> Array:
        observed, prior_variance = self._model(F, phi, y, noise, mask)
        return regression_nll(F, observed, prior_variance, self._targets or 1, self.name)

    def condition(
        self,
        phi: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
        include_noise: bool = False,
    ) -> BLRPredictor:
        """The posterior given data, a `BLRPredictor`: phi -> (mean, variance).

        phi, y, noise, mask: as in a call of the layer, but NumPy arrays as well, and with or
        without the batch axis, which the predictor has; they are brought to the layer's dtype.
        The data are factored once, here. The predictor holds copies: training the layer further
        does not change it. include_noise: whether its variance is that of a new observation, with
        noise_variance, or of Φ w.
        """
        data = self._all_data(phi, y, noise, mask)
        check_include_noise(self, include_noise)
        observed, prior_variance = self._model(mx.nd, *data)
        posterior = regression_posterior(mx.nd, observed, prior_variance, self.name)
        deviation = mx.nd.sqrt(prior_variance).detach().expand_dims(axis=2)
        weights = mx.nd.broadcast_mul(posterior.weights, deviation)
        precision_factor = mx.nd.broadcast_div(posterior.factor, deviation)
        noise_variance = None
        if include_noise and self.noise_variance is not None:
            noise_variance = self._natural(mx.nd, self.noise_variance, data[0])
        with self.name_scope():
            return BLRPredictor(weights, precision_factor, noise_variance, self._targets)

    def _bound(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Tuple[Any, ...]:
        args = super()._bound(args, keywords)
        if self.noise_variance is None and (len(args) < 3 or args[2] is None):
            raise TypeError(
                f"{self.name}: noise_variance is None, so every call needs `noise`, the (B, n) "
                "variances of the observations."
            )
        return args

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        features = self.prior_variance.shape[0]
        if features not in (1, sizes["d"]):
            raise ShapeError(
                f"{self.name}: 'phi' has {sizes['d']} features, but prior_variance has one value "
                f"for each of {features}."
            )
        if sizes.get("k", self._targets) != self._targets:
            raise ShapeError(
                f"{self.name}: 'y' has {sizes['k']} targets, but the layer was built with "
                f"targets={self._targets}."
            )

    def _model(
        self, F: Namespace, phi: Array, y: Array, noise: Optional[Array], mask: Optional[Array]
    ) -> Tuple[Observed, Array]:
        """What is observed, with targets (B, n, k), and the prior variances (1, 1 or d)."""
        if self._targets is None:
            y = F.expand_dims(y, axis=2)
        if noise is None:
            one_target = F.slice_axis(y, axis=2, begin=0, end=1)
            variances = fn.zeros_like(F, F.reshape(one_target, shape=(0, -1)))
        else:
            variances = noise
        if self.noise_variance is not None:
            learned = self._natural(F, self.noise_variance, phi)
            variances = F.broadcast_add(variances, F.reshape(learned, shape=(1, 1)))
        prior_variance = F.reshape(self._natural(F, self.prior_variance, phi), shape=(1, -1))
        return observed_data(F, phi, y, variances, mask, self.name), prior_variance

    def _natural(self, F: Namespace, parameter: PositiveParameter, like: Array) -> Array:
        return parameter.natural(F, parameter_array(F, parameter, like))
