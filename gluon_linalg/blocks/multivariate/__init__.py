"""State space models of several series: VARMA, dynamic factors, common trends."""

from .base import MultivariateForecaster, MultivariateModel
from .common_trends import MultivariateStructuralModel
from .dynamic_factor import DynamicFactorModel
from .vector_autoregression import VARMAModel

__all__ = [
    "DynamicFactorModel",
    "MultivariateForecaster",
    "MultivariateModel",
    "MultivariateStructuralModel",
    "VARMAModel",
]
