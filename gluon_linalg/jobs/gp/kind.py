"""What a Gaussian process is to the commands."""

from typing import Any, Dict, Iterator

from .. import summary as lines
from ..regression.dataset import Dataset
from ..regression.predict import PREDICTS, RegressionPredictor
from ..task_kind import TaskKind
from .classification import ClassPredictor, ClassProcess, told
from .config import GaussianProcessJob
from .dataset import Units
from .several_sparse_task import SeveralSparse, SeveralVariational
from .several_task import SeveralProcesses
from .sparse_task import SparseProcess
from .state_space_task import StateSpaceProcess
from .task import GaussianProcess
from .variational_task import VariationalProcess

METHODS = {
    "exact": GaussianProcess,
    "statespace": StateSpaceProcess,
    "sgpr": SparseProcess,
    "svgp": VariationalProcess,
}


OF_SEVERAL = {"exact": SeveralProcesses, "sgpr": SeveralSparse, "svgp": SeveralVariational}


class GaussianProcessPredictor(RegressionPredictor):
    """Predicts the rows of a file with the exported model; of classes it is a `ClassPredictor`."""

    units_class = Units

    def __new__(cls, description: Dict[str, Any]) -> Any:
        return ClassPredictor(description) if "classes" in description else super().__new__(cls)


class GaussianProcessTask(GaussianProcess):
    """The task of a job, by its method and likelihood."""

    def __new__(cls, job: GaussianProcessJob, dataset: Dataset, device: Any) -> Any:
        kind = ClassProcess if job.model.has_classes else METHODS[job.model.method]
        if len(job.data.targets) > 1:
            kind = OF_SEVERAL[job.model.method]
        return kind(job, dataset, device)


def summary(metrics: Dict[str, Any]) -> Iterator[str]:
    """The lines that tell how a job went."""
    if "targets" in metrics:
        yield from lines.likelihood({**metrics, "holdout": None})
        for name, found in (metrics["holdout"] or {}).items():
            if found is not None:
                yield f"{name}, {lines.holdout_line(found)}"
        return
    if "classes" not in metrics:
        yield from lines.likelihood(metrics)
        return
    yield from lines.likelihood({**metrics, "holdout": None})
    yield told("", metrics["fit"])
    if metrics["holdout"] is not None:
        yield told("hold-out of ", metrics["holdout"])


KIND = TaskKind(
    name="gp",
    title="a Gaussian process",
    sections=GaussianProcessJob,
    task=GaussianProcessTask,
    summary=summary,
    predictor=GaussianProcessPredictor,
    predicts=PREDICTS[:-1] + ", or of classes the most probable and the probabilities of all.",
)
