"""Where a search begins: at the best of several initial values, if the task offers any."""

# A loss is lower if it is so by this share: rounding, which other units change, must not choose.
MARGIN = 1e-6


def choose_start(objective, task):
    """Sets the parameters to the best of `task.starts()`, choice by choice; returns the loss.

    Without starts, or where no loss is finite, they stay as they are.
    """
    best = objective.vector() if objective.parameters else None
    best_loss = objective.evaluate()
    for choice in task.starts():
        before = best
        for start in choice:
            objective.set_vector(before)
            task.start_at(start)
            vector, loss = objective.vector(), objective.evaluate()
            if best_loss - loss > MARGIN * (1.0 + abs(loss)):
                best, best_loss = vector, loss
    if best is not None:
        objective.set_vector(best)
    return best_loss
