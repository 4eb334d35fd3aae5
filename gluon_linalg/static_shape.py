"""Where MXNet's `static_shape` breaks a compiled graph.

With ``hybridize(static_alloc=True, static_shape=True)`` MXNet 1.9.1

* runs the body of a `foreach` from inside the engine without waiting for it (what reads the result
  may run first: wrong values), and leaves uninitialized whether it keeps what the backward pass
  needs (refused gradients, or memory that grows with every call);
* does not tell the engine of writes into running averages: what reads or saves them may be early.

The flag is part of whatever network a layer is in, so no layer can refuse it; instead, graphs with
such an operator are compiled without it (`compilation`).
"""

import json

from .typing import Array

BROKEN = ("_foreach", "_while_loop", "_cond", "sgd_mom_update")


def breaks_static_shape(symbol: Array) -> bool:
    """Whether a symbol contains a loop, a branch or a running average."""
    return any(node["op"] in BROKEN for node in json.loads(symbol.tojson())["nodes"])
