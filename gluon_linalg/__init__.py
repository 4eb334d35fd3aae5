"""Differentiable linear algebra as Gluon layers."""

from ._runtime import import_mxnet as _import_mxnet

_import_mxnet()

from . import errors  # noqa: E402
from ._version import __version__  # noqa: E402
from .blocks import (
    CholeskyBlock,
    CholeskySolveBlock,
    EigBlock,
    GPLikelihoodLayer,
    GPPredictor,
    InverseBlock,
    LogDetBlock,
    LQBlock,
    QRBlock,
    TriangularSolveBlock,
    explain,
    kernels,
)
from .errors import install_translation as _install_translation  # noqa: E402
from .export import export, load  # noqa: E402

_install_translation()

__all__ = [
    "CholeskyBlock",
    "CholeskySolveBlock",
    "EigBlock",
    "GPLikelihoodLayer",
    "GPPredictor",
    "InverseBlock",
    "LQBlock",
    "LogDetBlock",
    "QRBlock",
    "TriangularSolveBlock",
    "__version__",
    "errors",
    "explain",
    "export",
    "kernels",
    "load",
]
