"""The Gluon blocks."""

from ..functional import sigma_points
from . import likelihoods, priors, structural
from .base import LinearAlgebraBlock as LinearAlgebraBlock
from .blr import BLRLikelihoodLayer
from .blr_predictor import BLRPredictor
from .cca import CCABlock
from .cholesky import CholeskyBlock, CholeskySolveBlock, LogDetBlock
from .coregionalization import Coregionalization
from .determinant import DetBlock, SLogDetBlock
from .discretization import DiscretizationBlock
from .eig import EigBlock
from .explaining import explain
from .gp import GPLikelihoodLayer
from .gp_predictor import GPPredictor
from .kalman import KalmanFilterLayer
from .kalman_arrays import kalman_arrays
from .kalman_cell import KalmanCell
from .kalman_views import KalmanViewsLayer
from .lda import LDABlock
from .least_squares import LeastSquaresBlock
from .lq import LQBlock, QRBlock
from .matrix_function import (
    MatrixExpBlock,
    MatrixLogBlock,
    MatrixPowerBlock,
    MatrixSqrtBlock,
    NearestPSDBlock,
)
from .multi_output_gp import MultiOutputGPLikelihoodLayer
from .multi_output_predictor import MultiOutputPredictor
from .multi_output_rows import output_rows
from .multi_output_sparse import MultiOutputSGPRLikelihoodLayer, MultiOutputSVGPLikelihoodLayer
from .multi_output_sparse_predictor import SparseMultiOutputPredictor
from .multivariate import (
    DynamicFactorModel,
    LinearGaussianModel,
    MultivariateStructuralModel,
    VARMAModel,
)
from .nonlinear import NonlinearFilterLayer
from .nonlinear_smoother import NonlinearForecastLayer, NonlinearSmootherLayer
from .pca import PCABlock
from .ppca import PPCALikelihoodLayer
from .projection import ProjectionBlock
from .random_features import RandomFourierFeatures
from .smoother import KalmanForecastLayer, KalmanSamplerLayer, KalmanSmootherLayer
from .solve import InverseBlock, TriangularSolveBlock
from .sparse_gp import FITCLikelihoodLayer, SGPRLikelihoodLayer
from .sparse_gp_predictor import SparseGPPredictor
from .state_space_gp import StateSpaceGPLayer
from .state_space_gp_predictor import StateSpaceGPPredictor
from .structural import StructuralForecaster, StructuralModel
from .svd import SVDBlock
from .svgp import SVGPLikelihoodLayer
from .whitening import WhiteningBlock

__all__ = [
    "BLRLikelihoodLayer",
    "BLRPredictor",
    "CCABlock",
    "CholeskyBlock",
    "CholeskySolveBlock",
    "Coregionalization",
    "DetBlock",
    "DiscretizationBlock",
    "DynamicFactorModel",
    "EigBlock",
    "FITCLikelihoodLayer",
    "GPLikelihoodLayer",
    "GPPredictor",
    "InverseBlock",
    "KalmanCell",
    "KalmanFilterLayer",
    "KalmanForecastLayer",
    "KalmanSamplerLayer",
    "KalmanSmootherLayer",
    "KalmanViewsLayer",
    "LDABlock",
    "LQBlock",
    "LeastSquaresBlock",
    "LinearGaussianModel",
    "LogDetBlock",
    "MatrixExpBlock",
    "MatrixLogBlock",
    "MatrixPowerBlock",
    "MatrixSqrtBlock",
    "MultiOutputGPLikelihoodLayer",
    "MultiOutputPredictor",
    "MultiOutputSGPRLikelihoodLayer",
    "MultiOutputSVGPLikelihoodLayer",
    "MultivariateStructuralModel",
    "NearestPSDBlock",
    "NonlinearFilterLayer",
    "NonlinearForecastLayer",
    "NonlinearSmootherLayer",
    "PCABlock",
    "PPCALikelihoodLayer",
    "ProjectionBlock",
    "QRBlock",
    "RandomFourierFeatures",
    "SGPRLikelihoodLayer",
    "SLogDetBlock",
    "SVDBlock",
    "SVGPLikelihoodLayer",
    "SparseGPPredictor",
    "SparseMultiOutputPredictor",
    "StateSpaceGPLayer",
    "StateSpaceGPPredictor",
    "StructuralForecaster",
    "StructuralModel",
    "TriangularSolveBlock",
    "VARMAModel",
    "WhiteningBlock",
    "explain",
    "kalman_arrays",
    "likelihoods",
    "output_rows",
    "priors",
    "sigma_points",
    "structural",
]
