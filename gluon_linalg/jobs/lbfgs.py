"""L-BFGS-B of SciPy on the loss of a job."""

import numpy as np
from scipy.optimize import minimize

# SciPy's status of a line search that found no lower point.
ABNORMAL = 2
RESTARTS = 5
LIMIT = "the number of iterations was reached"


class Search:
    """The loss as SciPy sees it, and the lowest point found so far."""

    def __init__(self, objective, vector, loss):
        self.objective = objective
        self.best, self.best_loss = vector, loss
        self.last_loss = loss

    def value_and_gradient(self, vector):
        self.objective.set_vector(vector)
        value = self.objective.evaluate()
        if not np.isfinite(value):
            return self._barrier(vector)
        if value < self.best_loss:
            self.best, self.best_loss = np.array(vector), value
        self.last_loss = value
        return value, self.objective.gradient()

    def _barrier(self, vector):
        """A finite wall that rises away from the best point.

        The line search interpolates between two points and their slopes: it steps back from a
        steep, finite value, and gives up at infinity.
        """
        away = vector - self.best
        height = 1e3 * (1.0 + abs(self.best_loss))
        return self.best_loss + height * (1.0 + 0.5 * away @ away), height * away


def train_lbfgs(objective, config, state):
    """Minimizes until `config` says stop; `state` keeps the curve. Returns (converged, message)."""
    search = Search(objective, objective.vector(), state.loss)
    try:
        return _minimize(search, config, state)
    except KeyboardInterrupt:
        objective.set_vector(search.best)
        state.save()
        raise
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
        if result.status != ABNORMAL:
            break
        # What the search remembers of the curvature may mislead it: start again from the best.
        failures = 0 if search.best_loss < before else failures + 1
    return converged, message


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
