"""The state of a Gluon optimizer as arrays: MXNet itself would pickle it.

Some optimizers keep numbers that change from step to step, most keep arrays for each parameter,
and all count their steps.
"""

import numbers

from .._runtime import import_mxnet

mx = import_mxnet()

PREFIX = "optimizer:"


def reset(trainer, context):
    """Gives every parameter a fresh state.

    Of its own dtype: several optimizers make float32 states for float64 parameters, which their
    operators refuse.
    """
    updater = trainer._updaters[0]
    for index, parameter in enumerate(trainer._params):
        data = parameter.data(context)
        state = trainer.optimizer.create_state_multi_precision(index, data)
        updater.states[index] = _cast(state, data.dtype)
        updater.states_synced[index] = True


def arrays(trainer):
    """The state by name."""
    found = {
        f"{PREFIX}number:{name}": mx.nd.array([value], dtype="float64")
        for name, value in _numbers(trainer.optimizer).items()
    }
    found.update(_named_leaves(trainer))
    return found


def restore(trainer, stored, iteration):
    """Sets the state from `arrays`, after `reset`."""
    optimizer = trainer.optimizer
    for name, value in _numbers(optimizer).items():
        number = stored[f"{PREFIX}number:{name}"].asscalar().item()
        setattr(optimizer, name, type(value)(number))
    # MXNet counts the steps of each parameter from here.
    optimizer.begin_num_update = iteration
    for name, leaf in _named_leaves(trainer).items():
        stored[name].copyto(leaf)


def _named_leaves(trainer):
    return {
        f"{PREFIX}state:{index}:{position}": leaf
        for index, state in trainer._updaters[0].states.items()
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
