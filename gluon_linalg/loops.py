"""Loops in compiled graphs: MXNet's `static_shape` breaks them.

With ``hybridize(static_alloc=True, static_shape=True)`` MXNet 1.9.1 runs the body of a `foreach`
from inside the engine without waiting for it (what reads the result may run first: wrong values)
and leaves uninitialized whether it keeps what the backward pass needs (wrong or refused gradients,
or memory that grows with every call). The flag is part of whatever network the loop is in, so no
layer can refuse it; instead, graphs with a loop are compiled without it.
"""

import json

from ._runtime import import_mxnet

mx = import_mxnet()

LOOPS = ("_foreach", "_while_loop", "_cond")


def install_loop_guard():
    """From now on `static_shape` is left out for graphs that contain a loop."""
    original = mx.nd.CachedOp
    if getattr(original, "guards_loops", False):
        return

    class CachedOp(original):
        """MXNet's compiled graph, without `static_shape` where the graph has a loop."""

        guards_loops = True

        def __init__(self, sym, flags=(), **kwargs):
            flags = [(name, value) for name, value in flags]
            if dict(flags).get("static_shape") and has_loop(sym):
                flags = [pair for pair in flags if pair[0] != "static_shape"]
            super().__init__(sym, flags, **kwargs)

    mx.nd.CachedOp = CachedOp


def has_loop(symbol):
    """Whether a symbol contains a loop or a branch."""
    return any(node["op"] in LOOPS for node in json.loads(symbol.tojson())["nodes"])
