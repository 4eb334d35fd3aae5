"""Regression on covariates."""

from typing import Any, List, Optional, Sequence, Union

import numpy as np

from ...typing import Array, Namespace
from .arrays import matrix
from .base import Component, Prior, Stored


class Regression(Component):
    """A linear effect of covariates, x_tᵀ β_t.

    β_{t+1} = β_t, or with drifting=True  β_{t+1} = β_t + ξ_t,  ξ_t ~ N(0, coefficient_variance)
    with one learnable variance for each coefficient.

    features: k, the number of covariates, which come with each call as (B or 1, T, k), in any
    units. State β_t (k), contribution x_tᵀ β_t. coefficient_variance: initial values, one number
    or k, in squared units of y per unit of the covariate. A constant covariate beside a trend is
    not identified: leave it out. Durbin & Koopman 2012, section 3.6; Harvey 1989, chapter 7.

    Raises ValueError for a number of features, a variance or a prior that is none.

    >>> model = gl.StructuralModel(gl.structural.Regression(1), noise_variance=1.0)
    >>> model.initialize()
    >>> x = mx.nd.array([[[1.0], [2.0], [3.0], [4.0]]])  # that of the forecast is the last
    >>> mean, _ = model.forecaster(1)(mx.nd.array([[2.0, 4.0, 6.0]]), x)
    >>> round(mean.asnumpy().item(), 4)
    8.0
    """

    kind = "regression"

    def __init__(
        self,
        features: int,
        drifting: bool = False,
        coefficient_variance: Union[float, Sequence[float]] = 1.0,
        prior: Prior = None,
        **kwargs: Any,
    ) -> None:
        if not (isinstance(features, int) and features >= 1):
            raise ValueError(f"Regression: features is {features!r}, expected an integer from 1.")
        super().__init__(features, **kwargs)
        self.features, self.required = features, 2
        self.coefficient_variance = None
        if drifting:
            variance = np.broadcast_to(np.asarray(coefficient_variance), (features,))
            self.coefficient_variance = self._disturb(
                range(features), "coefficient_variance", variance
            )
        self._set_prior(prior)
        self.drifts = self.coefficient_variance is not None
        self.is_coefficient = (True,) * features
        self.state_names = [f"coefficient {k + 1}" for k in range(features)]

    def transition(self, F: Namespace, one: Array, **values: Array) -> Array:
        size = self.state_size
        return matrix(F, one, np.eye(size).tolist())

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        return F.expand_dims(covariates, axis=2)

    def variances(self, F: Namespace, like: Array, stored: Optional[Stored] = None) -> List[Array]:
        # In other units than those of y.
        return []
