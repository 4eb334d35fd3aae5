"""What a trained model says of its data, and what the data say of the model."""

from .components import ComponentAnalysis
from .kalman import KalmanAnalysis
from .kinds import analyze
from .multivariate import MultivariateAnalysis
from .outputs import OutputsAnalysis
from .panel import PanelAnalysis, RowsPanelAnalysis, SeriesPanelAnalysis
from .process import ProcessAnalysis
from .regression import RegressionAnalysis, RegressionsAnalysis
from .state_space import StateSpaceAnalysis
from .structural import StructuralAnalysis
from .variational import ClassAnalysis, VariationalAnalysis

__all__ = [
    "ClassAnalysis",
    "ComponentAnalysis",
    "KalmanAnalysis",
    "MultivariateAnalysis",
    "OutputsAnalysis",
    "PanelAnalysis",
    "ProcessAnalysis",
    "RegressionAnalysis",
    "RegressionsAnalysis",
    "RowsPanelAnalysis",
    "SeriesPanelAnalysis",
    "StateSpaceAnalysis",
    "StructuralAnalysis",
    "VariationalAnalysis",
    "analyze",
]
