"""Where a search begins: at the best of several initial values, if the task offers any."""

import numpy as np

from ..errors import LinearAlgebraError

# A loss is lower if it is so by this share: rounding, which other units change, must not choose.
MARGIN = 1e-6


def choose_start(task):
    """Sets the parameters to the best of `task.starts()`, choice by choice.

    Where no loss is finite they stay as they are.
    """
    best, best_loss = None, np.inf
    for choice in task.starts():
        if best is None:
            best, best_loss = _stored(task), _loss(task)
        before = best
        for start in choice:
            _restore(task, before)
            task.start_at(start)
            loss = _loss(task)
            if best_loss - loss > MARGIN * (1.0 + abs(loss)):
                best, best_loss = _stored(task), loss
    if best is not None:
        _restore(task, best)


def _loss(task):
    try:
        loss = float(task.layer(*task.probe_arguments()).sum().asscalar())
    except LinearAlgebraError:
        return np.inf
    return loss if np.isfinite(loss) else np.inf


def _stored(task):
    return {path: parameter.data().copy() for path, parameter in task.parameters.items()}


def _restore(task, arrays):
    for path, array in arrays.items():
        task.parameters[path].set_data(array)
