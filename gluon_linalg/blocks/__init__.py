"""The Gluon blocks."""

from .base import LinearAlgebraBlock, explain
from .cholesky import CholeskyBlock, CholeskySolveBlock, LogDetBlock
from .eig import EigBlock
from .gp import GPLikelihoodLayer
from .gp_predictor import GPPredictor
from .kalman import (
    KalmanFilterLayer,
    KalmanForecastLayer,
    KalmanSamplerLayer,
    KalmanSmootherLayer,
)
from .lq import LQBlock, QRBlock
from .solve import InverseBlock, TriangularSolveBlock

__all__ = [
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
    "LinearAlgebraBlock",
    "LogDetBlock",
    "QRBlock",
    "TriangularSolveBlock",
    "explain",
]
