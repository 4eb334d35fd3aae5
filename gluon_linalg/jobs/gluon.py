"""The optimizers of MXNet on the loss of a job, through `gluon.Trainer`."""

import inspect
import numbers
from typing import TYPE_CHECKING, Dict, Tuple

import mxnet as mx

from ..fitting.steps import NotFinite, NotFiniteAtFirst, steps
from .config import DEFAULT_LEARNING_RATE, Training
from .errors import JobError, suggestion
from .objective import Objective

if TYPE_CHECKING:
    from .state import TrainingState


def train_gluon(objective: Objective, config: Training, state: "TrainingState") -> Tuple[bool, str]:
    """Steps until `config.iterations`. Returns (converged, message)."""
    trainer = make_trainer(objective, config)
    state.attach_trainer(trainer, objective.devices)
    try:
        for loss in steps(
            trainer,
            objective,
            objective.devices,
            state.iteration,
            config.iterations,
            beside=objective.task.own_step,
        ):
            state.advance(loss)
            state.stop_if_asked(objective.stop)
    except NotFiniteAtFirst:
        raise JobError("training: the loss of the first batch is not a finite number") from None
    except NotFinite as error:
        raise JobError(
            f"training.learning_rate: {config.optimizer} leaves the region where the loss is "
            f"finite even at {error}; choose other initial values"
        ) from None
    except mx.base.MXNetError as error:
        last_line = str(error).strip().splitlines()[-1]
        raise JobError(f"training: {config.optimizer} cannot take a step: {last_line}") from None
    return False, "the number of iterations was reached"


def make_trainer(objective: Objective, config: Training) -> mx.gluon.Trainer:
    """A trainer that takes the gradients as they are: `objective` has added them up."""
    optimizer = make_optimizer(config)
    return mx.gluon.Trainer(list(objective.parameters.values()), optimizer, kvstore=None)


def make_optimizer(config: Training) -> mx.optimizer.Optimizer:
    """The optimizer, or JobError for options that it does not take."""
    rate = DEFAULT_LEARNING_RATE if config.learning_rate is None else config.learning_rate
    cls = mx.optimizer.Optimizer.opt_registry[config.optimizer]
    known = _numeric_arguments(cls)
    arguments = {"learning_rate": rate}
    for name, value in config.options.items():
        if name not in known:
            raise JobError(
                f"training.options.{name}: {config.optimizer} has no such argument; "
                f"{suggestion(name, known)}"
            )
        arguments[name] = known[name](value)
    try:
        return mx.optimizer.create(config.optimizer, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise JobError(f"training.options: {config.optimizer} refuses them: {error}") from None


def _numeric_arguments(cls):
    """The arguments of an optimizer and its base classes that are numbers, and their types."""
    types: Dict[str, type] = {}
    for part in cls.__mro__:
        if part is object or "__init__" not in vars(part):
            continue
        for name, argument in inspect.signature(part.__init__).parameters.items():
            if isinstance(argument.default, numbers.Real):
                types[name] = type(argument.default)
    types["clip_gradient"] = float
    # The first is a key of its own, the others belong to the loop.
    for name in ("learning_rate", "begin_num_update", "rescale_grad", "multi_precision"):
        types.pop(name, None)
    return types
