"""The folder of results: what may be in it, and what a new run does with it."""

import os
import shutil

import yaml

from .errors import JobError, reason
from .files import UNFINISHED, UNFINISHED_EXPORT, remove_unfinished, write_yaml
from .reading import validate
from .scalars import FOLDER as TENSORBOARD
from .state import FILE as CHECKPOINT
from .state import is_of_data, read_checkpoint

JOB = "job.resolved.yaml"
METRICS = "metrics.json"
CURVE = "training_curve.csv"
PLOT = "plot.png"
MODEL = "model"
MODEL_IO = "model-io.json"
# Rows of the data, to try the model with; series with features are no rows.
SAMPLE = "sample.csv"
SAMPLE_SERIES = "sample.jsonl"
PREDICTIONS = "predictions.csv"
FORECAST = "forecast.csv"
SMOOTHED = "smoothed.csv"
SCORES = "scores.csv"
COMPONENTS = "components.csv"
BACKTEST = "backtest.csv"
BACKTEST_FORECASTS = "backtest_forecasts.csv"
# The folder that GluonTS reads.
PREDICTOR = "predictor"
FILES = (
    # Last written first: a folder that loses its job file becomes someone else's.
    METRICS,
    PREDICTIONS,
    SAMPLE,
    SAMPLE_SERIES,
    FORECAST,
    SMOOTHED,
    SCORES,
    COMPONENTS,
    BACKTEST,
    BACKTEST_FORECASTS,
    PLOT,
    CURVE,
    MODEL_IO,
    f"{MODEL}-symbol.json",
    f"{MODEL}-0000.params",
    CHECKPOINT,
    JOB,
)


class OutputFolder:
    """`status` is 'new', 'started' (a checkpoint to continue from) or 'finished'."""

    def __init__(self, job, dataset, overwrite):
        self.path, self.job = job.output, job
        self.status = "new"
        names = self._names()
        if not names:
            return
        if JOB not in names:
            raise JobError(
                f"{self.path}: holds something else ({sorted(names)[0]}); choose another output"
            )
        if not overwrite:
            self.status = self._status(names, dataset)

    def file(self, name):
        return os.path.join(self.path, name)

    def open(self):
        """Creates the folder, or clears it of what this run will write anew."""
        try:
            os.makedirs(self.path, exist_ok=True)
            remove_unfinished(self.path)
            for name in FILES if self.status == "new" else (METRICS,):
                if os.path.lexists(self.file(name)):
                    os.remove(self.file(name))
            if self.status == "new":
                for name in (TENSORBOARD, PREDICTOR):
                    shutil.rmtree(self.file(name), ignore_errors=True)
        except OSError as error:
            raise JobError(
                f"{self.path}: the output folder cannot be made: {reason(error)}; choose another"
            ) from None
        write_yaml(self.file(JOB), self.job.model_dump(mode="json"))

    def _names(self):
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            raise JobError(
                f"{self.path}: cannot be the output folder: {reason(error)}; choose another"
            ) from None
        return {n for n in names if not n.startswith((UNFINISHED, UNFINISHED_EXPORT))}

    def _status(self, names, dataset):
        difference = self._difference()
        checkpoint = read_checkpoint(self.file(CHECKPOINT)) if CHECKPOINT in names else None
        if difference is None and checkpoint and not is_of_data(checkpoint, dataset):
            difference = "the rows of the data differ"
        if difference is not None:
            raise JobError(
                f"{self.path}: holds the results of another job ({difference}); train with "
                "--overwrite, or choose another output"
            )
        if METRICS in names and _iterations(self._earlier) == _iterations(self.job):
            return "finished"
        return "started" if checkpoint else "new"

    def _difference(self):
        """What sets the earlier job apart; more iterations or other devices do not."""
        path = self.file(JOB)
        try:
            with open(path, encoding="utf-8") as file:
                self._earlier = validate(path, yaml.safe_load(file))
        except (OSError, ValueError, yaml.YAMLError, JobError):
            return f"{JOB} cannot be read"
        for name in type(self.job).model_fields:
            earlier, now = getattr(self._earlier, name), getattr(self.job, name)
            if name == "training":
                earlier, now = _but_progress(earlier), _but_progress(now)
            if earlier != now and name not in ("output", "context", "devices"):
                return f"{name} differs"
        training = _training(self.job)
        if training is not None and training.iterations < self._earlier.training.iterations:
            return "training.iterations is lower"
        return None


def _training(job):
    """None for a task that computes its model at once."""
    return getattr(job, "training", None)


def _iterations(job):
    return job.training.iterations if _training(job) is not None else None


def _but_progress(training):
    return training.model_dump(exclude={"iterations", "checkpoint_every", "kvstore"})
