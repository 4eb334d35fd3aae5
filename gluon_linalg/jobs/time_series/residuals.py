"""What is told of residuals: tables, and tests as JSON has them."""

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from ...analysis.residuals import ResidualTest
from ...analysis.state_space import Innovations
from ..predictions import Columns, cells

RESIDUALS = "residuals.csv"


def residual_columns(times: Tuple[str, List[str]], found: Innovations, element: int = 0) -> Columns:
    """Standardized residuals of an element of y, and the t statistics of outliers in it.

    times: the column of times; cells are empty where there is none.
    """
    outliers = np.where(found.observed, found.outliers, np.nan)[:, element]
    residuals = found.standardized[:, element]
    return [times, ("standardized_residual", cells(residuals)), ("outlier_t", cells(outliers))]


def told(tests: Sequence[ResidualTest]) -> List[Dict[str, Any]]:
    """Tests as JSON has them, which has no NaN."""
    keys = ("test", "statistic", "p")
    return [dict(zip(keys, map(_or_none, one))) for one in tests]


def _or_none(value):
    return None if isinstance(value, float) and np.isnan(value) else value
