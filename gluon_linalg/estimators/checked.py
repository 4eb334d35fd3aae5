"""What all estimators ask of data: scikit-learn's own checks, in float64."""

from typing import Any

import numpy as np

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # Before scikit-learn 1.6 it is a method.

    def validate_data(estimator: Any, *args: Any, **options: Any) -> Any:
        return estimator._validate_data(*args, **options)


def fitted_data(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
    """X (n, d), or X and y (n,) or (n, k), to be fitted to; remembers the columns of X."""
    found = validate_data(estimator, X, y, dtype=np.float64, ensure_min_samples=2, **options)
    if not options.get("y_numeric"):
        return found
    # scikit-learn lets text pass here.
    return found[0], found[1].astype(np.float64)


class SeveralTargets:
    """Tells scikit-learn that y may have several columns, in the way of its version."""

    def _more_tags(self) -> Any:
        return {"multioutput": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.multi_output = True
        return tags


def new_data(estimator: Any, X: Any) -> np.ndarray:
    """X (m, d) with the columns that the estimator was fitted to."""
    return validate_data(estimator, X, dtype=np.float64, reset=False)
