"""How far the training has come, and the checkpoint that a later run continues from."""

import hashlib
import os
import time

from .._runtime import import_mxnet
from . import optimizer_state
from .errors import JobError
from .files import write_arrays

mx = import_mxnet()

FILE = "checkpoint.params"


class TrainingState:
    """Iteration, loss and curve; the checkpoint holds these, all parameters and the optimizer.

    All in one .params file, so that a killed process never leaves parts of two iterations.
    """

    def __init__(self, folder, task, every):
        self.path = os.path.join(folder, FILE)
        self.task, self.every, self.progress = task, every, None
        self.iteration, self.loss, self.curve = 0, float("nan"), []
        self._earlier_seconds, self._started = 0.0, time.monotonic()
        self._trainer, self._stored_optimizer = None, {}

    @property
    def seconds(self):
        """Spent on training, in this run and those it continues."""
        return self._earlier_seconds + time.monotonic() - self._started

    def start(self, loss):
        """The loss of the initial parameters."""
        self.loss = loss
        self._started = time.monotonic()
        if not self.curve:
            self.curve.append((0, 0.0, loss))

    def advance(self, loss):
        """One more iteration is complete."""
        self.iteration, self.loss = self.iteration + 1, loss
        self.curve.append((self.iteration, self.seconds, loss))
        if self.progress is not None:
            self.progress.update(self.iteration, loss)
        if self.iteration % self.every == 0:
            self.save()

    def save(self):
        arrays = {
            "progress:iteration": _array([self.iteration]),
            "progress:curve": _array(self.curve),
            **data_fingerprint(self.task.dataset),
        }
        for path, parameter in self.task.parameters.items():
            arrays[f"parameter:{path}"] = parameter.data(self.task.context)
        if self._trainer is not None:
            arrays.update(optimizer_state.arrays(self._trainer))
        write_arrays(self.path, arrays)

    def restore(self):
        """Continues from the checkpoint."""
        arrays = read_checkpoint(self.path)
        try:
            self.iteration = int(arrays["progress:iteration"].asscalar())
            self.curve = [
                (int(row[0]), row[1], row[2]) for row in arrays["progress:curve"].asnumpy().tolist()
            ]
            self._earlier_seconds = self.curve[-1][1]
            for path, parameter in self.task.parameters.items():
                parameter.set_data(arrays[f"parameter:{path}"])
        except (KeyError, AssertionError, mx.base.MXNetError):
            raise _damaged(self.path) from None
        self._stored_optimizer = {
            k: v for k, v in arrays.items() if k.startswith(optimizer_state.PREFIX)
        }

    def attach_trainer(self, trainer):
        """Gives `trainer` the optimizer state of the checkpoint, and saves it from now on."""
        self._trainer = trainer
        optimizer_state.reset(trainer, self.task.context)
        if self._stored_optimizer:
            try:
                optimizer_state.restore(trainer, self._stored_optimizer, self.iteration)
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
    return JobError(f"{path}: the checkpoint is damaged; train with --overwrite")
