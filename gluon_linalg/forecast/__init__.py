"""GluonTS estimators and predictors built on the layers of this package."""

from importlib import import_module
from typing import Any, List

from .._runtime import install_command

_MODULES = {
    "BLRForecastEstimator": "blr_estimator",
    "DeepStateSpaceEstimator": "deep_state",
    "GaussianProcess": "gaussian_process",
    "GaussianProcessEstimator": "gp_estimator",
    "GraphPredictor": "predictor",
    "LDS": "lds",
    "PPCAForecastEstimator": "ppca_estimator",
    "SeriesTransform": "features",
    "StructuralPredictor": "structural",
    "TrainingWindows": "windows",
    "WindowEstimator": "estimator",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    # On first use, so that this package can be looked at without GluonTS.
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        import_module("gluonts.mx")
    except ImportError as error:
        raise ImportError(
            f"gluon_linalg.forecast needs GluonTS with its MXNet part ({error}): "
            f"{install_command('forecast')}."
        ) from error
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> List[str]:
    return sorted(__all__)
