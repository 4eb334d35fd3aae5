"""How sure the parameters of a trained job are: its `FitResult`."""

from typing import Any, Dict, Iterator, Optional, Tuple

import mxnet as mx
import numpy as np

from ..fitting.result import FitResult
from .objective import Objective
from .state import TrainingState
from .task import TrainedTask

# Of more elements the information takes longer than the training.
MOST_ELEMENTS = 30


class JobLoss:
    """The loss of a job as `FitResult` sees it, in the units of the job."""

    arrays: Tuple[Any, ...] = ()
    given, keywords = arrays, {}  # type: ignore[var-annotated]
    fixed = {}  # type: ignore[var-annotated]

    def __init__(self, task: TrainedTask, objective: Objective) -> None:
        self.task, self.objective, self.parameters = task, objective, objective.parameters
        self.title, self.is_likelihood = task.job.task, task.has_likelihood
        self.is_bound = task.is_bound
        self.auxiliary = task.auxiliary if self.is_bound else ()
        self.observations: Optional[int] = task.dataset.count

    @property
    def evaluations(self) -> int:
        """How often the loss was computed."""
        return self.objective.evaluations

    def set_vector(self, vector: np.ndarray) -> None:
        """Stores a vector."""
        self.objective.set_vector(vector)

    def pieces(self, vector: np.ndarray) -> Iterator[Tuple[mx.gluon.Parameter, np.ndarray]]:
        """Each parameter with its part of a vector."""
        return self.objective.pieces(vector)

    def at(self, vector: np.ndarray) -> Tuple[float, np.ndarray]:
        """Value and gradient at a vector, which is stored."""
        self.set_vector(vector)
        return self.objective.evaluate(), np.array(self.objective.gradient())

    def values(self, vector: np.ndarray) -> Dict[str, np.ndarray]:
        """The parameters at a vector, as the job tells them."""
        self.set_vector(vector)
        return {path: np.asarray(self.task.value(path)) for path in self.parameters}


def find_result(
    task: TrainedTask, objective: Objective, state: TrainingState, loss: float, ending: Any
) -> Optional[FitResult]:
    """The `FitResult` of a training that has ended; None where nobody would wait for one.

    loss: in units of the job; ending: converged and message, by name.
    """
    vector = objective.vector()
    if not 0 < len(vector) <= MOST_ELEMENTS or objective.workers.count > 1 or task.has_batches:
        return None
    start, curve = state.curve[0][2], [row[2] for row in state.curve]
    told = JobLoss(task, objective)
    return FitResult(task.layer, told, vector, loss, start, curve, **ending)


def standard_errors(result: FitResult) -> Dict[str, Any]:
    """By path a number or a list, None where the data leave an element open."""
    found: Dict[str, Any] = {}
    for estimate in result.estimates():
        path = estimate.name.split("[")[0]
        if path in result.auxiliary:
            continue
        error = estimate.standard_error
        found.setdefault(path, []).append(error if np.isfinite(error) else None)
    return {path: own[0] if len(own) == 1 else own for path, own in found.items()}
