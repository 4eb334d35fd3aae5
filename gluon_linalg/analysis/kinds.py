"""The analysis of a model, by its kind."""

from typing import Any

from ..blocks.blr import BLRLikelihoodLayer
from ..blocks.gp import GPLikelihoodLayer
from ..blocks.kalman import KalmanFilterLayer
from ..blocks.multivariate.base import MultivariateModel
from ..blocks.pca import PCABlock
from ..blocks.state_space_gp import StateSpaceGPLayer
from ..blocks.structural import StructuralModel
from .components import ComponentAnalysis
from .multivariate import MultivariateAnalysis
from .process import ProcessAnalysis
from .regression import RegressionAnalysis
from .state_space import StateSpaceAnalysis
from .structural import StructuralAnalysis

KINDS = (
    (StructuralModel, StructuralAnalysis),
    (MultivariateModel, MultivariateAnalysis),
    (KalmanFilterLayer, StateSpaceAnalysis),
    (GPLikelihoodLayer, ProcessAnalysis),
    (StateSpaceGPLayer, ProcessAnalysis),
    (BLRLikelihoodLayer, RegressionAnalysis),
    (PCABlock, ComponentAnalysis),
)


def analyze(layer: Any, *arrays: Any, **keywords: Any) -> Any:
    """What a model says of data, in tables and pictures: an object of `gluon_linalg.analysis`.

    layer: a `StructuralModel`, a model of several series, a `KalmanFilterLayer`, a
    `GPLikelihoodLayer` or `StateSpaceGPLayer`, a `BLRLikelihoodLayer`, or a `PCABlock`. arrays: the
    data of one of them, as its call takes them, NumPy arrays and pandas' Series and DataFrames
    included, whose index and names come back. Tables need pandas, and pictures matplotlib.

    Raises TypeError for other blocks, and what the layer raises.

    >>> layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=1.0)
    >>> layer.initialize()
    >>> found = gl.analyze(layer, np.zeros((2, 1)), np.array([0.0, 1.0]))
    >>> found.leave_one_out().shape[0]
    2
    """
    for kind, analysis in KINDS:
        if isinstance(layer, kind):
            return analysis(layer, *arrays, **keywords)
    known = ", ".join(kind.__name__ for kind, _ in KINDS)
    raise TypeError(f"analyze: {type(layer).__name__} is none of {known}.")
