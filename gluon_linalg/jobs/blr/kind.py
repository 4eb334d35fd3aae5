"""What a Bayesian linear regression is to the commands."""

from ..regression.predict import PREDICTS
from ..summary import likelihood
from ..task_kind import TaskKind
from .config import LinearRegressionJob
from .predict import LinearRegressionPredictor
from .task import LinearRegression

KIND = TaskKind(
    name="blr",
    title="a Bayesian linear regression",
    sections=LinearRegressionJob,
    task=LinearRegression,
    summary=likelihood,
    predictor=LinearRegressionPredictor,
    predicts=PREDICTS,
)
