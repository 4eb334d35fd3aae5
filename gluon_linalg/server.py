"""The scheduler and the servers of a distributed training, and the watch over its processes.

MXNet turns a process with DMLC_ROLE=scheduler or server into one when it is imported, and by
default lets all others wait for ever for one that has died. Here each tells the scheduler every
few seconds that it lives; the scheduler ends when one does not, and the others when it is gone.
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
import threading
import time
from typing import Any, Iterator, NoReturn, Optional

# How MXNet tells a process who it is, where the scheduler is, and how many others there are.
ROLE, ADDRESS, PORT = "DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT"
SERVERS, WORKERS = "DMLC_NUM_SERVER", "DMLC_NUM_WORKER"
SERVER_ROLES = ("scheduler", "server")
# ps-lite's name for all groups: scheduler, servers and workers.
EVERYONE = 7
# Seconds; ps-lite sends no heartbeats unless it is told to.
HEARTBEAT, SILENCE = 2, 10
# Seconds until a worker that waits for the others says so, and from then until it gives up; and
# until the name of the scheduler must be known: machines start at different times.
NOTICE, PATIENCE, NAME_PATIENCE = 30, 600, 120


def prepare_environment() -> None:
    """Before MXNet starts ps-lite: heartbeats, and the address of the scheduler as a number.

    ZeroMQ, which ps-lite uses, connects to names but does not listen at one.
    """
    os.environ.setdefault("PS_HEARTBEAT_INTERVAL", str(HEARTBEAT))
    os.environ.setdefault("PS_HEARTBEAT_TIMEOUT", str(SILENCE))
    if ADDRESS in os.environ:
        os.environ[ADDRESS] = _number_of(os.environ[ADDRESS])


def take_role() -> Optional[str]:
    """scheduler or server, and out of the environment; or None in any other process.

    With the role in sight, `import mxnet` itself would serve and never return.
    """
    return os.environ.pop(ROLE) if os.environ[ROLE] in SERVER_ROLES else None


def run(mx: Any, role: str) -> NoReturn:
    """Serves until the workers have finished, and ends the process."""
    from mxnet.kvstore.kvstore_server import KVStoreServer

    os.environ[ROLE] = role
    store = mx.kv.create("dist_sync")
    watch = (store.handle, threading.Event())
    threading.Thread(target=watch_peers, args=watch, daemon=True).start()
    try:
        KVStoreServer(store).run()
    except mx.base.MXNetError as error:
        why = str(error).strip().splitlines()[-1]
        if "bind failed" in why:
            why = (
                f"cannot listen at {_scheduler()}: another process does, or this machine is "
                "another one"
            )
        _give_up(why)
    # Nothing is left to be done, and MXNet's threads do not like to be taken down in order.
    sys.stdout.flush()
    os._exit(0)


@contextlib.contextmanager
def meeting() -> Iterator[None]:
    """Around a worker's first call, which returns when all have come: says so if they do not."""
    done = threading.Event()
    threading.Thread(target=_wait_for_all, args=(done,), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def watch_peers(handle: Any, done: threading.Event) -> None:
    """Ends the process when one of the others is dead, until `done` is set; for a thread."""
    from mxnet.base import _LIB

    found, times = ctypes.c_int(), 0
    # ps-lite counts from its own start, before which everyone seems dead.
    done.wait(SILENCE)
    while times < 2:
        if done.wait(HEARTBEAT):
            return
        _LIB.MXKVStoreGetNumDeadNode(handle, EVERYONE, ctypes.byref(found), SILENCE)
        times = times + 1 if found.value else 0
    is_scheduler = os.environ.get(ROLE) == "scheduler"
    whom = "a worker or server" if is_scheduler else "the scheduler, or one it waits for,"
    _give_up(
        f"{whom} has died; this process ends. Start the job again: it continues from its last "
        "checkpoint"
    )


def _wait_for_all(done: threading.Event) -> None:
    if done.wait(NOTICE):
        return
    servers, workers = os.environ.get(SERVERS), os.environ.get(WORKERS)
    whom = f"the scheduler at {_scheduler()}, {servers} servers and {workers} workers"
    _say("waiting", f"waiting for {whom}")
    if not done.wait(PATIENCE):
        _give_up(f"not all have come in {PATIENCE} s: {whom}; this process ends")


def _scheduler() -> str:
    return f"{os.environ.get(ADDRESS)}:{os.environ.get(PORT)}"


def _number_of(name: str) -> str:
    deadline = time.monotonic() + NAME_PATIENCE
    while True:
        try:
            return socket.gethostbyname(name)
        except OSError as error:
            if time.monotonic() > deadline:
                _give_up(f"{ADDRESS}: the address of {name} is unknown: {error}")
            time.sleep(1)


def _give_up(why: str) -> NoReturn:
    """Other threads are inside of ps-lite, and would keep an orderly end from ending."""
    _say("gave_up", why)
    os._exit(1)


def _say(event: str, what: str) -> None:
    role = os.environ.get(ROLE)
    line = f"{role}: {what}"
    # Of the log of jobs, which is imported after MXNet: a server never comes so far.
    if os.environ.get("GLUON_LINALG_LOG") == "json":
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": when, "level": "WARNING", "event": event, "role": role,
                           "message": what})  # fmt: skip
    print(line, file=sys.stderr, flush=True)
