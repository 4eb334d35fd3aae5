"""L-BFGS-B of SciPy on the loss of a job."""

import zlib
from typing import TYPE_CHECKING, List, Tuple

import numpy as np

from ..fitting.descent import Descent, Revival
from .config import Training
from .objective import Objective

if TYPE_CHECKING:
    from .state import TrainingState


class Answers:
    """The loss of a job, with every answer that was given: the memory of a run that continues.

    SciPy's own memory cannot be stored. But it depends on nothing except the answers it got, so
    these are stored (`state.answers`), and a run that continues gives them again, in no time and
    to the last bit, until it comes to where the earlier one ended.
    """

    def __init__(self, objective: Objective, state: "TrainingState") -> None:
        self.objective, self.state = objective, state
        self._position = 0

    def __call__(self, vector: np.ndarray) -> Tuple[float, np.ndarray]:
        # Tells whether SciPy asks what it asked before; another version of it may not.
        question = float(zlib.crc32(np.ascontiguousarray(vector).tobytes()))
        answers = self.state.answers
        if self._position < len(answers) and answers[self._position][0] != question:
            del answers[self._position :]
        if self._position == len(answers):
            self.objective.set_vector(vector)
            value = self.objective.evaluate()
            answers.append(np.concatenate([[question, value], self.objective.gradient()]))
            self.state.stop_if_asked(self.objective.stop)
        answer = answers[self._position]
        self._position += 1
        return float(answer[1]), answer[2:].copy()


def train_lbfgs(objective: Objective, config: Training, state: "TrainingState") -> Tuple[bool, str]:
    """Minimizes until `config` says stop; `state` keeps the curve. Returns (converged, message)."""
    state.start_search(objective.vector())
    assert state.first_vector is not None
    first_loss = state.curve[0][2] - state.task.loss_offset
    answers = Answers(objective, state)
    descent = Descent(answers, state.first_vector, first_loss, _revivals(objective))
    left = config.iterations - state.iteration
    try:
        return descent.run(left, config.tolerance, config.gradient_tolerance, state.advance)
    finally:
        # A line search ends where it looked last.
        objective.set_vector(descent.best)


def _revivals(objective: Objective) -> List[Revival]:
    """Pairs of an index of the vector and a stored value that the task wants tried there."""
    wanted, start = objective.task.revivals(), 0
    found: List[Revival] = []
    for path, parameter in objective.parameters.items():
        stop = start + int(np.prod(parameter.shape))
        for value in wanted.get(path, ()):
            stored = float(parameter._stored(np.asarray(value), path)[0])
            found += [(index, stored) for index in range(start, stop)]
        start = stop
    return found
