"""The analysis of a model, by its kind."""

from typing import Any

from ..blocks.blr import BLRLikelihoodLayer
from ..blocks.gp import GPLikelihoodLayer
from ..blocks.kalman import KalmanFilterLayer, KalmanLayer
from ..blocks.multi_output_gp import MultiOutputGPLikelihoodLayer
from ..blocks.multi_output_sparse import (
    MultiOutputSGPRLikelihoodLayer,
    MultiOutputSVGPLikelihoodLayer,
)
from ..blocks.multivariate.base import MultivariateModel
from ..blocks.nonlinear import NonlinearLayer
from ..blocks.pca import PCABlock
from ..blocks.posterior import Posterior
from ..blocks.ppca import PPCALikelihoodLayer
from ..blocks.sparse_gp import CollapsedGPLayer
from ..blocks.state_space_gp import StateSpaceGPLayer
from ..blocks.structural import StructuralModel
from ..blocks.svgp import SVGPLikelihoodLayer
from .components import ComponentAnalysis
from .kalman import KalmanAnalysis
from .multivariate import MultivariateAnalysis
from .outputs import OutputsAnalysis
from .panel import number_of_sets, panel_of
from .process import ProcessAnalysis
from .regression import analysis_of as regression_of
from .structural import StructuralAnalysis
from .variational import analysis_of

KINDS = (
    (StructuralModel, StructuralAnalysis),
    (MultivariateModel, MultivariateAnalysis),
    (KalmanFilterLayer, KalmanAnalysis),
    (GPLikelihoodLayer, ProcessAnalysis),
    (StateSpaceGPLayer, ProcessAnalysis),
    (MultiOutputSGPRLikelihoodLayer, OutputsAnalysis),
    (MultiOutputSVGPLikelihoodLayer, OutputsAnalysis),
    (CollapsedGPLayer, ProcessAnalysis),
    (SVGPLikelihoodLayer, analysis_of),
    (MultiOutputGPLikelihoodLayer, OutputsAnalysis),
    (BLRLikelihoodLayer, regression_of),
    (PCABlock, ComponentAnalysis),
    (PPCALikelihoodLayer, ComponentAnalysis),
)
# What to do with others.
INSTEAD = (
    (NonlinearLayer, "call NonlinearSmootherLayer and NonlinearForecastLayer for states and what "
     "comes next"),
    (KalmanLayer, "give the KalmanFilterLayer of the same model, and the same arrays"),
    (Posterior, "give the layer that it was conditioned by, and its data"),
)  # fmt: skip


def analyze(layer: Any, *arrays: Any, **keywords: Any) -> Any:
    """What a model says of data, in tables and pictures: an object of `gluon_linalg.analysis`.

    layer: a `StructuralModel`, a model of several series, a `KalmanFilterLayer`, a layer of
    Gaussian processes (exact, in time, sparse, variational, of several outputs), a
    `BLRLikelihoodLayer`, a `PCABlock` or a `PPCALikelihoodLayer`. arrays: the data of one of them,
    as its call takes them, NumPy arrays and pandas' Series and DataFrames included, whose index
    and names come back; of B data sets that share the model, each by itself. Tables need pandas,
    and pictures matplotlib.

    Raises TypeError for other blocks, and what the layer raises.

    >>> layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=1.0)
    >>> layer.initialize()
    >>> found = gl.analyze(layer, np.zeros((2, 1)), np.array([0.0, 1.0]))
    >>> found.leave_one_out().shape[0]
    2
    """
    for kind, analysis in KINDS:
        if isinstance(layer, kind):
            if number_of_sets(layer, arrays, keywords) > 1:
                return panel_of(analysis, layer, *arrays, **keywords)
            return analysis(layer, *arrays, **keywords)
    name = type(layer).__name__
    for other, instead in INSTEAD:
        if isinstance(layer, other):
            raise TypeError(f"analyze: there are no tables of {name}; {instead}.")
    if hasattr(layer, "predict") and hasattr(layer, "prediction_length"):
        raise TypeError(
            f"analyze: {name} forecasts series of a GluonTS dataset; judge it by a job of `task: "
            "forecast` with data.backtest, or by gluonts.evaluation."
        )
    known = ", ".join(kind.__name__ for kind, _ in KINDS)
    raise TypeError(f"analyze: {name} is none of {known}.")
