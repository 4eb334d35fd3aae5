"""What a trained model says of its data, and what the data say of the model."""

from .components import ComponentAnalysis
from .kinds import analyze
from .multivariate import MultivariateAnalysis
from .outputs import OutputsAnalysis
from .process import ProcessAnalysis
from .regression import RegressionAnalysis
from .state_space import StateSpaceAnalysis
from .structural import StructuralAnalysis
from .variational import ClassAnalysis, VariationalAnalysis

__all__ = [
    "ClassAnalysis",
    "ComponentAnalysis",
    "MultivariateAnalysis",
    "OutputsAnalysis",
    "ProcessAnalysis",
    "RegressionAnalysis",
    "StateSpaceAnalysis",
    "StructuralAnalysis",
    "VariationalAnalysis",
    "analyze",
]
