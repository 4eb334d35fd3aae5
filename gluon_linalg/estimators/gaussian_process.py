"""Gaussian process regression."""

import copy
from typing import Any, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..blocks import GPLikelihoodLayer, kernels
from ..fitting.fit import fit
from .bayesian_regression import unit_where_zero
from .checked import fitted_data, new_data


class GPRegressor(RegressorMixin, BaseEstimator):
    """Exact Gaussian process regression, hyperparameters by maximum likelihood.

    y = m + σ_y (f(x) + ε),  f ~ GP(0, k),  ε ~ N(0, noise_variance), m and σ_y mean and standard
    deviation of y: -log N(y | 0, K + noise_variance I) is minimized by L-BFGS
    (`GPLikelihoodLayer`, `gluon_linalg.fit`).

    kernel: a kernel of `gluon_linalg.kernels`, of which the estimator trains a copy, for y of unit
    variance; None for RBF with a lengthscale for each column, √d standard deviations of it at
    first. noise_variance: at first. restarts: more starts for L-BFGS. iterations: the most of each.
    random_state: of the restarts, a number or None.

    Fitted: `predictor_`, a `GPPredictor` of f, which exports; `kernel_`; `noise_variance_`, in
    units of y; `result_`, the `FitResult`; `log_marginal_likelihood_`, of y / σ_y.
    Rasmussen & Williams 2006, chapters 2 and 5.

    >>> from gluon_linalg.estimators import GPRegressor
    >>> x = np.linspace(0, 6, 30)[:, None]
    >>> model = GPRegressor().fit(x, np.sin(x[:, 0]))
    >>> bool(abs(model.predict([[1.5]])[0] - np.sin(1.5)) < 0.01)
    True
    """

    def __init__(
        self,
        kernel: Optional[kernels.Kernel] = None,
        noise_variance: float = 0.1,
        restarts: int = 0,
        iterations: int = 200,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.noise_variance = noise_variance
        self.restarts = restarts
        self.iterations = iterations
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "GPRegressor":
        """The posterior given X (n, d) and y (n,)."""
        X, y = fitted_data(self, X, y, y_numeric=True)
        self._y_mean, self._y_scale = y.mean(), float(unit_where_zero(y.std()))
        targets = (y - self._y_mean) / self._y_scale
        layer = GPLikelihoodLayer(
            starting_kernel(self.kernel, X), noise_variance=self.noise_variance, jitter="auto"
        )
        initialize(layer)
        self.result_ = fit(
            layer,
            X,
            targets,
            iterations=self.iterations,
            restarts=self.restarts,
            seed=seed_of(self.random_state),
            bounds={"noise_variance": (1e-9, None)},
            progress=False,
        )
        self.kernel_ = layer.kernel
        self.predictor_ = layer.condition(X, targets)
        self.log_marginal_likelihood_ = self.result_.log_likelihood
        noise = self.result_.parameters["noise_variance"]
        self.noise_variance_ = float(np.ravel(noise)[0]) * self._y_scale**2
        return self

    def predict(
        self, X: Any, return_std: bool = False, return_cov: bool = False
    ) -> Union[np.ndarray, Tuple[np.ndarray, np.ndarray]]:
        """The mean of new y, (m, d) -> (m,).

        With return_std (m,) their standard deviations as well, or with return_cov (m, m) their
        covariance; both have the noise in them.
        """
        if return_std and return_cov:
            raise ValueError("predict: give return_std or return_cov, not both.")
        X = self._inputs(X)
        mean, variance = (array[0].asnumpy() for array in self.predictor_(X))
        mean = self._y_mean + self._y_scale * mean
        if return_std:
            return mean, np.sqrt(self._y_scale**2 * variance + self.noise_variance_)
        if return_cov:
            latent = self.predictor_.covariance(X)[0].asnumpy()
            noise = self.noise_variance_ * np.eye(len(latent))
            return mean, self._y_scale**2 * latent + noise
        return mean

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Joint draws of new y, (m, d) -> (m, n_samples)."""
        mean, covariance = self.predict(X, return_cov=True)
        random = check_random_state(random_state)
        return random.multivariate_normal(mean, covariance, n_samples).T

    def _inputs(self, X: Any) -> mx.nd.NDArray:
        check_is_fitted(self)
        return mx.nd.array(new_data(self, X)[np.newaxis], dtype="float64")


def starting_kernel(kernel: Optional[kernels.Kernel], X: np.ndarray) -> kernels.Kernel:
    """A copy of a kernel, or RBF with a lengthscale for each column of X."""
    if kernel is not None:
        return copy.deepcopy(kernel)
    scale = unit_where_zero(X.std(axis=0)) * np.sqrt(X.shape[1])
    return kernels.RBF(lengthscale=scale.tolist() if len(scale) > 1 else float(scale[0]))


def initialize(layer: mx.gluon.HybridBlock) -> None:
    """In float64, but for parameters that have their values."""
    for parameter in layer.collect_params().values():
        if parameter._data is None:
            parameter.initialize()
    layer.cast("float64")


def seed_of(random_state: Any) -> int:
    """A number from what scikit-learn takes for a state of random numbers."""
    return int(check_random_state(random_state).randint(2**31 - 1))
