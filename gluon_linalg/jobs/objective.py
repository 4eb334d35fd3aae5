"""The loss of a job as a function of its trained parameters."""

from typing import Any, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..errors import LinearAlgebraError
from ..fitting.vector import ParameterVector
from . import interruption
from .errors import JobError
from .task import TrainedTask
from .workers import Processes


class Objective:
    """Value and gradient of the losses of a task, compiled; `parameters` are those trained.

    The items of a batch, such as series, are shared among all devices of all workers, and each
    sees the sum over all. A matrix that is not positive definite, and NaN, count as a loss of +inf.
    `stop` tells whether some worker was told to stop before the last evaluation.
    """

    def __init__(
        self, task: TrainedTask, devices: Sequence[mx.Context], workers: Processes
    ) -> None:
        self.task, self.layer, self.devices, self.workers = task, task.layer, devices, workers
        trained = {k: p for k, p in task.parameters.items() if p.grad_req != "null"}
        self._vector, self.parameters = ParameterVector(trained), trained
        self.evaluations, self.stop = 0, False
        self._shares: Any = None
        self._gradient: Any = None
        self._store: Any = None
        if len(devices) > 1:
            # MXNet adds up on the GPUs themselves where there are any.
            is_gpu = devices[0].device_type == "gpu"
            self._store = mx.kv.create("device" if is_gpu else "local")
        self._refuse_too_many()
        self.layer.collect_params().reset_ctx(devices)
        self.layer.hybridize(static_alloc=True, static_shape=True)

    def evaluate(self, iteration: Optional[int] = None) -> float:
        """The loss at the current parameters, of everything or of the batch of an iteration.

        Its gradients are in `gradient()`, and in `parameter.grad()` on every device.
        """
        self.evaluations += 1
        # Of everything, without the noise of training, such as dropout.
        vectors = self._evaluate_shares(*self._batch(iteration), is_noisy=iteration is not None)
        if self._store is not None:
            self._add_up(vectors)
        vector = self.workers.sum(self._with_signal(vectors[0].asnumpy()))
        self.stop = vector[0] > 0
        loss, self._gradient = float(vector[1]), vector[2:]
        if self._store is not None or self.workers.count > 1:
            self._spread()
        if not np.isfinite(loss) or not np.isfinite(self._gradient).all():
            return np.inf
        return loss

    def explain(self) -> None:
        """Raises the error that `evaluate` counts as +inf, if there is one."""
        for device, arguments in zip(self.devices, self._batch(None)[0]):
            with device:
                self.layer(*arguments).wait_to_read()

    def vector(self) -> np.ndarray:
        """The stored parameters as one float64 vector."""
        return self._vector.get(self.devices[0])

    def gradient(self) -> np.ndarray:
        """The gradient of the last evaluation, as one float64 vector."""
        return self._gradient

    def set_vector(self, vector: np.ndarray) -> None:
        self._vector.set(vector)

    def pieces(self, vector: np.ndarray) -> Iterator[Tuple[mx.gluon.Parameter, np.ndarray]]:
        """Each trained parameter with its part of a vector."""
        return self._vector.pieces(vector)

    def close(self) -> None:
        """Leaves the parameters on the first device alone."""
        self.layer.collect_params().reset_ctx(self.devices[:1])

    def _batch(self, iteration: Optional[int]) -> Tuple[List[Any], float]:
        """The arguments of each device, and what a loss counts."""
        if iteration is not None:
            mx.random.seed(_seed(self.task.job.seed, iteration, self.workers.rank))
            if self.task.has_batches:
                arguments, weight = self.task.batch(iteration)
                return self._share(arguments), weight
        if self._shares is None:
            self._shares = self._share(self.task.arguments())
        return self._shares, self.task.weight

    def _share(self, arguments):
        count = max(len(array) for array in arguments)
        parts = len(self.devices) * self.workers.count
        first = len(self.devices) * self.workers.rank
        shares = []
        for part, device in enumerate(self.devices, start=first):
            here = slice(part * count // parts, (part + 1) * count // parts)
            shares.append([
                (array if len(array) == 1 or parts == 1 else array[here]).as_in_context(device)
                for array in arguments
            ])  # fmt: skip
        return shares

    def _evaluate_shares(self, shares, weight, is_noisy):
        """For each device a float64 vector: the weighted sum of its losses and the gradient."""
        losses = []
        try:
            for arguments in shares:
                if self.parameters:
                    with mx.autograd.record(train_mode=is_noisy):
                        losses.append(self.layer(*arguments).sum() * weight)
                else:
                    losses.append(self.layer(*arguments).sum() * weight)
            if self.parameters:
                mx.autograd.backward(losses, train_mode=is_noisy)
            return [self._vector_on(d, loss) for d, loss in zip(self.devices, losses)]
        except LinearAlgebraError:
            count = 1 + sum(int(np.prod(p.shape)) for p in self.parameters.values())
            return [mx.nd.full((count,), np.inf, ctx=d, dtype="float64") for d in self.devices]

    def _vector_on(self, device, loss):
        arrays = [loss, *(parameter.grad(device) for parameter in self.parameters.values())]
        parts = [array.reshape(-1).astype("float64") for array in arrays]
        vector = mx.nd.concat(*parts, dim=0) if len(parts) > 1 else parts[0]
        # A failure on the device is reported here, not at some later call.
        vector.wait_to_read()
        return vector

    def _add_up(self, vectors):
        if self.evaluations == 1:
            self._store.init(0, mx.nd.zeros_like(vectors[0]))
        self._store.pushpull(0, vectors, out=vectors)

    def _with_signal(self, vector):
        return np.concatenate([[interruption.requested() is not None], vector])

    def _spread(self):
        """Writes the gradient of all to every device."""
        for parameter, values in self._vector.pieces(self._gradient):
            for device in self.devices:
                parameter.grad(device)[:] = mx.nd.array(values, dtype=parameter.dtype, ctx=device)

    def _refuse_too_many(self):
        parts = len(self.devices) * self.workers.count
        if parts > 1 and self.task.batch_axis_size == 1 and not self.task.has_batches:
            raise JobError(
                f"{self.task.dataset.path}: the likelihood of this job is one number, which "
                "several devices or workers cannot share; use one. Shared is a job with "
                "data.series, with model.method: svgp, or of task: forecast"
            )
        if self.task.batch_size < parts:
            raise JobError(
                f"{parts} devices (all workers together) would share the {self.task.batch_size} "
                "of a batch; use no more devices than there are series, or training.batch_size"
            )


def _seed(seed, iteration, rank):
    """The seed of what the network draws in an iteration, so that a killed run repeats it."""
    return int(np.random.SeedSequence([seed, iteration, rank]).generate_state(1)[0] >> 1)
