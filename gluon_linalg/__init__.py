"""Differentiable linear algebra as Gluon layers."""

from ._runtime import import_mxnet_or_end as _import_mxnet

_import_mxnet()

from . import errors
from ._version import __version__
from .analysis import analyze
from .blocks import (
    BLRLikelihoodLayer,
    BLRPredictor,
    CCABlock,
    CholeskyBlock,
    CholeskySolveBlock,
    Coregionalization,
    DetBlock,
    DiscretizationBlock,
    DynamicFactorModel,
    EigBlock,
    FITCLikelihoodLayer,
    GPLikelihoodLayer,
    GPPredictor,
    InverseBlock,
    KalmanCell,
    KalmanFilterLayer,
    KalmanForecastLayer,
    KalmanSamplerLayer,
    KalmanSmootherLayer,
    KalmanViewsLayer,
    LDABlock,
    LeastSquaresBlock,
    LinearGaussianModel,
    LogDetBlock,
    LQBlock,
    MatrixExpBlock,
    MatrixLogBlock,
    MatrixPowerBlock,
    MatrixSqrtBlock,
    MultiOutputGPLikelihoodLayer,
    MultiOutputPredictor,
    MultiOutputSGPRLikelihoodLayer,
    MultiOutputSVGPLikelihoodLayer,
    MultivariateStructuralModel,
    NearestPSDBlock,
    NonlinearFilterLayer,
    NonlinearForecastLayer,
    NonlinearSmootherLayer,
    PCABlock,
    PPCALikelihoodLayer,
    ProjectionBlock,
    QRBlock,
    RandomFourierFeatures,
    SGPRLikelihoodLayer,
    SLogDetBlock,
    SparseGPPredictor,
    SparseMultiOutputPredictor,
    StateSpaceGPLayer,
    StateSpaceGPPredictor,
    StructuralForecaster,
    StructuralModel,
    SVDBlock,
    SVGPLikelihoodLayer,
    TriangularSolveBlock,
    VARMAModel,
    WhiteningBlock,
    explain,
    kalman_arrays,
    kernels,
    likelihoods,
    output_rows,
    priors,
    sigma_points,
    structural,
)
from .blocks.casting import install_cast_check as _install_cast_check
from .blocks.copying import install_copies as _install_copies
from .compilation import install_compilation as _install_compilation
from .errors import install_translation as _install_translation
from .export import export, load
from .fitting.compare import compare
from .fitting.expectation_maximization import expectation_maximization
from .fitting.fit import fit
from .fitting.fit_each import fit_each
from .fitting.inducing_points import inducing_points
from .generators import install_generators as _install_generators
from .native import backend_status, use_backend
from .native.requests import install_requests as _install_requests

_install_translation()
_install_generators()
_install_compilation()
_install_cast_check()
_install_copies()
_install_requests()

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
    "__version__",
    "analyze",
    "backend_status",
    "compare",
    "errors",
    "expectation_maximization",
    "explain",
    "export",
    "fit",
    "fit_each",
    "inducing_points",
    "kalman_arrays",
    "kernels",
    "likelihoods",
    "load",
    "output_rows",
    "priors",
    "sigma_points",
    "structural",
    "use_backend",
]
