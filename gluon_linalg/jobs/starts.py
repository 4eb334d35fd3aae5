"""Where a search begins: at the best of several initial values, if the task offers any."""

import numpy as np
from scipy.optimize import minimize

from .config import LBFGS

# Where the loss has several minima: how many are looked into, and for how many iterations.
FAMILIES, TRIAL = 3, 12


def choose_start(objective, task):
    """Sets the parameters to the best of `task.starts()`, by their loss; returns the loss.

    Without starts or iterations, or where no loss is finite, they stay as they are. A task with
    `families`, a label for each start, is searched for some iterations from the lowest start of
    each of its lowest families, and begins where that led lowest: the lowest start need not lead to
    the lowest minimum.
    """
    if not objective.parameters or not task.job.training.iterations:
        return objective.evaluate()
    first = objective.vector()
    found = [(objective.evaluate(), first, None)]
    starts, families = list(task.starts()), task.families()
    for start, family in zip(starts, families or [None] * len(starts)):
        objective.set_vector(first)
        task.start_at(start)
        vector = objective.vector()
        found.append((objective.evaluate(), vector, family))
    found.sort(key=lambda one: one[0])
    best = found[0]
    if families and task.job.training.optimizer == LBFGS and np.isfinite(best[0]):
        best = min(_lowest_of_families(found), key=lambda one: _searched(objective, *one[:2]))
    objective.set_vector(best[1])
    return best[0]


def _lowest_of_families(found):
    """The lowest start of each of the lowest families."""
    best = {}
    for one in found:
        if np.isfinite(one[0]):
            best.setdefault(one[2], one)
    return list(best.values())[:FAMILIES]


def _searched(objective, loss, vector):
    """The lowest loss of a short search."""
    lowest = [loss, vector]

    def value_and_gradient(point):
        objective.set_vector(point)
        value = objective.evaluate()
        if not np.isfinite(value):
            # A finite wall that rises away from the best point, as in `lbfgs.Search`.
            away = point - lowest[1]
            height = 1e3 * (1.0 + abs(loss - lowest[0]))
            return lowest[0] - loss + height * (1.0 + 0.5 * away @ away), height * away
        if value < lowest[0]:
            lowest[:] = value, np.array(point)
        return value - loss, objective.gradient().copy()

    options = {"maxiter": TRIAL, "maxfun": 2 * TRIAL}
    minimize(value_and_gradient, vector, jac=True, method="L-BFGS-B", options=options)
    return lowest[0]
