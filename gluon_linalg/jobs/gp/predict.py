"""Predictions of an exported Gaussian process."""

from ..regression.predict import RegressionPredictor
from .dataset import Units


class GaussianProcessPredictor(RegressionPredictor):
    """Predicts the rows of a file."""

    units_class = Units
