"""What a Bayesian linear regression is to the commands."""

from ..regression.predict import PREDICTS, RegressionPredictor
from ..summary import likelihood
from ..task_kind import TaskKind
from .config import LinearRegressionJob
from .dataset import Units
from .task import LinearRegression


class LinearRegressionPredictor(RegressionPredictor):
    """Predicts the rows of a file with the exported model."""

    units_class = Units


KIND = TaskKind(
    name="blr",
    title="a Bayesian linear regression",
    sections=LinearRegressionJob,
    task=LinearRegression,
    summary=likelihood,
    predictor=LinearRegressionPredictor,
    predicts=PREDICTS,
)
