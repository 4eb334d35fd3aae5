"""What a Gaussian process is to the commands."""

from ..regression.predict import PREDICTS
from ..summary import likelihood
from ..task_kind import TaskKind
from .config import GaussianProcessJob
from .predict import GaussianProcessPredictor
from .task import GaussianProcess

KIND = TaskKind(
    name="gp",
    title="a Gaussian process",
    sections=GaussianProcessJob,
    task=GaussianProcess,
    summary=likelihood,
    predictor=GaussianProcessPredictor,
    predicts=PREDICTS,
)
