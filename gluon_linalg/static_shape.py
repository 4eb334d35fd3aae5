"""MXNet's `static_shape`, left out where it breaks a compiled graph.

With ``hybridize(static_alloc=True, static_shape=True)`` MXNet 1.9.1

* runs the body of a `foreach` from inside the engine without waiting for it (what reads the result
  may run first: wrong values), and leaves uninitialized whether it keeps what the backward pass
  needs (refused gradients, or memory that grows with every call);
* does not tell the engine of writes into running averages: what reads or saves them may be early.

The flag is part of whatever network a layer is in, so no layer can refuse it; instead, graphs with
such an operator are compiled without it.
"""

import json

from ._runtime import import_mxnet

mx = import_mxnet()

BROKEN = ("_foreach", "_while_loop", "_cond", "sgd_mom_update")


def install_static_shape_guard():
    """From now on `static_shape` is left out for graphs that it would break."""
    original = mx.nd.CachedOp
    if getattr(original, "guards_static_shape", False):
        return

    class CachedOp(original):
        """MXNet's compiled graph, without `static_shape` where that breaks it."""

        guards_static_shape = True

        def __init__(self, sym, flags=(), **kwargs):
            flags = list(flags)
            if dict(flags).get("static_shape") and breaks_static_shape(sym):
                flags = [pair for pair in flags if pair[0] != "static_shape"]
            super().__init__(sym, flags, **kwargs)

    mx.nd.CachedOp = CachedOp


def breaks_static_shape(symbol):
    """Whether a symbol contains a loop, a branch or a running average."""
    return any(node["op"] in BROKEN for node in json.loads(symbol.tojson())["nodes"])
