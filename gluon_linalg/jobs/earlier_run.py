"""What the folder of results has of an earlier run, and whether a new one continues it."""

from typing import Any

import yaml

from .config import Job
from .errors import JobError
from .kinds import kind_of
from .output import CHECKPOINT, JOB, METRICS, OutputFolder
from .reading import validate
from .state import is_of_data, read_checkpoint

NEW, STARTED, FINISHED = "new", "started", "finished"


def find_status(folder: OutputFolder, job: Job, dataset: Any, overwrite: bool) -> str:
    """NEW, STARTED where there is a checkpoint to continue from, or FINISHED.

    JobError where the `OutputFolder` holds something else.
    """
    names = folder.names()
    if not names:
        return NEW
    if JOB not in names:
        raise JobError(
            f"{folder.path}: holds something else ({sorted(names)[0]}); choose another output"
        )
    if overwrite:
        return NEW
    earlier = _read_earlier(folder.file(JOB))
    difference = f"{JOB} cannot be read" if earlier is None else _difference(earlier, job)
    checkpoint = read_checkpoint(folder.file(CHECKPOINT)) if CHECKPOINT in names else None
    if difference is None and checkpoint and not is_of_data(checkpoint, dataset):
        difference = "the rows of the data differ"
    if difference is not None:
        raise JobError(
            f"{folder.path}: holds the results of another job ({difference}); train with "
            "--overwrite, or choose another output"
        )
    if METRICS in names and _iterations(earlier) == _iterations(job):
        return FINISHED
    return STARTED if checkpoint else NEW


def _read_earlier(path):
    try:
        with open(path, encoding="utf-8") as file:
            return validate(path, yaml.safe_load(file))
    except (OSError, ValueError, yaml.YAMLError, JobError):
        return None


def _difference(earlier, job):
    """What sets the earlier job apart; more iterations or other devices do not."""
    for name in type(job).model_fields:
        before, now = getattr(earlier, name), getattr(job, name)
        if name == "training":
            before, now = _but_progress(before), _but_progress(now)
        if before != now and name not in ("output", "context", "devices"):
            return f"{name} differs"
    if kind_of(job.task).has_training and _iterations(job) < _iterations(earlier):
        return "training.iterations is lower"
    return None


def _iterations(job):
    """None for a kind that computes its model at once."""
    return job.training.iterations if kind_of(job.task).has_training else None


def _but_progress(training):
    return training.model_dump(exclude={"iterations", "checkpoint_every", "kvstore"})
