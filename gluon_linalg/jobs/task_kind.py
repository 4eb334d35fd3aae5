"""What a kind of job is to the commands: one object for all that depends on the key `task`."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Tuple, Type

import mxnet as mx

from .config import Job
from .output import GRAPH, PLOT
from .predictor import JobPredictor, load_graph
from .task import Task


@dataclass(frozen=True)
class TaskKind:
    """A kind of job, the `KIND` of its folder, which `kinds` names.

    name: the value of `task`, and the name of the folder; title: what is modelled by, in a few
    words; sections: of its job file; task: what computes or trains; summary: the lines that tell
    how a job went, of its metrics; predictor: made of model-io.json; predicts: what `predict`
    needs and writes, a sentence; load: the model of a finished job (folder, model-io.json, device)
    that the predictor asks; files and folders: what it writes, beside what all jobs have;
    takes_folders: whether `data.path` may be a folder of files.
    """

    name: str
    title: str
    sections: Type[Job]
    task: Type[Task]
    summary: Callable[[Dict[str, Any]], Iterable[str]]
    predictor: Callable[[Dict[str, Any]], JobPredictor]
    predicts: str
    load: Callable[[str, Dict[str, Any], mx.Context], Any] = load_graph
    files: Tuple[str, ...] = (*GRAPH, PLOT)
    folders: Tuple[str, ...] = ()
    takes_folders: bool = False

    @property
    def has_training(self) -> bool:
        """Whether its job files have a section `training`, though a job may do without steps."""
        return "training" in self.sections.model_fields
