"""Many small, independent minimization problems, evaluated together.

An evaluation of all series of a batch costs little more than that of one, and SciPy's minimizers
want answers for one problem at a time. So each problem has searches of its own (`search.Search`),
which say where they want to be evaluated next and are told the answer; what one problem meets does
not touch another, and one that is done is evaluated no more.
"""

from typing import Callable, Dict, Hashable, List, Optional, Sequence, Tuple

import numpy as np

from .descent import FAR_BELOW
from .search import Search

# Of problems with several minima: how many are searched, for how many evaluations at least, without
# information and with it, and by how many times what it promises a search may then be above the
# lowest.
FAMILIES, TRIAL, INFORMED_TRIAL, HOPE = 3, 15, 6, 3.0
# How often what has gone far below is tried again.
REVIVALS = 3

# Points (m, n), and which problem each is of (m,), to values (m,) and gradients (m, n).
Evaluate = Callable[[np.ndarray, np.ndarray], Tuple[np.ndarray, np.ndarray]]
# The same to curvatures (m, n, n).
Information = Callable[[np.ndarray, np.ndarray], np.ndarray]


def minimize_each(
    evaluate: Evaluate,
    starts: Sequence[np.ndarray],
    lower: np.ndarray,
    upper: np.ndarray,
    tolerance: float,
    iterations: int,
    families: Optional[Sequence[Hashable]] = None,
    revivals: Optional[np.ndarray] = None,
    information: Optional[Information] = None,
    logs: Optional[np.ndarray] = None,
) -> Tuple[np.ndarray, np.ndarray]:
    """The lowest points found (B, n) and their values (B,).

    evaluate: takes points (m, n) of the problems (m,) to values (m,) and gradients (m, n), any of
    them NaN or infinite; a problem is there once for each of its starts or searches, or not at all.
    starts: a list of points (B, n); each problem begins at the one where it is lowest. families:
    None, or a label for each start; then each problem is searched for TRIAL evaluations from the
    lowest start of each of its FAMILIES lowest families, and on from where that led lowest.
    revivals: None, or (B, n, k), values that are tried where an element has gone far below them.
    information: None, or takes points and problems to matrices (m, n, n), positive semidefinite and
    about what the Hessians are near a minimum, such as the information of a likelihood. lower,
    upper: (n,) or (B, n). A search ends when its quadratic model promises to fall by less than
    `tolerance`, or after so many evaluations.
    """
    count, (lower, upper) = len(starts[0]), np.broadcast_arrays(lower, upper)
    lower, upper = (np.broadcast_to(ends, starts[0].shape) for ends in (lower, upper))
    every = np.tile(np.arange(count), len(starts))
    values, gradients = evaluate(np.concatenate(starts), every)
    chosen = _chosen(values.reshape(len(starts), count), families)
    places = np.array([start * count + problem for start, problem in chosen])
    points, problems = np.concatenate(starts)[places], every[places]
    curvatures = information(points, problems) if information else [None] * len(places)
    searches = [
        Search(point, values[k], gradients[k], curvature, lower[b], upper[b], tolerance, logs)
        for point, k, curvature, b in zip(points, places, curvatures, problems)
    ]
    group = _Group(evaluate, information, searches, problems)
    if families is not None:
        group.race(iterations)
        group.keep_lowest()
    group.run(iterations)
    for _ in range(REVIVALS if iterations else 0):
        if revivals is None or not group.revive(revivals):
            break
        group.run(iterations)
    return (
        np.array([search.point for search in group.searches]),
        np.array([search.value for search in group.searches]),
    )


def _chosen(values: np.ndarray, families: Optional[Sequence[Hashable]]) -> List[Tuple[int, int]]:
    """Pairs (start, problem) where searches begin, those of a problem by their values (k, B)."""
    found = []
    for problem in range(values.shape[1]):
        own = np.where(np.isfinite(values[:, problem]), values[:, problem], np.inf)
        order = np.argsort(own, kind="stable").tolist()
        first: Dict[Hashable, int] = {}
        for start in order if families is not None else order[:1]:
            first.setdefault(families[start] if families is not None else None, start)
        found += [(start, problem) for start in list(first.values())[:FAMILIES]]
    return found


class _Group:
    """Searches, and which problem each is of."""

    def __init__(
        self,
        evaluate: Evaluate,
        information: Optional[Information],
        searches: List[Search],
        problems: np.ndarray,
    ) -> None:
        self._evaluate, self._information = evaluate, information
        self.searches, self._problems = searches, problems
        self._tried: Dict[int, float] = {}

    def run(self, evaluations: int) -> None:
        """Until all are done."""
        for _ in range(evaluations):
            if not self._step():
                return

    def race(self, evaluations: int) -> None:
        """The same, with an end for those that others of the same problem have made needless.

        Of those that meet on the way to a minimum one goes on, and after a trial only
        what may still come to be the lowest.
        """
        least = TRIAL if self._information is None else INFORMED_TRIAL
        for number in range(evaluations):
            if not self._step():
                return
            for problem in set(self._problems.tolist()):
                own = [s for s, b in zip(self.searches, self._problems) if b == problem]
                own.sort(key=_rank_of)
                for place, search in enumerate(own):
                    hope = search.value - HOPE * search.promise
                    is_late = number >= least and hope > own[0].value
                    if is_late or any(search.resembles(other) for other in own[:place]):
                        search.done = True

    def _step(self):
        """Whether any search was not done, and has its answer."""
        active = [k for k, search in enumerate(self.searches) if not search.done]
        if active:
            trials = np.array([self.searches[k].trial for k in active])
            answers = self._answers(trials, self._problems[active])
            for k, *answer in zip(active, *answers):
                self.searches[k].tell(*answer)
        return bool(active)

    def keep_lowest(self) -> None:
        """Of each problem the search that is lowest."""
        order = sorted(range(len(self.searches)), key=lambda k: _rank(self.searches[k].value))
        kept: Dict[int, Search] = {}
        for k in order:
            kept.setdefault(int(self._problems[k]), self.searches[k])
        self._problems = np.arange(len(kept))
        self.searches = [kept[problem] for problem in range(len(kept))]
        for search in self.searches:
            search.go_on()

    def revive(self, revivals: np.ndarray) -> bool:
        """Whether a search is lower where an element that has gone far below is tried again.

        A slope that leads to a variance of 0 may hide a lower minimum.
        """
        places, trials = [], []
        for k, (search, own) in enumerate(zip(self.searches, revivals)):
            if self._tried.get(k, np.inf) <= search.value or not np.isfinite(search.value):
                continue
            self._tried[k] = search.value
            for index, value in np.argwhere(search.point[:, None] < own - FAR_BELOW):
                point = search.point.copy()
                point[index] = own[index, value]
                places.append(k)
                trials.append(np.clip(point, search.lower, search.upper))
        if not places:
            return False
        answers = self._answers(np.array(trials), self._problems[places])
        found = False
        for k, point, *answer in zip(places, trials, *answers):
            found |= self.searches[k].move(point, *answer)
        return found

    def _answers(self, points, problems):
        values, gradients = self._evaluate(points, problems)
        if self._information is None:
            return values, gradients, [None] * len(values)
        return values, gradients, self._information(points, problems)


def _rank(value: float) -> float:
    return value if np.isfinite(value) else np.inf


def _rank_of(search: Search) -> float:
    return _rank(search.value)
