"""State space models of several series: VARMA, dynamic factors, common trends, any linear one."""

from .base import MultivariateForecaster, MultivariateModel, MultivariatePosterior
from .common_trends import MultivariateStructuralModel
from .dynamic_factor import DynamicFactorModel
from .linear_gaussian import LinearGaussianModel
from .stream import MultivariateStream
from .vector_autoregression import VARMAModel

__all__ = [
    "DynamicFactorModel",
    "LinearGaussianModel",
    "MultivariateForecaster",
    "MultivariateModel",
    "MultivariatePosterior",
    "MultivariateStream",
    "MultivariateStructuralModel",
    "VARMAModel",
]
