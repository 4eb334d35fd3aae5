"""Covariance functions."""

from .algebraic import Constant, Linear, Polynomial, White
from .base import Kernel
from .combination import Product, Scaled, Sum
from .emitted import Emitted
from .stationary import (
    RBF,
    Cosine,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    RationalQuadratic,
    Stationary,
)

__all__ = [
    "RBF",
    "Constant",
    "Cosine",
    "Emitted",
    "Kernel",
    "Linear",
    "Matern12",
    "Matern32",
    "Matern52",
    "Periodic",
    "Polynomial",
    "Product",
    "RationalQuadratic",
    "Scaled",
    "Stationary",
    "Sum",
    "White",
]
