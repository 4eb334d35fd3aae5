"""What a benchmark is made of: a problem, and those who solve it."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]

# The environment of this package, and its two backends with their names in tables.
HERE = "here"
BACKENDS = {"native": "native", "mxnet": "MXNet"}
# The same as "native" in a row of several threads: what these are worth, in one run.
ALONE = "native, 1 thread"


class Contender(NamedTuple):
    """Who solves a problem: a class `target`, "module:Class", in an environment.

    The class is made of the arrays of the problem and the options. Its methods: `run()`, value and
    gradients; `results()`, arrays by name of the last run; if it has them `forward()`, the value
    alone, and `figures()`, further numbers by name. `run` returns when all is computed; what it
    returns, if anything, are the seconds that count. threads: where it has not those of the row.
    """

    label: str
    environment: str
    target: str
    options: Mapping[str, Any] = {}
    threads: Optional[int] = None


class Work(NamedTuple):
    """What value and gradients need at least: floating point operations, and bytes moved."""

    operations: float
    bytes: float


def relative_difference(results: Arrays, reference: Arrays) -> float:
    """The largest difference of all arrays, each as a part of the largest element of its like."""
    missing = set(results) - set(reference)
    if missing or not results:
        raise ValueError(f"no such results to compare with: {sorted(missing)}")

    def one(ours, theirs):
        if np.shape(ours) != np.shape(theirs):
            raise ValueError(f"results have shapes {np.shape(ours)} and {np.shape(theirs)}")
        return np.abs(ours - theirs).max() / max(np.abs(theirs).max(), np.finfo("float64").tiny)

    # Not Python's `max`, which loses NaN.
    return float(np.max([one(results[name], reference[name]) for name in results]))


@dataclass(frozen=True)
class Case:
    """A problem, its contenders, and where its row stands.

    name: of the case, family/problem. table: of the page. title: of the row. inputs: makes the
    arrays of the problem; small: those of a small one, which is solved first, so that a first call
    does not count how the libraries start. contenders: the first is the reference, from which
    others may differ by `tolerance` at most, as `difference` says. line: the names of a line of a
    scaling table and of what grows, and how large it is here. turns: how many of them, at most.
    slow: left out unless asked for. memory: whether it is measured, by one more run. fits: whether
    a run is a training, of which the page has the figures rather than ratios of times.
    """

    name: str
    table: str
    title: str
    inputs: Callable[[], Arrays]
    contenders: Sequence[Contender]
    tolerance: float
    small: Optional[Callable[[], Arrays]] = None
    difference: Callable[[Arrays, Arrays], float] = relative_difference
    work: Optional[Work] = None
    dtype: str = "float64"
    line: Optional[Tuple[str, str, float]] = None
    turns: int = 15
    slow: bool = False
    memory: bool = True
    fits: bool = False
    threads: Sequence[int] = field(default=(1, 2))


def ours(
    target: str, suffix: str = "", only: Sequence[str] = (), **options: Any
) -> List[Contender]:
    """The package itself, with each backend."""
    return [
        Contender(label + suffix, HERE, target, {**options, "backend": backend})
        for backend, label in BACKENDS.items()
        if not only or backend in only
    ]
