"""Differentiable linear algebra as Gluon layers."""

from ._runtime import import_mxnet_or_end as _import_mxnet

_import_mxnet()

from . import blocks, errors
from ._version import __version__
from .analysis import analyze
from .blocks import *  # noqa: F403
from .blocks import kernels
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
    "__version__",
    "analyze",
    "backend_status",
    "compare",
    "errors",
    "expectation_maximization",
    "export",
    "fit",
    "fit_each",
    "inducing_points",
    "kernels",
    "load",
    "use_backend",
]
__all__ += blocks.__all__
