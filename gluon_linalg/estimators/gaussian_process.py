"""Gaussian process regression."""

import copy
from typing import Any, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..blocks import GPLikelihoodLayer, SGPRLikelihoodLayer, kernels
from ..fitting.fit import fit
from ..fitting.inducing_points import inducing_points
from .bayesian_regression import unit_where_zero
from .checked import SeveralTargets, fitted_data, new_data


class GPRegressor(SeveralTargets, RegressorMixin, BaseEstimator):
    """Gaussian process regression, hyperparameters by maximum likelihood.

    y = m + σ_y (f(x) + ε),  f ~ GP(0, k),  ε ~ N(0, noise_variance),

    with mean m and standard deviation σ_y of y: -log N(y | 0, K + noise_variance I) is minimized by
    L-BFGS (`GPLikelihoodLayer`, `gluon_linalg.fit`). Several targets, y (n, k), are independent
    processes with one kernel and one noise variance in units of their own variances.

    kernel: a kernel of `gluon_linalg.kernels`, of which the estimator trains a copy, for y of unit
    variance; None for RBF with a lengthscale for each column, √d standard deviations of it at
    first. noise_variance: at first. restarts: more starts for L-BFGS. iterations: the most of each.
    n_inducing: None for the exact process, or for many rows the most inducing points, of which
    the time then is a multiple of the rows: Titsias' bound is maximized (`SGPRLikelihoodLayer`).
    random_state: of the restarts, a number or None.

    Fitted: `predictor_`, a `GPPredictor` or `SparseGPPredictor` of f, which exports, and of several
    targets has one on its batch axis; `kernel_`; `noise_variance_`, in units of y, of each target;
    `result_`, the `FitResult`; `log_marginal_likelihood_`, of y / σ_y, or with inducing points the
    bound on it. Rasmussen & Williams 2006, chapters 2 and 5; Titsias 2009.

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
        n_inducing: Optional[int] = None,
    ) -> None:
        self.kernel = kernel
        self.noise_variance = noise_variance
        self.restarts = restarts
        self.iterations = iterations
        self.random_state = random_state
        self.n_inducing = n_inducing

    def fit(self, X: Any, y: Any) -> "GPRegressor":
        """The posterior given X (n, d) and y (n,) or (n, k)."""
        X, y = fitted_data(self, X, y, y_numeric=True, multi_output=True)
        # Each target is an element of the batch, (k, n).
        columns = np.atleast_2d(y.T)
        self._is_one = y.ndim == 1
        self._y_mean = columns.mean(axis=1, keepdims=True)
        self._y_scale = unit_where_zero(columns.std(axis=1, keepdims=True))
        targets, X = (columns - self._y_mean) / self._y_scale, np.tile(X, (len(columns), 1, 1))
        layer = self._layer(X[0])
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
        self.log_marginal_likelihood_ = -self.result_.loss
        noise = float(np.ravel(self.result_.parameters["noise_variance"])[0])
        found = noise * self._y_scale[:, 0] ** 2
        self.noise_variance_ = float(found[0]) if self._is_one else found
        return self

    def predict(
        self, X: Any, return_std: bool = False, return_cov: bool = False
    ) -> Union[np.ndarray, Tuple[np.ndarray, np.ndarray]]:
        """The mean of new y, (m, d) -> (m,) or (m, k).

        With return_std their standard deviations as well, or with return_cov (m, m) or (m, m, k)
        their covariance; both have the noise in them.
        """
        if return_std and return_cov:
            raise ValueError("predict: give return_std or return_cov, not both.")
        X = self._inputs(X)
        mean, variance = (array.asnumpy() for array in self.predictor_(X))
        mean = self._as_y(self._y_mean + self._y_scale * mean)
        scale, noise = self._y_scale**2, np.reshape(self.noise_variance_, (-1, 1))
        if return_std:
            return mean, self._as_y(np.sqrt(scale * variance + noise))
        if return_cov:
            latent = self.predictor_.covariance(X).asnumpy()
            own = noise[:, :, np.newaxis] * np.eye(latent.shape[1])
            return mean, self._as_y(scale[:, :, np.newaxis] * latent + own)
        return mean

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Joint draws of new y, (m, d) -> (m, n_samples) or (m, k, n_samples)."""
        mean, covariance = self.predict(X, return_cov=True)
        random = check_random_state(random_state)
        if self._is_one:
            return random.multivariate_normal(mean, covariance, n_samples).T
        pairs = zip(mean.T, np.moveaxis(covariance, 2, 0))
        return np.stack([random.multivariate_normal(*own, n_samples).T for own in pairs], axis=1)

    def _layer(self, X: np.ndarray) -> Any:
        kernel = starting_kernel(self.kernel, X)
        if self.n_inducing is None:
            return GPLikelihoodLayer(kernel, noise_variance=self.noise_variance, jitter="auto")
        points = starting_points(X, self.n_inducing, self.random_state)
        return SGPRLikelihoodLayer(kernel, points, noise_variance=self.noise_variance)

    def _as_y(self, values: np.ndarray) -> np.ndarray:
        """(k, m, ...) as y was given: the first, or all on the last axis."""
        return values[0] if self._is_one else np.moveaxis(values, 0, -1)

    def _inputs(self, X: Any) -> mx.nd.NDArray:
        check_is_fitted(self)
        rows = np.tile(new_data(self, X), (len(self._y_scale), 1, 1))
        return mx.nd.array(rows, dtype="float64")


def starting_kernel(kernel: Optional[kernels.Kernel], X: np.ndarray) -> kernels.Kernel:
    """A copy of a kernel, or RBF with a lengthscale for each column of X."""
    if kernel is not None:
        return copy.deepcopy(kernel)
    scale = unit_where_zero(X.std(axis=0)) * np.sqrt(X.shape[1])
    return kernels.RBF(lengthscale=scale.tolist() if len(scale) > 1 else float(scale[0]))


def starting_points(X: np.ndarray, most: int, random_state: Any) -> np.ndarray:
    """Inducing points: all rows of X that differ, or the most centres of clusters."""
    rows = np.unique(X, axis=0)
    if len(rows) <= most:
        return rows
    return inducing_points(X, most, "kmeans", seed=seed_of(random_state))


def initialize(layer: mx.gluon.HybridBlock) -> None:
    """In float64, but for parameters that have their values."""
    for parameter in layer.collect_params().values():
        if parameter._data is None:
            parameter.initialize()
    layer.cast("float64")


def seed_of(random_state: Any) -> int:
    """A number from what scikit-learn takes for a state of random numbers."""
    return int(check_random_state(random_state).randint(2**31 - 1))
