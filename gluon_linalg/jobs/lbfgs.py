"""L-BFGS-B of SciPy on the loss of a job."""

import zlib
from typing import TYPE_CHECKING, Tuple

import numpy as np
from scipy.optimize import minimize

from .config import Training
from .objective import Objective

if TYPE_CHECKING:
    from .state import TrainingState

# SciPy's status of a line search that found no lower point.
ABNORMAL = 2
RESTARTS = 5
# A slope above the first is followed by this step, at most so many times.
TAIL, TAIL_STEP, MOST_TAILS = 1e-5, 4.0, 20
# How far below a value, as a logarithm, an element is gone.
FAR_BELOW = 3.0
LIMIT = "the number of iterations was reached"


class Search:
    """The loss as SciPy sees it, and the lowest point found so far.

    SciPy's own memory cannot be stored. But it depends on nothing except the answers it got, so
    these are stored (`state.answers`), and a run that continues gives them again, in no time and
    to the last bit, until it comes to where the earlier one ended.
    """

    def __init__(self, objective: Objective, state: "TrainingState") -> None:
        assert state.first_vector is not None
        self.objective, self.state = objective, state
        first_loss = state.curve[0][2] - state.task.loss_offset
        self.best, self.best_loss = state.first_vector, first_loss
        self.last_loss = self.first_loss = self.best_loss
        self.best_gradient, self.tails = np.zeros_like(self.best), 0
        self._revivals = _revivals(objective)
        self._position = 0

    def value_and_gradient(self, vector: np.ndarray) -> Tuple[float, np.ndarray]:
        """The loss above that of the first point: SciPy's tolerance is a share of the value.

        So the search does not depend on the units of the data, which add a constant to the loss.
        """
        value, gradient = self._answer(vector)
        if not np.isfinite(value):
            return wall(vector, self.best, self.best_loss - self.first_loss)
        if value < self.best_loss:
            self.best, self.best_loss = np.array(vector), value
            self.best_gradient = np.array(gradient)
        self.last_loss = value
        return value - self.first_loss, gradient

    def follow_tail(self) -> bool:
        """Whether the loss falls far along one element whose slope is left, and the search there.

        Towards a variance of 0 the loss falls by as much as its slope in the logarithm, however far
        that is: a search that has converged everywhere else stops before it.
        """
        for index in np.argsort(-np.abs(self.best_gradient), kind="stable"):
            slope = self.best_gradient[index]
            if abs(slope) <= TAIL or self.tails == MOST_TAILS:
                break
            self.tails += 1
            before, vector = self.best_loss, np.array(self.best)
            vector[index] -= TAIL_STEP * np.sign(slope)
            self.value_and_gradient(vector)
            if self.best_loss < before:
                return True
        return self._revive()

    def _revive(self):
        """Whether the loss is lower where the task wants an element tried that has gone far below.

        Each is tried once: a slope that leads to a variance of 0 may hide a lower minimum.
        """
        while self._revivals:
            index, value = self._revivals.pop(0)
            if self.best[index] < value - FAR_BELOW:
                before, vector = self.best_loss, np.array(self.best)
                vector[index] = value
                self.value_and_gradient(vector)
                if self.best_loss < before:
                    return True
        return False

    def _answer(self, vector):
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


def wall(vector: np.ndarray, best: np.ndarray, lowest: float) -> Tuple[float, np.ndarray]:
    """Value and gradient of a finite wall that rises away from the best point, of value `lowest`.

    The line search interpolates between two points and their slopes: it steps back from a steep,
    finite value, and gives up at infinity.
    """
    away = vector - best
    height = 1e3 * (1.0 + abs(lowest))
    return lowest + height * (1.0 + 0.5 * away @ away), height * away


def train_lbfgs(objective: Objective, config: Training, state: "TrainingState") -> Tuple[bool, str]:
    """Minimizes until `config` says stop; `state` keeps the curve. Returns (converged, message)."""
    state.start_search(objective.vector())
    search = Search(objective, state)
    try:
        return _minimize(search, config, state)
    finally:
        # A line search ends where it looked last.
        objective.set_vector(search.best)


def _minimize(search, config, state):
    converged, message = False, LIMIT
    failures = 0
    while state.iteration < config.iterations and failures <= RESTARTS:
        before = search.best_loss
        result = minimize(
            search.value_and_gradient,
            search.best,
            jac=True,
            method="L-BFGS-B",
            callback=lambda vector: state.advance(search.last_loss),
            options={
                "maxiter": config.iterations - state.iteration,
                "maxfun": 20 * config.iterations + 100,
                "ftol": config.tolerance,
                "gtol": config.gradient_tolerance,
                "maxcor": 20,
            },
        )
        converged, message = result.status == 0, _text(result.message)
        if result.status == 0 and search.follow_tail():
            state.advance(search.last_loss)
            continue
        if result.status != ABNORMAL:
            break
        # What the search remembers of the curvature may mislead it: start again from the best.
        failures = 0 if search.best_loss < before else failures + 1
    return converged, message


def _revivals(objective):
    """Pairs of an index of the vector and a stored value that the task wants tried there."""
    wanted, found, start = objective.task.revivals(), [], 0
    for path, parameter in objective.parameters.items():
        stop = start + int(np.prod(parameter.shape))
        for value in wanted.get(path, ()):
            stored = float(parameter._stored(np.asarray(value), path)[0])
            found += [(index, stored) for index in range(start, stop)]
        start = stop
    return found


def _text(message):
    """SciPy's message in words."""
    text = (message.decode() if isinstance(message, bytes) else str(message)).lower()
    if "reduction" in text:
        return "converged: the loss falls no further (training.tolerance)"
    if "gradient" in text:
        return "converged: the gradient is zero (training.gradient_tolerance)"
    if "iterations" in text or "evaluations" in text:
        return LIMIT
    return f"the line search found no lower loss ({text.strip()})"
