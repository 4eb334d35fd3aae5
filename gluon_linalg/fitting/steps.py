"""Steps of a Gluon optimizer on a loss, which are taken back where it is not finite."""

from typing import Any, Callable, Iterator, Sequence

import mxnet as mx
import numpy as np

from ..typing import Device
from . import optimizer_state

# After so many halvings in a row the learning rate is no longer what is wrong.
HALVINGS = 40


class NotFinite(Exception):
    """The loss is not finite after a step, however small the learning rate, which is told."""


class NotFiniteAtFirst(Exception):
    """The loss is not finite before the first step."""


def steps(
    trainer: mx.gluon.Trainer,
    loss: Any,
    devices: Sequence[Device],
    begin: int,
    end: int,
    beside: Callable[[int], Callable[[], None]] = lambda iteration: lambda: None,
) -> Iterator[float]:
    """The loss after each of the iterations from `begin` to `end`.

    loss: has `vector()` and `set_vector(vector)` of what the parameters store, and
    `evaluate(iteration)`: the loss of the batch of an iteration, inf for none, whose gradients the
    parameters then have. beside: takes a step of what the optimizer does not train before the
    gradient of an iteration, and returns what takes it back.

    After a step to where it is not finite, the next one begins where it was, without momentum, at
    half the learning rate. Raises NotFinite, NotFiniteAtFirst.
    """
    # The gradient at the parameters of this iteration.
    if not np.isfinite(loss.evaluate(begin)):
        raise NotFiniteAtFirst
    accepted, halvings = loss.vector(), 0
    while begin < end:
        trainer.step(1)
        take_back = beside(begin + 1)
        value = loss.evaluate(begin + 1)
        if np.isfinite(value):
            accepted, halvings, begin = loss.vector(), 0, begin + 1
            yield value
            continue
        halvings += 1
        if halvings > HALVINGS:
            raise NotFinite(f"{trainer.learning_rate:.2g}")
        take_back()
        loss.set_vector(accepted)
        loss.evaluate(begin)
        optimizer_state.reset(trainer, devices)
        trainer.set_learning_rate(0.5 * trainer.learning_rate)
