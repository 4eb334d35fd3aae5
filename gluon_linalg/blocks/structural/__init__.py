"""Components of structural time series models (Harvey 1989; Durbin & Koopman 2012, chapter 3)."""

from .arima import ARIMA
from .autoregression import AutoRegression
from .base import Component, Sum, System
from .cycle import Cycle
from .forecaster import StructuralForecaster
from .generalized import GeneralizedForecaster, GeneralizedStructuralModel
from .model import StructuralModel
from .regression import Regression
from .robust import RobustForecaster, RobustStructuralModel
from .seasonal import Seasonal
from .stream import StructuralStream
from .trend import DampedTrend, LocalLevel, LocalLinearTrend, SemilocalLinearTrend

__all__ = [
    "ARIMA",
    "AutoRegression",
    "Component",
    "Cycle",
    "DampedTrend",
    "GeneralizedForecaster",
    "GeneralizedStructuralModel",
    "LocalLevel",
    "LocalLinearTrend",
    "Regression",
    "RobustForecaster",
    "RobustStructuralModel",
    "Seasonal",
    "SemilocalLinearTrend",
    "StructuralForecaster",
    "StructuralModel",
    "StructuralStream",
    "Sum",
    "System",
]
