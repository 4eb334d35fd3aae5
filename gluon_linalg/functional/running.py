"""Averages over training batches that a graph keeps itself, in every execution mode.

MXNet has no assignment in a graph. What it has are operators that write into one of their inputs:
`sgd_mom_update` adds a step to its momentum array in the forward pass. In a compiled or exported
graph that array is an auxiliary state, as the running mean of MXNet's own BatchNorm is.
"""

import json
from typing import Any, Dict, List

import mxnet as mx

from ..typing import Array, Namespace
from .checks import finite
from .tangent import ones_like, stop, zeros_like

# sgd_mom_update: momentum <- 1 * momentum - 1 * grad; its result is weight + momentum.
_ADD = {"lr": 1.0, "momentum": 1.0, "wd": 0.0}


def running_average(F: Namespace, batch: Array, running: Array, momentum: float) -> Array:
    """`batch` when training, `running` otherwise; both of the same shape.

    When training, ``running <- momentum * running + (1 - momentum) * batch`` in the forward pass,
    unless `batch` has NaN or infinity. The gradient goes to `batch`, and only when training.
    """
    fixed = stop(F, batch)
    training = F.broadcast_mul(ones_like(F, fixed), training_mode(F, batch))
    usable = F.broadcast_mul(training, F.reshape(F.min(finite(F, fixed)), shape=(1,)))
    change = F.where(usable, fixed - stop(F, running), zeros_like(F, fixed))
    averaged = stop(F, _add_in_place(F, running, (1.0 - momentum) * change))
    return F.where(training, batch, averaged)


def training_mode(F: Namespace, like: Array) -> Array:
    """1 when the graph runs for training (`autograd.is_training`) and 0 if not, of shape (1,).

    Seen from an operator that differs: Dropout makes 1 either 0 or 2, but only when training.
    """
    one = ones_like(F, F.reshape(F.sum(stop(F, like)), shape=(1,)))
    return stop(F, F.Dropout(one, p=0.5, cudnn_off=True) != 1.0)


def _add_in_place(F: Namespace, state: Array, change: Array) -> Array:
    """state + change, written into `state`; nothing of it is differentiated."""
    inputs = {"weight": zeros_like(F, change), "grad": -stop(F, change), "mom": state}
    if F is mx.nd:
        return F.sgd_mom_update(**inputs, **_ADD)
    # The generated mx.sym.sgd_mom_update cannot be called: MXNet lacks the names of its inputs.
    return mx.sym.load_json(_update_graph(list(inputs)))(**inputs)


def _update_graph(names: List[str]) -> str:
    """The operator alone, as a graph file with three free inputs."""
    nodes: List[Dict[str, Any]] = [{"op": "null", "name": name, "inputs": []} for name in names]
    nodes.append(
        {
            "op": "sgd_mom_update",
            "name": "running_average",
            "attrs": {key: str(value) for key, value in _ADD.items()},
            "inputs": [[i, 0, 0] for i in range(len(names))],
        }
    )
    return json.dumps(
        {
            "nodes": nodes,
            "arg_nodes": list(range(len(names))),
            "heads": [[len(names), 0, 0]],
            "attrs": {"mxnet_version": ["int", 10901]},
        }
    )
