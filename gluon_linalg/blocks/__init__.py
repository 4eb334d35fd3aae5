"""The Gluon blocks."""

from . import structural
from .base import LinearAlgebraBlock, explain
from .blr import BLRLikelihoodLayer
from .blr_predictor import BLRPredictor
from .cholesky import CholeskyBlock, CholeskySolveBlock, LogDetBlock
from .eig import EigBlock
from .gp import GPLikelihoodLayer
from .gp_predictor import GPPredictor
from .kalman import KalmanFilterLayer
from .least_squares import LeastSquaresBlock
from .lq import LQBlock, QRBlock
from .matrix_function import (
    MatrixExpBlock,
    MatrixLogBlock,
    MatrixPowerBlock,
    MatrixSqrtBlock,
)
from .smoother import KalmanForecastLayer, KalmanSamplerLayer, KalmanSmootherLayer
from .solve import InverseBlock, TriangularSolveBlock
from .structural import StructuralForecaster, StructuralModel
from .svd import SVDBlock

__all__ = [
    "BLRLikelihoodLayer",
    "BLRPredictor",
    "CholeskyBlock",
    "CholeskySolveBlock",
    "EigBlock",
    "GPLikelihoodLayer",
    "GPPredictor",
    "InverseBlock",
    "KalmanFilterLayer",
    "KalmanForecastLayer",
    "KalmanSamplerLayer",
    "KalmanSmootherLayer",
    "LQBlock",
    "LeastSquaresBlock",
    "LinearAlgebraBlock",
    "LogDetBlock",
    "MatrixExpBlock",
    "MatrixLogBlock",
    "MatrixPowerBlock",
    "MatrixSqrtBlock",
    "QRBlock",
    "SVDBlock",
    "StructuralForecaster",
    "StructuralModel",
    "TriangularSolveBlock",
    "explain",
    "structural",
]
