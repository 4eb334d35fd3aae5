"""Where a fit begins, and how far its steps go: at the size of the data.

Defaults that nobody has set are brought there, so that a fit does not depend on units.
"""

from typing import Any, Dict, List, NamedTuple, Optional

import mxnet as mx
import numpy as np

from ..blocks.blr import BLRLikelihoodLayer
from ..blocks.gp import GPLikelihoodLayer
from ..blocks.likelihoods import Gaussian
from ..blocks.mean import ConstantMean
from ..blocks.multi_output_sparse import OutputRows
from ..blocks.multivariate.base import MultivariateModel
from ..blocks.parameters import PositiveParameter
from ..blocks.sparse_gp import CollapsedGPLayer
from ..blocks.state_space_gp import StateSpaceGPLayer
from ..blocks.svgp import SVGPLikelihoodLayer
from .units import root_mean_square

# A variance whose lower end is above this share of the square of y is not free to fall.
SHARE = 1e-8
PROCESSES = (GPLikelihoodLayer, CollapsedGPLayer, SVGPLikelihoodLayer, StateSpaceGPLayer)
REGRESSIONS = (*PROCESSES, BLRLikelihoodLayer)


class Data(NamedTuple):
    """What was observed: rows x (n, d), y (n,) or (n, k), and the size of y around its mean."""

    x: np.ndarray
    y: np.ndarray
    size: float


def begin(loss: Any) -> None:
    """Brings the defaults of the layer of a `Loss` to the size of its data."""
    layer = loss.layer
    if isinstance(layer, MultivariateModel):
        layer.begin_with(*(array for array in loss.arrays if array is not None))
    data = _data(loss)
    if data is None:
        return
    variance = data.size**2
    if isinstance(layer, BLRLikelihoodLayer):
        features = np.mean(np.sum(np.square(data.x), axis=1))
        layer.prior_variance.begin_at(variance / features if features > 0 else variance)
    else:
        for kernel in getattr(layer, "kernels", None) or [layer.kernel]:
            kernel.begin_with(data.x, variance)
    noise = getattr(getattr(layer, "likelihood", layer), "noise_variance", None)
    if noise is not None:
        noise.begin_at(variance)
    if isinstance(layer.mean if hasattr(layer, "mean") else None, ConstantMean):
        constant = layer.mean.constant
        if constant.grad_req != "null" and not constant.data().asnumpy().any():
            constant.set_data(mx.nd.array([np.mean(data.y)], dtype=constant.dtype))


def step_units(loss: Any) -> Dict[str, Any]:
    """What a step of 1 is in what parameters store, by name, where that is not 1."""
    if isinstance(loss.layer, MultivariateModel):
        return loss.layer.stored_units(*(array for array in loss.arrays if array is not None))
    data = _data(loss)
    if data is None:
        return {}
    deviation = np.std(data.x, axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    own: Dict[str, Any] = {"mean.constant": data.size, "mean.bias": data.size}
    own["mean.weight"] = data.size / np.maximum(
        np.sqrt(np.mean(np.square(data.x), axis=0)), deviation
    )
    own["inducing_points"] = deviation
    shapes = {name: parameter.shape for name, parameter in loss.parameters.items()}
    return {
        name: unit for name, unit in own.items()
        if name in shapes and np.shape(unit)[-1:] in ((), shapes[name][-1:])
    }  # fmt: skip


def stuck(loss: Any, vector: np.ndarray) -> List[str]:
    """The variances that have come to a lower end which is not small beside y, by name."""
    data = _data(loss)
    if data is None:
        return []
    found = []
    for name, (parameter, stored) in zip(loss.parameters, loss.pieces(vector)):
        if type(parameter) is PositiveParameter and name.endswith("variance"):
            is_high = parameter.lower > SHARE * data.size**2
            if is_high and np.exp(np.min(stored)) < parameter.lower:
                found.append(name)
    return found


def _data(loss: Any) -> Optional[Data]:
    """That of a process or a regression; None for other layers, and for batches of a loader."""
    layer = loss.layer
    likelihood = getattr(layer, "likelihood", None)
    if not isinstance(layer, REGRESSIONS) or isinstance(layer, OutputRows):
        return None
    if loss.is_of_batches or loss.arrays[1] is None:
        return None
    given = {rule[0]: a for rule, a in zip(layer.arguments, loss.arrays) if a is not None}
    y = given["y"].asnumpy().astype("float64")
    x = given["phi" if "phi" in given else "x"].asnumpy().astype("float64")
    x = x[..., None] if x.ndim == 2 else x
    seen = np.isfinite(x).all(axis=2)
    if "mask" in given and given["mask"].shape == seen.shape:
        seen &= given["mask"].asnumpy() == 1
    x = x[seen]
    y = y[seen] if y.shape[:2] == seen.shape else y.reshape(-1)
    y = y[np.isfinite(y)]
    if not (len(x) and len(y)):
        return None
    if likelihood is not None and not isinstance(likelihood, Gaussian):
        # y is no number on the scale of the process.
        return Data(x, y, 1.0)
    around = y if getattr(layer, "mean", None) is None else y - np.mean(y)
    return Data(x, y, root_mean_square(around.reshape(-1)))
