"""What a Gaussian process is to the commands."""

from ..regression.predict import PREDICTS, RegressionPredictor
from ..summary import likelihood
from ..task_kind import TaskKind
from .config import GaussianProcessJob
from .dataset import Units
from .task import GaussianProcess


class GaussianProcessPredictor(RegressionPredictor):
    """Predicts the rows of a file with the exported model."""

    units_class = Units


KIND = TaskKind(
    name="gp",
    title="a Gaussian process",
    sections=GaussianProcessJob,
    task=GaussianProcess,
    summary=likelihood,
    predictor=GaussianProcessPredictor,
    predicts=PREDICTS,
)
