"""MXNet's random generators, made before a compiled call can fail.

MXNet 1.9.1 makes the generators of a thread at its first operator that asks for memory of its own.
In a compiled graph their making is queued behind the operators before that one: where one of those
fails, it is skipped, and the next random operator or `initialize()` of the thread ends the process.
"""

import threading
from typing import Any

import mxnet as mx

_thread = threading.local()


def install_generators() -> None:
    """From now on each thread has its generators before it runs a compiled graph."""
    call = mx.nd.CachedOp.__call__
    if getattr(call, "makes_generators", False):
        return

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(_thread, "has_generators", False):
            make_generators()
            _thread.has_generators = True
        return call(self, *args, **kwargs)

    __call__.makes_generators = True  # type: ignore[attr-defined]
    mx.nd.CachedOp.__call__ = __call__


def make_generators() -> None:
    """Runs a reduction, which asks for memory of its own; no random number is drawn."""
    with mx.autograd.pause():
        mx.nd.sum(mx.nd.ones((1,), ctx=mx.cpu()))
