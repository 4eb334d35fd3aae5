"""Where a search begins: at the best of several initial values, if the task offers any."""


def choose_start(objective, task):
    """Sets the parameters to the best of `task.starts()`, by their loss; returns the loss.

    Without starts, or where no loss is finite, they stay as they are.
    """
    first = objective.vector() if objective.parameters else None
    best, best_loss = first, objective.evaluate()
    for start in task.starts():
        objective.set_vector(first)
        task.start_at(start)
        vector, loss = objective.vector(), objective.evaluate()
        if loss < best_loss:
            best, best_loss = vector, loss
    if first is not None:
        objective.set_vector(best)
    return best_loss
