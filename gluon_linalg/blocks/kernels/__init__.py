"""Covariance functions."""

from .algebraic import Constant, Linear, Polynomial, White
from .arc_cosine import ArcCosine
from .base import Kernel
from .batched import Batched
from .categorical import Categorical
from .change_point import ChangePoint
from .combination import Product, Scaled, Sum
from .emitted import Emitted
from .network import Deep, Gibbs
from .powered import PoweredExponential
from .spectral import SpectralMixture
from .stationary import (
    RBF,
    Cosine,
    Matern12,
    Matern32,
    Matern52,
    Matern72,
    Periodic,
    RationalQuadratic,
    Stationary,
)

__all__ = [
    "RBF",
    "ArcCosine",
    "Batched",
    "Categorical",
    "ChangePoint",
    "Constant",
    "Cosine",
    "Deep",
    "Emitted",
    "Gibbs",
    "Kernel",
    "Linear",
    "Matern12",
    "Matern32",
    "Matern52",
    "Matern72",
    "Periodic",
    "Polynomial",
    "PoweredExponential",
    "Product",
    "RationalQuadratic",
    "Scaled",
    "SpectralMixture",
    "Stationary",
    "Sum",
    "White",
]
