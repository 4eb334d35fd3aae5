"""State space models of several series: VARMA, dynamic factors, common trends, any linear one."""

from .base import MultivariateForecaster, MultivariateModel
from .common_trends import MultivariateStructuralModel
from .dynamic_factor import DynamicFactorModel
from .linear_gaussian import LinearGaussianModel
from .vector_autoregression import VARMAModel

__all__ = [
    "DynamicFactorModel",
    "LinearGaussianModel",
    "MultivariateForecaster",
    "MultivariateModel",
    "MultivariateStructuralModel",
    "VARMAModel",
]
