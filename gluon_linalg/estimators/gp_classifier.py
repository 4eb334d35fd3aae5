"""Gaussian process classification."""

from typing import Any, Optional, Tuple

import mxnet as mx
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ..blocks import SVGPLikelihoodLayer, kernels, likelihoods
from ..fitting.fit import fit
from .checked import fitted_data, new_data
from .gaussian_process import initialize, starting_kernel, starting_points

# Of the posterior under fixed hyperparameters, and how often the two take turns.
STEPS, ROUNDS = 4, 3


class GPClassifier(ClassifierMixin, BaseEstimator):
    """Variational Gaussian process classification, (n, d) -> classes.

    p(y = 1 | f) = Φ(f) for two classes, p(y = c | f) = softmax(f)_c for more, with a process for
    each class: the bound of `SVGPLikelihoodLayer` is maximized by natural gradient steps of the
    variational posterior in turn with L-BFGS on the hyperparameters.

    kernel: as in `GPRegressor`; None for RBF. n_inducing: the most inducing points, rows of X or
    centres of clusters. iterations: the most of L-BFGS in each turn. random_state: of the inducing
    points.

    Fitted: `classes_`; `layer_`, the `SVGPLikelihoodLayer`; `predictor_`, a `SparseGPPredictor` of
    y, which exports; `kernel_`; `bound_`, the lower bound on log p(y).
    Hensman, Matthews & Ghahramani 2015.

    >>> from gluon_linalg.estimators import GPClassifier
    >>> x = np.linspace(-2, 2, 20)[:, None]
    >>> model = GPClassifier(iterations=5).fit(x, x[:, 0] > 0)
    >>> model.predict([[-1.5], [1.5]]).tolist()
    [False, True]
    """

    def __init__(
        self,
        kernel: Optional[kernels.Kernel] = None,
        n_inducing: int = 100,
        iterations: int = 20,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.n_inducing = n_inducing
        self.iterations = iterations
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "GPClassifier":
        """The posterior given X (n, d) and labels y (n,) of any kind."""
        X, y = fitted_data(self, X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError("y has one class only; a classifier needs two or more classes.")
        likelihood = likelihoods.Bernoulli() if count == 2 else likelihoods.Categorical(count)
        layer = SVGPLikelihoodLayer(
            starting_kernel(self.kernel, X),
            starting_points(X, self.n_inducing, self.random_state),
            likelihood,
            jitter=1e-6,
        )
        initialize(layer)
        variational = (layer.variational_mean, layer.variational_factor, layer.inducing_points)
        for parameter in variational:
            parameter.grad_req = "null"
        data = X, labels.astype("float64")
        _settle(layer, data)
        for _ in range(ROUNDS):
            result = fit(layer, *data, iterations=self.iterations, progress=False)
            _settle(layer, data)
        self.layer_, self.kernel_ = layer, layer.kernel
        self.bound_ = -float(result.loss)
        self.predictor_ = layer.predictor(include_noise=True)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (m, d) -> (m, classes)."""
        check_is_fitted(self)
        X = mx.nd.array(new_data(self, X)[np.newaxis], dtype="float64")
        found = self.predictor_(X)[0][0].asnumpy()
        if len(self.classes_) == 2:
            return np.stack([1.0 - found, found], axis=1)
        return found / found.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable classes, (m, d) -> (m,)."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return self.classes_[chosen]


def _settle(layer: SVGPLikelihoodLayer, data: Tuple[np.ndarray, np.ndarray]) -> None:
    """Brings the variational posterior near its optimum under the present hyperparameters."""
    for _ in range(STEPS):
        layer.natural_step(*data, step=0.7)
