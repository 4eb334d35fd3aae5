"""The folder of results, and the names of the files that several kinds of jobs have in it."""

import os
import shutil
from typing import Any, Optional, Sequence, Set, Tuple

from .errors import JobError, reason
from .files import UNFINISHED, UNFINISHED_EXPORT, remove_unfinished, write_yaml

# What `train` writes for each job, and `predict` beside it.
JOB = "job.resolved.yaml"
METRICS = "metrics.json"
SUMMARY = "summary.txt"
CURVE = "training_curve.csv"
CHECKPOINT = "checkpoint.params"
# Rows of the data, to try the model with; series with features are no rows.
SAMPLE = "sample.csv"
SAMPLE_SERIES = "sample.jsonl"
PREDICTIONS = "predictions.csv"
# A folder, for the program of this name.
TENSORBOARD = "tensorboard"

# What kinds write: those of `TaskKind.files`.
MODEL = "model"
MODEL_IO = "model-io.json"
PLOT = "plot.png"
FORECAST = "forecast.csv"


def graph_files(name: str) -> Tuple[str, str]:
    """The files of an exported graph."""
    return f"{name}-symbol.json", f"{name}-0000.params"


GRAPH = (MODEL_IO, *graph_files(MODEL))


class OutputFolder:
    """Where a job leaves its results."""

    def __init__(self, path: str) -> None:
        self.path = path

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def names(self) -> Set[str]:
        """What is in the folder, a set; JobError where there can be no folder."""
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            raise JobError(
                f"{self.path}: cannot be the output folder: {reason(error)}; choose another"
            ) from None
        return {n for n in names if not n.startswith((UNFINISHED, UNFINISHED_EXPORT))}

    def open(self, job: Any, kinds: Optional[Sequence[Any]] = None) -> None:
        """Creates the folder, or clears it of what this run will write anew.

        kinds: the `TaskKind`s whose results may be in it; None where the run continues.
        """
        try:
            os.makedirs(self.path, exist_ok=True)
            remove_unfinished(self.path)
            for name in (METRICS,) if kinds is None else _written(kinds):
                if os.path.lexists(self.file(name)):
                    os.remove(self.file(name))
            if kinds is not None:
                for name in (TENSORBOARD, *(name for kind in kinds for name in kind.folders)):
                    shutil.rmtree(self.file(name), ignore_errors=True)
        except OSError as error:
            raise JobError(
                f"{self.path}: the output folder cannot be made: {reason(error)}; choose another"
            ) from None
        write_yaml(self.file(JOB), job.model_dump(mode="json"))


def _written(kinds):
    """All files of these kinds, in the order in which they are removed."""
    # Last written first: a folder that loses its job file becomes someone else's.
    first, last = (METRICS, SUMMARY, PREDICTIONS, SAMPLE, SAMPLE_SERIES), (CURVE, CHECKPOINT, JOB)
    return (*first, *dict.fromkeys(name for kind in kinds for name in kind.files), *last)
