"""Starts the processes of a distributed training on this machine, and watches over them."""

import os
import socket
import subprocess
import sys
import time
from typing import Optional, Sequence

from ..server import ROLE
from . import interruption, log
from .workers import meeting_point

SECONDS_BETWEEN_LOOKS = 0.2
# How long the others may take to end when the workers have finished, or after SIGTERM.
GRACE = 30.0


def launch(
    arguments: Sequence[str], workers: int, servers: int = 1, port: Optional[int] = None
) -> int:
    """Runs `gluon-linalg ARGUMENTS` in so many workers; returns the exit status.

    As MXNet's own launcher does: one scheduler, the servers and the workers, told by DMLC_ROLE
    and its companions who they are and where the scheduler is.
    """
    environment = {
        **os.environ,
        **meeting_point("127.0.0.1", port or free_port(), servers, workers),
        # Or ps-lite looks for an interface to the outside, which a machine may lack.
        "DMLC_INTERFACE": os.environ.get("DMLC_INTERFACE", "lo"),
        # Servers read no arguments.
        log.VARIABLE: log.JSON if log.is_json() else log.PLAIN,
    }
    roles = ["scheduler"] + ["server"] * servers + ["worker"] * workers
    processes = []
    try:
        for role in roles:
            processes.append(_start(arguments, {**environment, ROLE: role}))
        return _wait(list(zip(roles, processes)))
    except interruption.Interrupted:
        for role, process in zip(roles, processes):
            if role == "worker":
                # It saves before it ends.
                process.terminate()
        _end(processes, GRACE)
        raise
    finally:
        _end(processes, 0.0)


def _start(arguments, environment):
    command = [sys.executable, "-m", "gluon_linalg.jobs", *arguments]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _wait(members):
    """Until all workers have ended well, or one process has not."""
    while True:
        for role, process in members:
            if process.poll():
                ending = _ending(process.returncode)
                message = f"a {role} of the distributed job {ending}; the others are stopped"
                status = process.returncode if process.returncode > 0 else 1
                log.tell("member_ended", message, role=role, status=status)
                return status
        if all(process.returncode == 0 for role, process in members if role == "worker"):
            return 0 if _end([process for _, process in members], GRACE) == 0 else 1
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _ending(status):
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _end(processes, grace):
    """Ends what still runs; returns the worst exit status of what ended by itself."""
    deadline = time.monotonic() + grace
    worst = 0
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.0))
            worst = worst or process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return worst


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
