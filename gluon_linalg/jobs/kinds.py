"""The kinds of jobs, by the key `task` of a job file."""

from functools import lru_cache
from importlib import import_module
from typing import List

from .task_kind import TaskKind

# Each is the folder beside this file whose module `kind` has the `KIND`. It is imported when there
# is such a job.
NAMES = (
    "gp",
    "blr",
    "statespace",
    "multivariate",
    "pca",
    "lda",
    "forecast",
)
# Of a job file without the key.
DEFAULT = "gp"


@lru_cache(maxsize=None)
def kind_of(task: str) -> TaskKind:
    """The kind of this name; KeyError for what is none."""
    if task not in NAMES:
        raise KeyError(task)
    return import_module(f".{task}.kind", __package__).KIND


def all_kinds() -> List[TaskKind]:
    """All of them, which imports them all."""
    return [kind_of(name) for name in NAMES]
