"""Where a search begins: at the best of several initial values, if the task offers any."""

from typing import Any, Dict, Tuple

import numpy as np
from scipy.optimize import minimize

from ..fitting.descent import wall
from .config import LBFGS
from .objective import Objective
from .task import TrainedTask

# A loss is lower if it is so by this share: rounding, which other units change, must not choose.
MARGIN = 1e-6
# Where the loss has several minima: how many are looked into, and for how many iterations.
FAMILIES, TRIAL = 4, 12


def choose_start(objective: Objective, task: TrainedTask) -> float:
    """Sets the parameters to the best of `task.starts()`, choice by choice; returns the loss.

    Without starts or iterations, or where no loss is finite, they stay as they are. The starts of a
    task with `families`, a label for each of its first choice, are searched for some iterations
    from the lowest of each of the lowest families, and the one that led lowest is chosen: the
    lowest start need not lead to the lowest minimum.
    """
    best = objective.vector() if objective.parameters else None
    best_loss = objective.evaluate()
    if best is None or not task.job.training.iterations:
        return best_loss
    families = task.families() if task.job.training.optimizer == LBFGS else None
    for choice in task.starts():
        before, found = best, []
        for start in choice:
            objective.set_vector(before)
            task.start_at(start)
            vector, loss = objective.vector(), objective.evaluate()
            found.append((loss, vector))
            if best_loss - loss > MARGIN * (1.0 + abs(loss)):
                best, best_loss = vector, loss
        if families is not None and np.isfinite(best_loss):
            best_loss, best = _leading_lowest(objective, found, families)
            families = None
    objective.set_vector(best)
    task.settle()
    return best_loss


def _leading_lowest(objective, found, families):
    """The (loss, vector) from which a short search comes lowest."""
    order = sorted(range(len(found)), key=lambda number: found[number][0])
    lowest: Dict[Any, Tuple[float, np.ndarray]] = {}
    for number in order:
        if np.isfinite(found[number][0]):
            lowest.setdefault(families[number], found[number])
    starts = list(lowest.values())[:FAMILIES]
    return min(starts, key=lambda start: _searched(objective, *start))


def _searched(objective, loss, vector):
    """The lowest loss of a short search."""
    lowest = [loss, vector]

    def value_and_gradient(point):
        objective.set_vector(point)
        value = objective.evaluate()
        if not np.isfinite(value):
            return wall(point, lowest[1], lowest[0] - loss)
        if value < lowest[0]:
            lowest[:] = value, np.array(point)
        return value - loss, objective.gradient().copy()

    options = {"maxiter": TRIAL, "maxfun": 2 * TRIAL}
    minimize(value_and_gradient, vector, jac=True, method="L-BFGS-B", options=options)
    return lowest[0]
