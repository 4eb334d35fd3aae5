"""Predictions of an exported linear regression."""

from ..regression.predict import RegressionPredictor
from .dataset import Units


class LinearRegressionPredictor(RegressionPredictor):
    """Predicts the rows of a file."""

    units_class = Units
