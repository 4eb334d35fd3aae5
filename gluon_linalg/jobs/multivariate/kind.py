"""What a job of several series is to the commands."""

from .. import output as names
from ..summary import likelihood
from ..task_kind import TaskKind
from ..time_series.residuals import RESIDUALS
from ..time_series.streaming import STREAM
from .config import MultivariateJob
from .predict import MultivariatePredictor
from .results import SMOOTHED, STATES
from .task import Multivariate

KIND = TaskKind(
    name="multivariate",
    title="a state space model of several series",
    sections=MultivariateJob,
    task=Multivariate,
    summary=likelihood,
    predictor=MultivariatePredictor,
    predicts="Series of their own, with the time, targets and covariates of the job; what follows "
    "the last row with an observation is forecast.",
    files=(
        *names.GRAPH,
        *names.graph_files(STREAM),
        names.FORECAST,
        SMOOTHED,
        STATES,
        RESIDUALS,
        names.PLOT,
    ),
)
