"""Principal components and linear discriminants."""

from typing import Any, Optional

import mxnet as mx
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ..blocks import LDABlock, PCABlock
from .checked import fitted_data, new_data


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Scores on principal components, (n, d) -> (n, k), by `PCABlock.fit`.

    scores = (x - μ) U_kᵀ  [/ √λ when `whiten`],  S = Uᵀ diag(λ) U,

    S the sample covariance, by singular values of the centred data; the largest element of each
    component is positive.

    n_components: k; None for all, min(n, d). whiten: scores of unit variance.

    Fitted: `projection_`, a `ProjectionBlock` that exports; `components_` (k, d), of length 1;
    `explained_variance_` (k,); `explained_variance_ratio_` (k,), of the total variance;
    `mean_` (d,). Raises ValueError where k is above min(n, d). Jolliffe 2002.

    >>> from gluon_linalg.estimators import PCA
    >>> scores = PCA(1).fit_transform([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> scores.round(4).ravel().tolist()
    [-5.0, 0.0, 5.0]
    """

    def __init__(self, n_components: Optional[int] = None, whiten: bool = False) -> None:
        self.n_components = n_components
        self.whiten = whiten

    def fit(self, X: Any, y: Any = None) -> "PCA":
        """Components of X (n, d); y is not used."""
        X = fitted_data(self, X)
        most = min(X.shape)
        count = most if self.n_components is None else self.n_components
        if not 1 <= count <= most:
            raise ValueError(
                f"n_components is {count}; {X.shape[0]} samples of {X.shape[1]} features have "
                f"1 to {most} components."
            )
        self.projection_ = PCABlock(k=int(count), whiten=self.whiten).fit(X)
        self.explained_variance_ = self.projection_.values
        total = X.var(axis=0, ddof=1).sum()
        self.explained_variance_ratio_ = self.explained_variance_ / (total if total > 0 else 1.0)
        self.mean_ = self.projection_.mean.data().asnumpy()
        columns = self.projection_.matrix.data().asnumpy()
        lengths = np.linalg.norm(columns, axis=0)
        self.components_ = (columns / np.where(lengths > 0, lengths, 1.0)).T
        self._n_features_out = int(count)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Scores of X, (m, d) -> (m, k)."""
        check_is_fitted(self)
        return _projected(self.projection_, new_data(self, X))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The nearest points to μ that have these scores, (m, k) -> (m, d)."""
        check_is_fitted(self)
        scores = np.asarray(X, dtype="float64")[np.newaxis]
        return self.projection_.reconstruct(mx.nd.array(scores, dtype="float64"))[0].asnumpy()


class LDA(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """Linear discriminant analysis: directions that tell classes apart, and a classifier.

    S_b w = λ (S_w + ridge I) w;  p(c | x) ∝ π_c exp(-½ |z - z_c|²),  z = (x - μ) W,
    with W scaled so that Wᵀ (S_w + ridge I) W = I, by `LDABlock.fit`.

    n_components: k, of the scores; None for min(classes - 1, d); the classifier uses all
    directions. ridge: added to the within-class scatter, in units of its mean diagonal.

    Fitted: `projection_`, a `ProjectionBlock` that exports; `classes_`; `eigenvalues_`;
    `priors_` and `means_` (classes, directions), shares and mean scores of the classes. Raises
    SingularMatrixError where the scatter is singular and ridge 0. Fisher 1936.

    >>> from gluon_linalg.estimators import LDA
    >>> model = LDA().fit([[0.0], [2.0], [10.0], [12.0]], ["a", "a", "b", "b"])
    >>> model.predict([[1.0], [11.0]]).tolist()
    ['a', 'b']
    """

    def __init__(self, n_components: Optional[int] = None, ridge: float = 1e-8) -> None:
        self.n_components = n_components
        self.ridge = ridge

    def fit(self, X: Any, y: Any) -> "LDA":
        """Directions for X (n, d) with labels y (n,) of any kind."""
        X, y = fitted_data(self, X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class only; discriminants need two or more classes.")
        directions = min(len(self.classes_) - 1, X.shape[1])
        wanted = directions if self.n_components is None else self.n_components
        if not 1 <= wanted <= directions:
            raise ValueError(
                f"n_components is {wanted}; {len(self.classes_)} classes of {X.shape[1]} features "
                f"have 1 to {directions} directions."
            )
        layer = LDABlock(len(self.classes_), k=directions, ridge=self.ridge, relative_ridge=True)
        self.projection_ = layer.fit(X, labels.astype("float64"))
        self.eigenvalues_ = self.projection_.values
        scores = _projected(self.projection_, X)
        counts = np.bincount(labels)
        self.priors_ = counts / len(labels)
        self.means_ = np.stack([scores[labels == c].mean(axis=0) for c in range(len(counts))])
        self._n_features_out = int(wanted)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Scores on the directions, (m, d) -> (m, k)."""
        check_is_fitted(self)
        return _projected(self.projection_, new_data(self, X))[:, : self._n_features_out]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log p(c | x), (m, d) -> (m, classes)."""
        check_is_fitted(self)
        scores = _projected(self.projection_, new_data(self, X))
        squares = np.square(scores[:, np.newaxis] - self.means_).sum(axis=2)
        logits = np.log(self.priors_) - 0.5 * squares
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(c | x), (m, d) -> (m, classes)."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable classes, (m, d) -> (m,)."""
        chosen = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[chosen]


def _projected(projection: Any, X: np.ndarray) -> np.ndarray:
    return projection(mx.nd.array(X[np.newaxis], dtype="float64"))[0].asnumpy()
