"""Bayesian linear regression."""

from typing import Any, Tuple, Union

import mxnet as mx
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..blocks import BLRLikelihoodLayer
from ..fitting.fit import fit
from .checked import SeveralTargets, fitted_data, new_data

# In units of the variance of y. Without the first one exact data have a likelihood without bound.
BOUNDS = {"noise_variance": (1e-9, None), "prior_variance": (1e-9, 1e9)}


class BayesianRegressor(SeveralTargets, RegressorMixin, BaseEstimator):
    """Linear regression whose prior and noise variance maximize the marginal likelihood.

    y = β_0 + x β + ε,  β_j ~ N(0, v_j σ_y²/σ_j²),  ε ~ N(0, s).

    -log N(y | 0, Φ V Φᵀ + S) is minimized over v and s, on columns and y of zero mean and unit
    variance (`BLRLikelihoodLayer`). Several targets, y (n, k), have weights of their own, and v and
    s in common.

    automatic_relevance: whether each feature has a v_j of its own (else all share one), which
    switches off what does not help. iterations: the most of L-BFGS.

    Fitted, in the units of X and y: `coef_` (d,) and `intercept_`, posterior means; `coef_std_`
    (d,) and `intercept_std_`; `noise_variance_`; of several targets (k, d) and (k,). `result_`, the
    `FitResult`; `predictor_`, a `BLRPredictor` of the standardized features. Bishop 2006, section
    3.5.

    >>> from gluon_linalg.estimators import BayesianRegressor
    >>> x = np.linspace(0, 1, 30)[:, None]
    >>> model = BayesianRegressor().fit(x, 1.0 + 2.0 * x[:, 0] + 0.01 * np.cos(50 * x[:, 0]))
    >>> model.coef_.round(1).tolist(), round(model.intercept_, 1)
    ([2.0], 1.0)
    """

    def __init__(self, automatic_relevance: bool = False, iterations: int = 200) -> None:
        self.automatic_relevance = automatic_relevance
        self.iterations = iterations

    def fit(self, X: Any, y: Any) -> "BayesianRegressor":
        """The posterior given X (n, d) and y (n,) or (n, k)."""
        X, y = fitted_data(self, X, y, y_numeric=True, multi_output=True)
        self._x_mean, self._x_scale = X.mean(axis=0), unit_where_zero(X.std(axis=0))
        self._y_mean, self._y_scale = y.mean(axis=0), unit_where_zero(y.std(axis=0))
        phi, targets = self._features(X), (y - self._y_mean) / self._y_scale
        layer = BLRLikelihoodLayer(
            np.full(X.shape[1], 1.0) if self.automatic_relevance else 1.0,
            noise_variance=0.5,
            targets=None if y.ndim == 1 else y.shape[1],
        )
        layer.initialize()
        layer.cast("float64")
        self.result_ = fit(
            layer, phi, targets, iterations=self.iterations, bounds=BOUNDS, progress=False
        )
        self.predictor_ = layer.condition(phi, targets, include_noise=True)
        mean, covariance = (array[0].asnumpy() for array in self.predictor_.weights())
        unit = self._y_scale[..., np.newaxis] / self._x_scale
        self.coef_, self.coef_std_ = mean.T * unit, np.sqrt(np.diagonal(covariance)) * unit
        noise = self.result_.parameters["noise_variance"]
        self.noise_variance_ = float(np.ravel(noise)[0]) * self._y_scale**2
        shift = self._x_mean / self._x_scale
        self.intercept_ = self._y_mean - self.coef_ @ self._x_mean
        spread = shift @ covariance @ shift * self._y_scale**2 + self.noise_variance_ / len(y)
        self.intercept_std_ = np.sqrt(spread)
        if y.ndim == 1:
            for name in ("noise_variance_", "intercept_", "intercept_std_"):
                setattr(self, name, float(getattr(self, name)))
        return self

    def predict(
        self, X: Any, return_std: bool = False
    ) -> Union[np.ndarray, Tuple[np.ndarray, np.ndarray]]:
        """The mean of new y, (m, d) -> (m,) or (m, k); with return_std also their std."""
        check_is_fitted(self)
        phi = mx.nd.array(self._features(new_data(self, X))[np.newaxis], dtype="float64")
        mean, variance = (array[0].asnumpy() for array in self.predictor_(phi))
        mean = self._y_mean + self._y_scale * mean
        return (mean, self._y_scale * np.sqrt(variance)) if return_std else mean

    def _features(self, X: np.ndarray) -> np.ndarray:
        return (X - self._x_mean) / self._x_scale


def unit_where_zero(scale: Any) -> Any:
    """1 in place of what is 0: the scale of constants."""
    return np.where(scale > 0, scale, 1.0)
