"""The search for a minimum of one problem, which is told what it asks for."""

from typing import Optional, Set

import numpy as np

SUFFICIENT = 1e-4
# How far elements go in a step, logarithms of variances up and down.
LONGEST_STEP = 4.0
HIGHEST_RISE, DEEPEST_FALL = 6.0, 16.0
SHORTEST_STEP = 1e-8
# A slope that is more than the first times the tolerance is followed at last, so many times.
TAIL, MOST_TAILS = 10.0, 12
# What moved farther says nothing of the curvature where it is.
NEAR = 1.0
# After so many failures the model is quadratic in the logarithm itself.
MOST_FAILURES = 2
# Searches that are nearer are the same.
SAME = 1e-3
# Information about what hardly matters.
FAINT = 1e-4
# Of elements of a Hessian with a diagonal of 1.
RIDGE = 1e-9


class Search:
    """Quasi-Newton steps between bounds; `trial` is where it wants to be evaluated.

    The Hessian is what is known of it at a point (`information`), plus what BFGS learns of the
    rest (Dennis, Martinez & Tapia 1989); without information BFGS alone. A step goes to the minimum
    of the quadratic model in a box, and back from there until the value falls (Nocedal & Wright
    2006, sections 3.1 and 6.1).

    logs: (n,), which elements are logarithms of what the model is quadratic in, such as variances:
    a step by u then goes to log(1 + u) more. So a minimum at 0 is a bound, which is reached in one
    step, and not a tail.
    """

    def __init__(
        self,
        point: np.ndarray,
        value: float,
        gradient: np.ndarray,
        information: Optional[np.ndarray],
        lower: np.ndarray,
        upper: np.ndarray,
        tolerance: float,
        logs: Optional[np.ndarray] = None,
    ) -> None:
        self.point, self.value, self.gradient = point, value, gradient
        self.lower, self.upper, self.tolerance = lower, upper, tolerance
        self.logs = np.zeros(len(point), dtype=bool) if logs is None else logs
        self.information = information
        # What is known of the Hessian; None for nothing yet.
        self._hessian: Optional[np.ndarray] = None
        # How often, and along which elements since it last moved, it looked into a tail.
        self._tails, self._is_tail = 0, False
        self._tried: Set[int] = set()
        # How often steps have failed in which they went far.
        self._failures = np.zeros(len(point))
        self.done = not _finite(value, gradient)
        self.trial, self.promise = point, 0.0
        self._hessian = self._informed()
        self._aim()

    def go_on(self) -> None:
        """After it was ended from outside."""
        self.done = not _finite(self.value, self.gradient)
        self._aim()

    def move(
        self,
        point: np.ndarray,
        value: float,
        gradient: np.ndarray,
        information: Optional[np.ndarray],
    ) -> bool:
        """Whether a point is lower; it goes on from there then."""
        if not (_finite(value, gradient) and value < self.value):
            return False
        self.point, self.value, self.gradient = point, value, gradient
        self.information, self._tried, self.done = information, set(), False
        if information is not None:
            self._hessian = self._informed()
        self._aim()
        return True

    def resembles(self, other: "Search") -> bool:
        """Whether it is where another one is, but for what hardly changes the value."""
        apart = np.minimum(np.abs(self.point - other.point), 1.0)
        if self.information is None or other.information is None:
            return bool(apart.max() < SAME)
        sizes = np.maximum(self.information.diagonal(), other.information.diagonal())
        return bool(sizes @ np.square(apart) < SAME)

    def tell(self, value: float, gradient: np.ndarray, information: Optional[np.ndarray]) -> None:
        """The answer at `trial`."""
        if self._is_tail:
            # What was learned beside this element holds still.
            if not self.move(self.trial, value, gradient, information):
                self._aim()
            return
        promised = self.step * (self.gradient @ self.direction)
        if not _finite(value, gradient) or value > self.value + SUFFICIENT * promised:
            self._step_back(value, promised)
            return
        self._learn(gradient, information)
        self.point, self.value = self.trial, value
        self._tried = set()
        self._aim()

    def _aim(self):
        """A new direction from the present point, with a full step to begin with."""
        if self.done:
            return
        self._is_tail = False
        self.direction, fall = self._lowest_in_box()
        self.promise = fall
        if fall < self.tolerance and self._hessian is not None:
            self.direction = self._along_tail()
            self.done = not self._is_tail
        elif not fall > 0:
            self.done = True
        self.step = 1.0
        self._try()

    @property
    def _are_plain(self):
        """Logarithms that are taken as they are."""
        return self._failures >= MOST_FAILURES

    def _informed(self):
        """The Hessian as the information tells of it; None without."""
        if self.information is None:
            return None
        found, size = self.information.copy(), len(self.point)
        diagonal = found.diagonal() + np.where(self._are_plain, np.abs(self.gradient), 0.0)
        # 1 for what it does not tell of.
        found.flat[:: size + 1] = np.where(diagonal > 0, diagonal, 1.0) * (1.0 + RIDGE)
        return found

    def _box(self):
        """The least and the largest step, (n,) each."""
        low, high = self.lower - self.point, self.upper - self.point
        if not self.logs.any():
            return np.maximum(low, -LONGEST_STEP), np.minimum(high, LONGEST_STEP)
        # As high as the others at once.
        rise = np.maximum(self.point[self.logs].max() - self.point, HIGHEST_RISE)
        low = np.maximum(low, np.where(self.logs, -DEEPEST_FALL, -LONGEST_STEP))
        high = np.minimum(high, np.where(self.logs, rise, LONGEST_STEP))
        if self.logs.all():
            return np.expm1(low), np.expm1(high)
        return np.where(self.logs, np.expm1(low), low), np.where(self.logs, np.expm1(high), high)

    def _lowest_in_box(self):
        """The minimum of the quadratic model within reach and bounds, and by how much it falls.

        On the way there what comes to a side of the box first stays while the rest goes on.
        """
        (low, high), gradient, hessian = self._box(), self.gradient, self._hessian
        if hessian is None:
            hessian = np.eye(len(gradient)) * max(1.0, np.linalg.norm(gradient))
        # In units in which elements of very different size are alike.
        scale = 1.0 / np.sqrt(hessian.diagonal())
        scaled, slope = hessian * np.outer(scale, scale), scale * gradient
        low, high, direction = low / scale, high / scale, np.zeros_like(gradient)
        # At a bound what would leave it stays.
        free = np.flatnonzero(((low < 0) | (gradient <= 0)) & ((high > 0) | (gradient >= 0)))
        while len(free):
            is_all = len(free) == len(gradient)
            matrix = scaled if is_all else scaled[free[:, None], free]
            wanted = -np.linalg.solve(matrix, (slope + scaled @ direction)[free])
            before = direction[free]
            room = np.where(wanted > 0, high[free], low[free])
            leaves = np.abs(wanted) > np.abs(room - before)
            if not leaves.any():
                direction[free] = before + wanted
                break
            shares = np.where(leaves, (room - before) / np.where(leaves, wanted, 1.0), 1.0)
            first = int(shares.argmin())
            direction[free] = before + shares[first] * wanted
            direction[free[first]] = room[first]
            free = np.delete(free, first)
        promised = -(slope @ direction)
        if not promised > 0:
            direction = np.minimum(np.maximum(-slope, low), high)
            promised = -(slope @ direction)
        return scale * direction, promised - 0.5 * direction @ scaled @ direction

    def _along_tail(self):
        """A long step along one element whose slope is left, 0 where none is.

        Towards a variance of 0 the loss falls by as much as its slope in the logarithm, however
        far that is, which no quadratic model in logarithms sees.
        """
        direction, left = np.zeros_like(self.gradient), np.abs(self.gradient)
        outward = np.where(self.gradient > 0, self.point <= self.lower, self.point >= self.upper)
        left[outward | self.logs] = 0.0
        left[list(self._tried)] = 0.0
        chosen = int(np.argmax(left))
        if left[chosen] > TAIL * self.tolerance and self._tails < MOST_TAILS:
            self._is_tail, self._tails = True, self._tails + 1
            self._tried.add(chosen)
            direction[chosen] = -LONGEST_STEP * np.sign(self.gradient[chosen])
        return direction

    def _try(self):
        moved = self.step * self.direction
        if self.logs.any():
            moved[self.logs] = np.log1p(moved[self.logs])
        self.trial = np.minimum(np.maximum(self.point + moved, self.lower), self.upper)

    def _step_back(self, value, promised):
        """A shorter step: the minimum of the parabola through what is known, within limits."""
        share = 0.1
        if np.isfinite(value):
            share = min(max(-0.5 * promised / (value - self.value - promised), 0.1), 0.5)
        if self.step == 1.0:
            self._failures += self.logs & (np.abs(self.trial - self.point) > NEAR)
            if (self.logs & self._are_plain).any():
                self.logs, self._hessian = self.logs & ~self._are_plain, self._informed()
                self._aim()
                return
        self.step *= share
        if self.step < SHORTEST_STEP:
            before, self._hessian = self._hessian, self._informed()
            self.done = before is None or np.array_equal(before, self._hessian)
            self._aim()
        else:
            self._try()

    def _learn(self, gradient, information):
        """The BFGS update of the Hessian, left out where the curvature is not positive.

        All in units of the new point: where elements are logarithms, of what they are logarithms
        of.
        """
        moved, changed = self.trial - self.point, gradient - self.gradient
        before = self.gradient
        self.gradient, self.information = gradient, information
        if information is not None:
            known, sizes = self._informed(), information.diagonal()
            # What hardly matters where it is has no curvature that could be told from rounding.
            matters = (sizes > FAINT) | ~self.logs
            if np.abs(moved[matters]).max(initial=0.0) > NEAR:
                self._hessian = known
                return
            growth = np.exp(np.where(self.logs & matters, moved, 0.0))
            moved = np.where(self.logs, 1.0 - 1.0 / growth, moved) * matters
            changed = (gradient - before * growth) * matters
            self._hessian = self._hessian * np.outer(growth, growth)
            if not matters.all():
                alike = np.equal.outer(matters, matters)
                self._hessian = np.where(np.outer(matters, matters), self._hessian, known) * alike
        curvature = moved @ changed
        if curvature <= 1e-10 * np.linalg.norm(moved) * np.linalg.norm(changed):
            return
        if self._hessian is None:
            self._hessian = np.eye(len(moved)) * (changed @ changed) / curvature
        along = self._hessian @ moved
        self._hessian = (
            self._hessian
            + np.outer(changed, changed) / curvature
            - np.outer(along, along) / (moved @ along)
        )


def _finite(value, gradient):
    return bool(np.isfinite(value) and np.isfinite(gradient).all())
