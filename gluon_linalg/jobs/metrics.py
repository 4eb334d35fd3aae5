"""The numbers a finished job reports."""

import platform
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from .._version import __version__
from ..plots.style import normal_width


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
    y: np.ndarray, mean: np.ndarray, variance: np.ndarray, levels: Sequence[float] = (95,)
) -> Optional[Dict[str, Any]]:
    """RMSE, mean negative log predictive density and the shares of y inside of bands.

    levels: of the bands in percent; that of 95 % is always among them.
    """
    if len(y) == 0:
        return None
    residual = y - mean
    density = 0.5 * (np.log(2.0 * np.pi * variance) + residual**2 / variance)
    scaled = np.abs(residual) / np.sqrt(variance)
    return {
        "rows": len(y),
        "rmse": float(np.sqrt(np.mean(residual**2))),
        "nlpd": float(np.mean(density)),
        **{
            f"coverage_{level:g}": float(np.mean(scaled <= normal_width(level)))
            for level in sorted({95, *levels})
        },
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
