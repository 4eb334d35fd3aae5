"""The numbers a finished job reports."""

import platform
import sys
from typing import Any, Dict, List, NamedTuple, Optional

import mxnet as mx
import numpy as np

from .._version import __version__

# The 97.5 % quantile of the standard normal distribution.
BAND = 1.959963984540054


class Band(NamedTuple):
    """The share of so many observations inside of a band, and the one that the band promises."""

    what: str
    count: int  # type: ignore[assignment]
    share: float
    promised: float


def holdout_bands(metrics: Dict[str, Any]) -> List[Band]:
    """The 95 % band, if there was a hold-out."""
    holdout = metrics["holdout"]
    if holdout is None:
        return []
    return [Band("hold-out", holdout["rows"], holdout["coverage_95"], 0.95)]


def holdout_metrics(
    y: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> Optional[Dict[str, Any]]:
    """RMSE, mean negative log predictive density and the share of y inside the 95 % band."""
    if len(y) == 0:
        return None
    residual = y - mean
    density = 0.5 * (np.log(2.0 * np.pi * variance) + residual**2 / variance)
    inside = np.abs(residual) <= BAND * np.sqrt(variance)
    return {
        "rows": len(y),
        "rmse": float(np.sqrt(np.mean(residual**2))),
        "nlpd": float(np.mean(density)),
        "coverage_95": float(np.mean(inside)),
    }


def nlml_metrics(initial: float, trained: float, count: int) -> Dict[str, float]:
    """Negative log marginal likelihoods, in units of the model's target."""
    return {
        "initial": initial,
        "trained": trained,
        "initial_per_observation": initial / count,
        "trained_per_observation": trained / count,
    }


def versions() -> Dict[str, str]:
    import scipy

    return {
        "gluon_linalg": __version__,
        "mxnet": mx.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "platform": sys.platform,
    }
