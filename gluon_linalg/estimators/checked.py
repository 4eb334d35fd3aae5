"""What all estimators ask of data: scikit-learn's own checks, in float64."""

from typing import Any

import numpy as np

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # Before scikit-learn 1.6 it is a method.

    def validate_data(estimator: Any, *args: Any, **options: Any) -> Any:
        return estimator._validate_data(*args, **options)


def fitted_data(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
    """X (n, d), or X and y (n,), to be fitted to; remembers how many columns there were."""
    return validate_data(estimator, X, y, dtype=np.float64, ensure_min_samples=2, **options)


def new_data(estimator: Any, X: Any) -> np.ndarray:
    """X (m, d) with the columns that the estimator was fitted to."""
    return validate_data(estimator, X, dtype=np.float64, reset=False)
