"""The units of several series: where a fit begins, and how far its steps go.

A model that was fitted to y is, for y times any number for each series, the same in those units.
"""

from typing import Any, Dict, NamedTuple

import mxnet as mx
import numpy as np

from .parameters import CovarianceParameter


class Sizes(NamedTuple):
    """Mean and standard deviation of each series, (p,); the size of a constant one, or 1."""

    mean: np.ndarray
    deviation: np.ndarray


def sizes_of(y: np.ndarray, mask: np.ndarray) -> Sizes:
    """The `Sizes` of y (B, T, p), of what a mask (B, T, p) shows."""
    rows = np.where(mask == 1, y, np.nan).reshape(-1, y.shape[2])
    means, deviations = [], []
    for own in rows.T:
        own = own[np.isfinite(own)]
        largest = np.abs(own).max() if len(own) else 0.0
        unit = largest if largest > 0 else 1.0
        deviation = unit * np.std(own / unit) if len(own) else 0.0
        means.append(unit * np.mean(own / unit) if len(own) else 0.0)
        deviations.append(deviation if deviation > 1e-14 * largest else unit)
    return Sizes(np.array(means), np.array(deviations))


def suggested(sizes: Sizes, defaults: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The `defaults` for series of deviation 1, by the name of their parameters, of such sizes."""
    own, found = sizes.deviation, {}
    for name, value in defaults.items():
        if name == "mean":
            found[name] = sizes.mean
        elif name.endswith("covariance"):
            found[name] = value * np.outer(own, own)
        elif name.endswith("variance"):
            found[name] = value * own**2
        else:
            found[name] = value * own[:, None]
    return found


def stored_units(parameter: mx.gluon.Parameter, name: str, sizes: Sizes) -> Any:
    """What a step of 1 is in each number that a parameter stores; name: its attribute."""
    own, shape = sizes.deviation, parameter.shape
    if name in ("mean", "loadings", "emission", "effects"):
        return np.broadcast_to(own if len(shape) == 1 else own[:, None], shape)
    if isinstance(parameter, CovarianceParameter) and parameter.size == len(own):
        units = np.ones(shape)
        for column, (begin, end) in enumerate(parameter._columns()):
            # The first is a logarithm.
            units[begin + 1 : end] = own[column + 1 :]
        return units
    return np.ones(shape)
