"""scikit-learn estimators of the models that have their shape (needs the extra `sklearn`)."""

from .bayesian_regression import BayesianRegressor
from .gaussian_process import GPRegressor
from .gp_classifier import GPClassifier
from .projections import LDA, PCA

__all__ = ["BayesianRegressor", "GPClassifier", "GPRegressor", "LDA", "PCA"]
