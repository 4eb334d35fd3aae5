"""SciPy's L-BFGS-B from one point to the next lower one, with what likelihoods need besides."""

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from .._runtime import install_command

# SciPy's status of a line search that found no lower point.
ABNORMAL = 2
RESTARTS = 5
# A slope above the first is followed by this step, at most so many times.
TAIL, TAIL_STEP, MOST_TAILS = 1e-5, 4.0, 20
# How far below a value, as a logarithm, an element is gone.
FAR_BELOW = 3.0
LIMIT = "the number of iterations was reached"

# A point (n,) to its value and gradient (n,), which may be infinite.
Answer = Callable[[np.ndarray], Tuple[float, np.ndarray]]
# (index, value): an element that is tried at a value.
Revival = Tuple[int, float]
Bounds = Optional[Sequence[Tuple[Optional[float], Optional[float]]]]


class Descent:
    """A loss as SciPy sees it, and the lowest point found so far: `best`, `best_loss`.

    answer: takes a point (n,) to value and gradient; start, start_loss: where it begins; revivals:
    pairs of an index and a value, tried at the end where an element has gone far below it; bounds:
    None, or (lowest, highest) for each element, None where there is none.
    """

    def __init__(
        self,
        answer: Answer,
        start: np.ndarray,
        start_loss: float,
        revivals: Sequence[Revival] = (),
        bounds: Bounds = None,
    ) -> None:
        self._answer, self.bounds = answer, bounds
        self.best, self.best_loss = start, start_loss
        self.last_loss = self.first_loss = start_loss
        self.best_gradient, self.tails = np.zeros_like(start), 0
        self._revivals: List[Revival] = list(revivals)

    def run(
        self,
        iterations: int,
        tolerance: float,
        gradient_tolerance: float,
        on_iteration: Callable[[float], None],
    ) -> Tuple[bool, str]:
        """At most so many iterations; `on_iteration(loss)` follows each. (converged, message).

        It has converged where an iteration lowers the loss by less than `tolerance`, as a share,
        or no element of the gradient is larger than `gradient_tolerance`.
        """
        minimize = _minimizer()
        converged, message = False, LIMIT
        failures = done = 0

        def count(vector: np.ndarray) -> None:
            nonlocal done
            done += 1
            on_iteration(self.last_loss)

        while done < iterations and failures <= RESTARTS:
            before = self.best_loss
            result = minimize(
                self.value_and_gradient,
                self.best,
                jac=True,
                method="L-BFGS-B",
                bounds=self.bounds,
                callback=count,
                options={
                    "maxiter": iterations - done,
                    "maxfun": 20 * iterations + 100,
                    "ftol": tolerance,
                    "gtol": gradient_tolerance,
                    "maxcor": 20,
                },
            )
            converged, message = result.status == 0, _text(result.message)
            if result.status == 0 and self._follow_tail():
                count(self.best)
                continue
            if result.status != ABNORMAL:
                break
            # What the search remembers of the curvature may mislead it: start again from the best.
            failures = 0 if self.best_loss < before else failures + 1
        return converged, message

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

    def _follow_tail(self) -> bool:
        """Whether the loss falls far along one element whose slope is left, and the search there.

        Towards a variance of 0 the loss falls by as much as its slope in the logarithm, however far
        that is: a search that has converged everywhere else stops before it.
        """
        for index in np.argsort(-np.abs(self.best_gradient), kind="stable"):
            slope = self.best_gradient[index]
            if abs(slope) <= TAIL or self.tails == MOST_TAILS:
                break
            self.tails += 1
            if self._is_lower_at(index, self.best[index] - TAIL_STEP * np.sign(slope)):
                return True
        return self._revive()

    def _revive(self) -> bool:
        """Whether the loss is lower where an element is tried again that has gone far below.

        Each is tried once: a slope that leads to a variance of 0 may hide a lower minimum.
        """
        while self._revivals:
            index, value = self._revivals.pop(0)
            if self.best[index] < value - FAR_BELOW and self._is_lower_at(index, value):
                return True
        return False

    def _is_lower_at(self, index: int, value: float) -> bool:
        before, vector = self.best_loss, np.array(self.best)
        lowest, highest = (None, None) if self.bounds is None else self.bounds[index]
        if lowest is not None:
            value = max(value, lowest)
        vector[index] = value if highest is None else min(value, highest)
        self.value_and_gradient(vector)
        return self.best_loss < before


def _minimizer() -> Any:
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError(
            f"L-BFGS needs SciPy, which is not installed: {install_command('fit')}"
        ) from error
    return minimize


def wall(vector: np.ndarray, best: np.ndarray, lowest: float) -> Tuple[float, np.ndarray]:
    """Value and gradient of a finite wall that rises away from the best point, of value `lowest`.

    The line search interpolates between two points and their slopes: it steps back from a steep,
    finite value, and gives up at infinity.
    """
    away = vector - best
    height = 1e3 * (1.0 + abs(lowest))
    return lowest + height * (1.0 + 0.5 * away @ away), height * away


def _text(message: object) -> str:
    """SciPy's message in words."""
    text = (message.decode() if isinstance(message, bytes) else str(message)).lower()
    if "reduction" in text:
        return "converged: the loss falls no further (tolerance)"
    if "gradient" in text:
        return "converged: the gradient is zero (gradient_tolerance)"
    if "iterations" in text or "evaluations" in text:
        return LIMIT
    return f"the line search found no lower loss ({text.strip()})"
