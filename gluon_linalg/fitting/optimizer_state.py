"""The state of a Gluon optimizer as arrays: MXNet itself would pickle it.

Some optimizers keep numbers that change from step to step, most keep arrays for each parameter,
and all count their steps. Every device has a copy of the arrays; all copies are equal.
"""

import numbers
from typing import Dict, Iterable, Mapping

import mxnet as mx

from ..typing import Device

PREFIX = "optimizer:"


def reset(trainer: mx.gluon.Trainer, devices: Iterable[Device]) -> None:
    """Gives every parameter a fresh state.

    Of its own dtype: several optimizers make float32 states for float64 parameters, which their
    operators refuse.
    """
    for updater, device in zip(trainer._updaters, devices):
        for index, parameter in enumerate(trainer._params):
            data = parameter.data(device)
            state = trainer.optimizer.create_state_multi_precision(index, data)
            updater.states[index] = _cast(state, data.dtype)
            updater.states_synced[index] = True


def arrays(trainer: mx.gluon.Trainer) -> Dict[str, mx.nd.NDArray]:
    """The state by name."""
    found = {
        f"{PREFIX}number:{name}": _number(value)
        for name, value in _numbers(trainer.optimizer).items()
    }
    for index, count in trainer.optimizer._index_update_count.items():
        found[f"{PREFIX}steps:{index}"] = _number(count)
    found.update(_named_leaves(trainer._updaters[0]))
    return found


def restore(trainer: mx.gluon.Trainer, stored: Mapping[str, mx.nd.NDArray]) -> None:
    """Sets the state from `arrays`, after `reset`."""
    optimizer = trainer.optimizer
    for name, value in _numbers(optimizer).items():
        number = stored[f"{PREFIX}number:{name}"].asscalar().item()
        setattr(optimizer, name, type(value)(number))
    steps = f"{PREFIX}steps:"
    counts = {
        int(name[len(steps) :]): int(array.asscalar())
        for name, array in stored.items()
        if name.startswith(steps)
    }
    # One dict for each device.
    for device in range(len(trainer._updaters)):
        optimizer._set_current_context(device)
        optimizer._index_update_count.clear()
        optimizer._index_update_count.update(counts)
    optimizer._set_current_context(0)
    for updater in trainer._updaters:
        for name, leaf in _named_leaves(updater).items():
            stored[name].copyto(leaf)


def _number(value):
    return mx.nd.array([value], dtype="float64")


def _named_leaves(updater):
    return {
        f"{PREFIX}state:{index}:{position}": leaf
        for index, state in updater.states.items()
        for position, leaf in enumerate(_leaves(state))
    }


def _numbers(optimizer):
    return {
        name: value
        for name, value in vars(optimizer).items()
        if isinstance(value, numbers.Real) and not isinstance(value, bool)
    }


def _leaves(state):
    """The arrays of one state: None, an array, or a tuple of such."""
    if state is None:
        return []
    if isinstance(state, mx.nd.NDArray):
        return [state]
    return [leaf for part in state for leaf in _leaves(part)]


def _cast(state, dtype):
    if state is None:
        return None
    if isinstance(state, mx.nd.NDArray):
        return state.astype(dtype, copy=False)
    return tuple(_cast(part, dtype) for part in state)
