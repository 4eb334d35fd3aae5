"""Expectation maximization on the loss of a job."""

from typing import TYPE_CHECKING, Tuple

import numpy as np

from .config import Training
from .errors import JobError
from .objective import Objective

if TYPE_CHECKING:
    from .state import TrainingState


def train_em(objective: Objective, config: Training, state: "TrainingState") -> Tuple[bool, str]:
    """Steps in closed form until one lowers the loss by less than `config.tolerance` of it.

    Returns (converged, message).
    """
    loss = objective.evaluate()
    while state.iteration < config.iterations:
        objective.task.em_step()
        before, loss = loss, objective.evaluate()
        if not np.isfinite(loss):
            raise JobError("training: the loss after a step of em is not a finite number")
        state.advance(loss)
        state.stop_if_asked(objective.stop)
        if before - loss < config.tolerance * max(abs(before), abs(loss), 1.0):
            return True, "the loss does not change any more"
    return False, "the number of iterations was reached"
