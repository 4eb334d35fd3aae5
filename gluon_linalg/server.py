"""The scheduler and the servers of a distributed training, and the watch over its processes.

MXNet turns a process with DMLC_ROLE=scheduler or server into one when it is imported, and by
default lets all others wait for ever for one that has died. Here each tells the scheduler every
few seconds that it lives; the scheduler ends when one does not, and the others when it is gone.
"""

import ctypes
import os
import sys
import threading

ROLE = "DMLC_ROLE"
SERVER_ROLES = ("scheduler", "server")
# ps-lite's name for all groups: scheduler, servers and workers.
EVERYONE = 7
# Seconds; ps-lite sends no heartbeats unless it is told to.
HEARTBEAT, SILENCE = 2, 10


def prepare_environment():
    """Before MXNet starts ps-lite: heartbeats."""
    os.environ.setdefault("PS_HEARTBEAT_INTERVAL", str(HEARTBEAT))
    os.environ.setdefault("PS_HEARTBEAT_TIMEOUT", str(SILENCE))


def take_role():
    """scheduler or server, and out of the environment; or None in any other process.

    With the role in sight, `import mxnet` itself would serve and never return.
    """
    return os.environ.pop(ROLE) if os.environ[ROLE] in SERVER_ROLES else None


def run(mx, role):
    """Serves until the workers have finished, and ends the process."""
    from mxnet.kvstore.kvstore_server import KVStoreServer

    os.environ[ROLE] = role
    store = mx.kv.create("dist_sync")
    watch = (store.handle, threading.Event())
    threading.Thread(target=watch_peers, args=watch, daemon=True).start()
    KVStoreServer(store).run()
    # Nothing is left to be done, and MXNet's threads do not like to be taken down in order.
    sys.stdout.flush()
    os._exit(0)


def watch_peers(handle, done):
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
    name = os.environ.get(ROLE)
    whom = "a worker or server" if name == "scheduler" else "the scheduler, or one it waits for,"
    print(
        f"{name}: {whom} has died; this process ends. Start the job again: it continues from its "
        "last checkpoint",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
