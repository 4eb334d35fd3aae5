"""Differentiable linear algebra as Gluon layers."""

from ._runtime import import_mxnet_or_end as _import_mxnet

_import_mxnet()

from . import errors
from ._version import __version__
from .blocks import (
    BLRLikelihoodLayer,
    BLRPredictor,
    CCABlock,
    CholeskyBlock,
    CholeskySolveBlock,
    DetBlock,
    EigBlock,
    GPLikelihoodLayer,
    GPPredictor,
    InverseBlock,
    KalmanFilterLayer,
    KalmanForecastLayer,
    KalmanSamplerLayer,
    KalmanSmootherLayer,
    LDABlock,
    LeastSquaresBlock,
    LogDetBlock,
    LQBlock,
    MatrixExpBlock,
    MatrixLogBlock,
    MatrixPowerBlock,
    MatrixSqrtBlock,
    PCABlock,
    PPCALikelihoodLayer,
    ProjectionBlock,
    QRBlock,
    SLogDetBlock,
    StructuralForecaster,
    StructuralModel,
    SVDBlock,
    TriangularSolveBlock,
    WhiteningBlock,
    explain,
    kernels,
    structural,
)
from .errors import install_translation as _install_translation
from .export import export, load
from .generators import install_generators as _install_generators
from .static_shape import install_static_shape_guard as _install_static_shape_guard

_install_translation()
_install_generators()
_install_static_shape_guard()

__all__ = [
    "BLRLikelihoodLayer",
    "BLRPredictor",
    "CCABlock",
    "CholeskyBlock",
    "CholeskySolveBlock",
    "DetBlock",
    "EigBlock",
    "GPLikelihoodLayer",
    "GPPredictor",
    "InverseBlock",
    "KalmanFilterLayer",
    "KalmanForecastLayer",
    "KalmanSamplerLayer",
    "KalmanSmootherLayer",
    "LDABlock",
    "LQBlock",
    "LeastSquaresBlock",
    "LogDetBlock",
    "MatrixExpBlock",
    "MatrixLogBlock",
    "MatrixPowerBlock",
    "MatrixSqrtBlock",
    "PCABlock",
    "PPCALikelihoodLayer",
    "ProjectionBlock",
    "QRBlock",
    "SLogDetBlock",
    "SVDBlock",
    "StructuralForecaster",
    "StructuralModel",
    "TriangularSolveBlock",
    "WhiteningBlock",
    "__version__",
    "errors",
    "explain",
    "export",
    "kernels",
    "load",
    "structural",
]
