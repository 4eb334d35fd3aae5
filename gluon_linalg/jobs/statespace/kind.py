"""What a state space job is to the commands."""

from .. import output as names
from ..summary import likelihood
from ..task_kind import TaskKind
from ..time_series.residuals import RESIDUALS
from ..time_series.streaming import STREAM
from .config import StateSpaceJob
from .predict import StateSpacePredictor
from .results import SMOOTHED
from .task import StateSpace

KIND = TaskKind(
    name="statespace",
    title="a structural time series model",
    sections=StateSpaceJob,
    task=StateSpace,
    summary=likelihood,
    predictor=StateSpacePredictor,
    predicts="A series of its own, with the time, target and covariates of the job; what follows "
    "its last observation is forecast.",
    files=(
        *names.GRAPH,
        *names.graph_files(STREAM),
        names.FORECAST,
        SMOOTHED,
        RESIDUALS,
        names.PLOT,
    ),
)
