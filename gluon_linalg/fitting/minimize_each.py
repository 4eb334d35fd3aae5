"""Many small, independent minimization problems, evaluated together.

An evaluation of all series of a batch costs little more than that of one, and SciPy's minimizers
want answers for one problem at a time. So each problem has a search of its own, dense BFGS with
backtracking (Nocedal & Wright 2006, sections 3.1, 3.5 and 6.1) between bounds, which says where it
wants to be evaluated next and is told the answer; what one problem meets does not touch another.
"""

from typing import Callable, Dict, Hashable, List, Optional, Sequence, Tuple

import numpy as np

from .descent import FAR_BELOW

SUFFICIENT = 1e-4
LONGEST_STEP = 4.0
SHORTEST_STEP = 1e-8
# A slope that is more than the first times the tolerance is followed at last, so many times.
TAIL, MOST_TAILS = 10.0, 12
# Of problems with several minima: how many are searched, and for how many evaluations at first.
FAMILIES, TRIAL = 3, 15

# Points (B, n) to values (B,) and gradients (B, n).
Evaluate = Callable[[np.ndarray], Tuple[np.ndarray, np.ndarray]]
# A point, its value and its gradient: those of all problems, or of one.
Answer = Tuple[np.ndarray, np.ndarray, np.ndarray]


def minimize_each(
    evaluate: Evaluate,
    starts: Sequence[np.ndarray],
    lower: np.ndarray,
    upper: np.ndarray,
    tolerance: float,
    iterations: int,
    families: Optional[Sequence[Hashable]] = None,
    revivals: Optional[np.ndarray] = None,
    repeats: bool = False,
) -> Tuple[np.ndarray, np.ndarray]:
    """The lowest points found (B, n) and their values (B,).

    evaluate: takes points (B, n) to values (B,) and gradients (B, n), any of them NaN or infinite.
    starts: a list of points (B, n); each problem begins at the one where it is lowest. families:
    None, or a label for each start; then each problem is searched for TRIAL evaluations from the
    lowest start of each of its FAMILIES lowest families, and on from where that led lowest.
    revivals: None, or (B, n, k), values that are tried where an element has gone far below them.
    lower, upper: (n,) or (B, n). repeats: whether `evaluate` also takes points (k B, n) of all
    problems again and again, which may cost less than so many calls. A search ends when its
    quadratic model promises to fall by less than `tolerance`, or after so many evaluations.
    """
    count = len(starts[0])
    answers = _answers(evaluate, starts, repeats)
    lowest = [_lowest(answers, problem, families) for problem in range(count)]
    lower, upper = (np.broadcast_to(ends, starts[0].shape) for ends in (lower, upper))
    rounds: List[List[_Search]] = []
    for place in range(max(map(len, lowest))):
        chosen = [own[min(place, len(own) - 1)] for own in lowest]
        rounds.append(
            [
                _Search(*answer, least, most, tolerance)
                for answer, least, most in zip(chosen, lower, upper)
            ]
        )
    if families is not None:
        for searches in [sum(rounds, [])] if repeats else rounds:
            _search(evaluate, searches, TRIAL)
    searches = [min(own, key=lambda search: _rank(search.value)) for own in zip(*rounds)]
    if revivals is not None:
        for search, own in zip(searches, revivals):
            search.may_revive(own)
    _search(evaluate, searches, iterations)
    return np.array([s.point for s in searches]), np.array([s.value for s in searches])


def _answers(evaluate: Evaluate, starts: Sequence[np.ndarray], repeats: bool) -> List[Answer]:
    """What is found at the starts."""
    if not repeats:
        return [(points, *evaluate(points)) for points in starts]
    values, gradients = evaluate(np.concatenate(starts))
    pieces = (np.split(found, len(starts)) for found in (values, gradients))
    return list(zip(starts, *pieces))


def _lowest(
    answers: Sequence[Answer], problem: int, families: Optional[Sequence[Hashable]]
) -> List[Answer]:
    """(point, value, gradient) where to begin, of one problem: one for each family."""
    own = [(p[problem], v[problem], g[problem]) for p, v, g in answers]
    order = sorted(range(len(own)), key=lambda number: _rank(own[number][1]))
    if families is None:
        return [own[order[0]]]
    first: Dict[Hashable, Answer] = {}
    for number in order:
        first.setdefault(families[number], own[number])
    return list(first.values())[:FAMILIES]


def _search(evaluate: Evaluate, searches: Sequence["_Search"], evaluations: int) -> None:
    for _ in range(evaluations):
        if all(search.done for search in searches):
            return
        values, gradients = evaluate(np.array([search.trial for search in searches]))
        for search, value, gradient in zip(searches, values, gradients):
            if not search.done:
                search.tell(value, gradient)


class _Search:
    """BFGS for one problem; `trial` is where it wants to be evaluated."""

    def __init__(self, point, value, gradient, lower, upper, tolerance):
        self.point, self.value, self.gradient = point, value, gradient
        self.lower, self.upper, self.tolerance = lower, upper, tolerance
        self.inverse_hessian = None
        # How often, and along which elements since it last moved, it looked into a tail.
        self.tails, self.tried, self.is_tail = 0, set(), False
        # Points of single elements that are still to be tried, (index, value).
        self.left = []
        self.done = not _finite(value, gradient)
        self.trial = point
        self._aim()

    def may_revive(self, values):
        """Elements far below any of their `values` (n, k) are tried there at the end."""
        self.left = [(index, value) for index, own in enumerate(values) for value in own]
        if self.done and _finite(self.value, self.gradient):
            self.done = False
            self._aim()

    def tell(self, value, gradient):
        """The answer at `trial`."""
        moved = self.trial - self.point
        if self.is_tail and not (_finite(value, gradient) and value < self.value):
            self._aim()
            return
        if self.is_tail:
            # What was learned beside this element holds still.
            self.tried, self.is_tail = set(), False
            self.point, self.value, self.gradient = self.trial, value, gradient
            self._aim()
            return
        promised = self.gradient @ moved
        if not _finite(value, gradient) or value > self.value + SUFFICIENT * promised:
            self._step_back(value, promised)
            return
        self._learn(moved, gradient - self.gradient)
        self.point, self.value, self.gradient = self.trial, value, gradient
        self._aim()

    def _aim(self):
        """A new direction from the present point, with a full step to begin with."""
        if self.done:
            return
        free = ~(
            ((self.point <= self.lower) & (self.gradient > 0))
            | ((self.point >= self.upper) & (self.gradient < 0))
        )
        slope = np.where(free, self.gradient, 0.0)
        if self.inverse_hessian is None:
            direction = -slope / max(1.0, np.linalg.norm(slope))
        else:
            direction = np.where(free, -self.inverse_hessian @ slope, 0.0)
            if direction @ slope >= 0 and slope.any():
                # What was learned beside the bounds misleads here.
                self.inverse_hessian = None
                return self._aim()
            self.done = -0.5 * (direction @ slope) < self.tolerance
        self.done = self.done or not slope.any()
        self.is_tail = False
        if self.done:
            direction = self._along_tail(slope)
        longest = np.abs(direction).max()
        if longest > LONGEST_STEP and not self.is_tail:
            direction = direction * (LONGEST_STEP / longest)
        self.direction = direction
        self.step = 1.0
        self._try()

    def _along_tail(self, slope):
        """A long step along one element whose slope is left, 0 where none is.

        Towards a variance of 0 the loss falls by as much as its slope in the logarithm, however
        far that is, which no quadratic model sees.
        """
        direction, left = np.zeros_like(slope), np.abs(slope)
        left[list(self.tried)] = 0.0
        chosen = int(np.argmax(left))
        if left[chosen] > TAIL * self.tolerance and self.tails < MOST_TAILS:
            self.done, self.is_tail, self.tails = False, True, self.tails + 1
            self.tried.add(chosen)
            direction[chosen] = -LONGEST_STEP * np.sign(slope[chosen])
            return direction
        while self.left:
            index, value = self.left.pop(0)
            if self.point[index] < value - FAR_BELOW:
                self.done, self.is_tail = False, True
                direction[index] = value - self.point[index]
                break
        return direction

    def _try(self):
        self.trial = np.clip(self.point + self.step * self.direction, self.lower, self.upper)

    def _step_back(self, value, promised):
        """A shorter step: the minimum of the parabola through what is known, within limits."""
        share = 0.1
        if np.isfinite(value):
            share = np.clip(-0.5 * promised / (value - self.value - promised), 0.1, 0.5)
        self.step *= share
        if self.step < SHORTEST_STEP:
            self.done = self.inverse_hessian is None
            self.inverse_hessian = None
            self._aim()
        else:
            self._try()

    def _learn(self, moved, changed):
        """The BFGS update of the inverse Hessian, left out where the curvature is not positive."""
        curvature = moved @ changed
        if curvature <= 1e-10 * np.linalg.norm(moved) * np.linalg.norm(changed):
            return
        identity = np.eye(len(moved))
        if self.inverse_hessian is None:
            self.inverse_hessian = identity * curvature / (changed @ changed)
        left = identity - np.outer(moved, changed) / curvature
        self.inverse_hessian = left @ self.inverse_hessian @ left.T
        self.inverse_hessian += np.outer(moved, moved) / curvature


def _finite(value, gradient):
    return bool(np.isfinite(value) and np.isfinite(gradient).all())


def _rank(value):
    return value if np.isfinite(value) else np.inf
