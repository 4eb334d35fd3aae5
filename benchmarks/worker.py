"""The process of one contender, which does as its parent says: python -m benchmarks.worker FD

It imports the contender's libraries, and of this package nothing that others do not have. FD is one
end of a pair of sockets.
"""

import ctypes
import gc
import importlib
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

# From prctl.h: the signal that a process gets when its parent has ended.
PR_SET_PDEATHSIG = 1
# A shorter call is made once before those that count, after a turn of others.
SHORT = 0.05


class Missing(Exception):
    """A contender that cannot run here, which is no failure."""


class Worker:
    """What a parent may ask for; each answer is a dictionary."""

    def make(self, target, options, inputs, small, memory):
        """Seconds from making the contender to its first results, and bytes that a run takes."""
        module, name = target.split(":")
        kind = getattr(importlib.import_module(module), name)
        if small is not None:
            kind(_arrays(small), **options).run()
        arrays = _arrays(inputs)
        gc.collect()
        before = _status("VmRSS")
        begin = time.perf_counter()
        self._contender = kind(arrays, **options)
        self._last = {"run": self._timed(self._contender.run)}
        first = time.perf_counter() - begin
        if memory:
            _forget_peak()
            self._contender.run()
        return {"first": first, "memory": _status("VmHWM") - before if memory else None}

    def results(self, path):
        np.savez(path, **self._contender.results())
        return {}

    def figures(self):
        known = getattr(self._contender, "figures", dict)()
        return {name: float(value) for name, value in known.items()}

    def time(self, kind, seconds):
        """Seconds of the calls of a turn; none where the contender has no such method."""
        call = getattr(self._contender, kind, None)
        if call is None:
            return {"seconds": []}
        if self._last.get(kind, 0.0) < SHORT:
            call()
        taken = [self._timed(call)]
        begin = time.perf_counter()
        while sum(taken) < seconds and time.perf_counter() - begin < seconds:
            taken.append(self._timed(call))
        self._last[kind] = taken[-1]
        return {"seconds": taken}

    def _timed(self, call):
        begin = time.perf_counter()
        own = call()
        return time.perf_counter() - begin if own is None else own


def _arrays(path):
    with np.load(path) as file:
        return dict(file)


def _status(key):
    """Bytes of this process; VmHWM is the most there ever was, or since it was last forgotten."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


def _forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def main():
    # A worker is stopped while others have their turn, and could not see that its parent is gone.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection, worker = Connection(int(sys.argv[1])), Worker()
    while True:
        try:
            what, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(worker, what)(**arguments)
        except Missing as error:
            answer = {"missing": str(error)}
        except Exception as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        connection.send(answer)


if __name__ == "__main__":
    # The module that contenders import has the class `Missing` that they raise.
    from benchmarks.worker import main as imported_main

    imported_main()
