"""How far the training has come, and the checkpoint that a later run continues from."""

import hashlib
import os
import signal
import time
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..fitting import optimizer_state
from .errors import JobError
from .files import write_arrays
from .interruption import Interrupted, requested
from .output import CHECKPOINT
from .progress import Progress, Scalars
from .task import Dataset, TrainedTask

# The longest time from one checkpoint to the next, if iterations are slow.
SECONDS_BETWEEN = 60.0


class TrainingState:
    """Iteration and curve; the checkpoint holds these, all parameters and the optimizer.

    All in one .params file, so that a killed process never leaves parts of two iterations. Without
    a folder, as in all workers but the first, nothing is written. The losses of the curve are in
    units of the job.
    """

    def __init__(self, folder: Optional[str], task: TrainedTask, every: int) -> None:
        self.path = None if folder is None else os.path.join(folder, CHECKPOINT)
        self.task, self.every, self.iteration = task, every, 0
        self.observers: List[Union[Progress, Scalars]] = []
        # Iteration, seconds and loss.
        self.curve: List[Tuple[int, float, float]] = []
        # Of L-BFGS: where it began, and what it was told since.
        self.first_vector: Optional[np.ndarray] = None
        self.answers: List[np.ndarray] = []
        self._earlier_curve: List[Tuple[int, float, float]] = []
        self._started = self._saved = time.monotonic()
        self._earlier_seconds = 0.0
        self._trainer: Optional[mx.gluon.Trainer] = None
        self._stored: Mapping[str, mx.nd.NDArray] = {}
        self._fingerprint = data_fingerprint(task.dataset)

    @property
    def seconds(self) -> float:
        """Spent on training, in this run and those it continues."""
        return self._earlier_seconds + time.monotonic() - self._started

    def start(self, loss: float) -> None:
        """The loss of the initial parameters, unless an earlier run has left its own."""
        self._started = time.monotonic()
        if not self.curve:
            self.curve.append((0, 0.0, loss + self.task.loss_offset))

    def start_search(self, vector: np.ndarray) -> None:
        """L-BFGS begins; it repeats what an earlier run has done, from where that began."""
        if self.first_vector is None:
            self.first_vector = vector
        self._earlier_curve, self.curve = self.curve, self.curve[:1]
        self.iteration = 0

    def advance(self, loss: float) -> None:
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

    def stop_if_asked(self, asked: bool) -> None:
        """Between two evaluations: saves and raises `Interrupted` if a signal waits for that."""
        if asked:
            self.save()
            raise Interrupted(requested() or signal.SIGTERM, self.iteration)

    def save(self) -> None:
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
            arrays[f"parameter:{path}"] = parameter.data(self.task.device)
        if self._trainer is not None:
            arrays.update(optimizer_state.arrays(self._trainer))
        if self.first_vector is not None:
            arrays["search:first"] = _array(self.first_vector)
            if self.answers:
                arrays["search:answers"] = _array(np.stack(self.answers))
        write_arrays(self.path, arrays)

    def restore(self, arrays: Mapping[str, mx.nd.NDArray]) -> None:
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

    def attach_trainer(self, trainer: mx.gluon.Trainer, devices: Sequence[mx.Context]) -> None:
        """Gives `trainer` the optimizer state of the checkpoint, and saves it from now on."""
        self._trainer = trainer
        optimizer_state.reset(trainer, devices)
        if any(name.startswith(optimizer_state.PREFIX) for name in self._stored):
            try:
                optimizer_state.restore(trainer, self._stored)
            except (KeyError, mx.base.MXNetError):
                raise _damaged(self.path) from None


def read_checkpoint(path: str) -> Dict[str, mx.nd.NDArray]:
    """The arrays of a checkpoint by name."""
    try:
        arrays = mx.nd.load(path)
    except mx.base.MXNetError:
        raise _damaged(path) from None
    if not isinstance(arrays, dict):
        raise _damaged(path)
    return arrays


def is_of_data(arrays: Mapping[str, mx.nd.NDArray], dataset: Dataset) -> bool:
    """Whether a checkpoint was made with the same numbers."""
    stored = arrays.get("progress:data")
    return stored is not None and stored.asnumpy().tolist() == digest(dataset)


def data_fingerprint(dataset: Dataset) -> Dict[str, mx.nd.NDArray]:
    """What `is_of_data` looks for in a checkpoint."""
    return {"progress:data": _array(digest(dataset))}


def digest(dataset: Dataset) -> List[int]:
    """A fingerprint of all rows, as a list of small integers."""
    return list(hashlib.sha256(dataset.content()).digest())


def _array(values):
    return mx.nd.array(values, dtype="float64")


def _damaged(path):
    return JobError(f"{path or CHECKPOINT}: the checkpoint is damaged; train with --overwrite")
