"""A worker as its parent sees it."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Dict

ROOT = Path(__file__).resolve().parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# XLA has threads of its own, which these do not reach.
XLA_ALONE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Failed(Exception):
    """What a worker was asked for, it could not do."""


class Missing(Failed):
    """The contender cannot run on this machine."""


class Process:
    """A worker in a Python of its own. It stands still while it has nothing to do.

    Threads of OpenMP and OpenBLAS wait for work by asking for it again and again, and would take
    the processor from whoever has the turn.
    """

    def __init__(self, python: str, threads: int) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
        if threads == 1:
            environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA_ALONE}".strip()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        with theirs:
            self._child = subprocess.Popen(
                [python, "-m", "benchmarks.worker", str(theirs.fileno())],
                cwd=ROOT,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )
        self._connection = Connection(ours.detach())

    def ask(self, what: str, timeout: float, **arguments: Any) -> Dict[str, Any]:
        """Its answer. Raises Failed with the reason, after which it may be asked no more."""
        self._child.send_signal(signal.SIGCONT)
        try:
            self._connection.send((what, arguments))
            if not self._connection.poll(timeout):
                raise Failed(f"no answer within {timeout:.0f} s")
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise Failed(f"the process ended: {self._last_words()}") from None
        self._child.send_signal(signal.SIGSTOP)
        if "missing" in answer:
            raise Missing(answer["missing"])
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def _last_words(self):
        self._child.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        said = [line for line in lines if line.strip()][-1:]
        return "".join(said) or f"status {self._child.returncode}"

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        self._child.wait()
        self._connection.close()
        self._log.close()
