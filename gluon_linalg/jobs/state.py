"""How far the training has come, and the checkpoint that a later run continues from."""

import hashlib
import os
import signal
import time

import mxnet as mx
import numpy as np

from . import optimizer_state
from .errors import JobError
from .files import write_arrays
from .interruption import Interrupted, requested
from .output import CHECKPOINT

# The longest time from one checkpoint to the next, if iterations are slow.
SECONDS_BETWEEN = 60.0


class TrainingState:
    """Iteration and curve; the checkpoint holds these, all parameters and the optimizer.

    All in one .params file, so that a killed process never leaves parts of two iterations. Without
    a folder, as in all workers but the first, nothing is written. The losses of the curve are in
    units of the job.
    """

    def __init__(self, folder, task, every):
        self.path = None if folder is None else os.path.join(folder, CHECKPOINT)
        self.task, self.every, self.observers = task, every, []
        self.iteration, self.curve = 0, []
        # Of L-BFGS: where it began, and what it was told since.
        self.first_vector, self.answers = None, []
        self._earlier_curve, self._saved = [], time.monotonic()
        self._started, self._earlier_seconds = time.monotonic(), 0.0
        self._trainer, self._stored = None, {}
        self._fingerprint = data_fingerprint(task.dataset)

    @property
    def seconds(self):
        """Spent on training, in this run and those it continues."""
        return self._earlier_seconds + time.monotonic() - self._started

    def start(self, loss):
        """The loss of the initial parameters, unless an earlier run has left its own."""
        self._started = time.monotonic()
        if not self.curve:
            self.curve.append((0, 0.0, loss + self.task.loss_offset))

    def start_search(self, vector):
        """L-BFGS begins; it repeats what an earlier run has done, from where that began."""
        if self.first_vector is None:
            self.first_vector = vector
        self._earlier_curve, self.curve = self.curve, self.curve[:1]
        self.iteration = 0

    def advance(self, loss):
        """One more iteration is complete."""
        self.iteration += 1
        if self.iteration < len(self._earlier_curve):
            self.curve.append(self._earlier_curve[self.iteration])
            return
        loss = loss + self.task.loss_offset
        self.curve.append((self.iteration, self.seconds, loss))
        for observer in self.observers:
            observer.update(self.iteration, loss)
        is_late = time.monotonic() - self._saved > SECONDS_BETWEEN
        if self.iteration % self.every == 0 or is_late:
            self.save()

    def stop_if_asked(self, asked):
        """Between two evaluations: saves and raises `Interrupted` if a signal waits for that."""
        if asked:
            self.save()
            raise Interrupted(requested() or signal.SIGTERM, self.iteration)

    def save(self):
        self._saved = time.monotonic()
        if self.path is None:
            return
        arrays = {
            "progress:iteration": _array([self.iteration]),
            # A search that still repeats the earlier run has not come as far as that.
            "progress:curve": _array(max(self.curve, self._earlier_curve, key=len)),
            **self._fingerprint,
        }
        for path, parameter in self.task.parameters.items():
            arrays[f"parameter:{path}"] = parameter.data(self.task.context)
        if self._trainer is not None:
            arrays.update(optimizer_state.arrays(self._trainer))
        if self.first_vector is not None:
            arrays["search:first"] = _array(self.first_vector)
            if self.answers:
                arrays["search:answers"] = _array(np.stack(self.answers))
        write_arrays(self.path, arrays)

    def restore(self, arrays):
        """Continues from the arrays of a checkpoint."""
        try:
            self.iteration = int(arrays["progress:iteration"].asscalar())
            self.curve = [
                (int(row[0]), row[1], row[2]) for row in arrays["progress:curve"].asnumpy().tolist()
            ]
            self._earlier_seconds = self.curve[-1][1]
            for path, parameter in self.task.parameters.items():
                parameter.set_data(arrays[f"parameter:{path}"])
        except (KeyError, IndexError, AssertionError, mx.base.MXNetError):
            raise _damaged(self.path) from None
        self._stored = arrays
        if "search:first" in arrays:
            self.first_vector = arrays["search:first"].asnumpy()
            if "search:answers" in arrays:
                self.answers = list(arrays["search:answers"].asnumpy())

    def attach_trainer(self, trainer, devices):
        """Gives `trainer` the optimizer state of the checkpoint, and saves it from now on."""
        self._trainer = trainer
        optimizer_state.reset(trainer, devices)
        if any(name.startswith(optimizer_state.PREFIX) for name in self._stored):
            try:
                optimizer_state.restore(trainer, self._stored)
            except (KeyError, mx.base.MXNetError):
                raise _damaged(self.path) from None


def read_checkpoint(path):
    """The arrays of a checkpoint by name."""
    try:
        arrays = mx.nd.load(path)
    except mx.base.MXNetError:
        raise _damaged(path) from None
    if not isinstance(arrays, dict):
        raise _damaged(path)
    return arrays


def is_of_data(arrays, dataset):
    """Whether a checkpoint was made with the same numbers."""
    stored = arrays.get("progress:data")
    return stored is not None and stored.asnumpy().tolist() == digest(dataset)


def data_fingerprint(dataset):
    """What `is_of_data` looks for in a checkpoint."""
    return {"progress:data": _array(digest(dataset))}


def digest(dataset):
    """A fingerprint of all rows, as a list of small integers."""
    return list(hashlib.sha256(dataset.content()).digest())


def _array(values):
    return mx.nd.array(values, dtype="float64")


def _damaged(path):
    return JobError(f"{path or CHECKPOINT}: the checkpoint is damaged; train with --overwrite")
