"""The processes that train one model together, and what they tell each other.

They meet through MXNet's distributed key-value store (ps-lite), which is told by the environment:
DMLC_ROLE and the other variables that MXNet's launcher sets. The store itself adds in float32 and
in the order of arrival. So here every process writes its numbers to a place of its own, among
zeros, and adds up those of all in the order of the ranks: float64 stays float64, all processes
get the same sum, and every run gets it again.
"""

import os
import threading
from typing import Dict, Optional, Tuple, Union

import mxnet as mx
import numpy as np

from ..server import ADDRESS, PORT, ROLE, SERVERS, WORKERS, meeting, watch_peers
from . import interruption
from .config import DISTRIBUTED
from .errors import JobError


class Workers:
    """Several processes; `rank` is 0 in the one that writes the results."""

    def __init__(self) -> None:
        with meeting():
            self._store = mx.kv.create(DISTRIBUTED)
        self.rank, self.count = self._store.rank, self._store.num_workers
        self._keys: Dict[Tuple[str, int], int] = {}
        self._done = threading.Event()
        self._watch = threading.Thread(
            target=watch_peers, args=(self._store.handle, self._done), daemon=True
        )
        self._watch.start()

    def sum(self, vector: np.ndarray) -> np.ndarray:
        """The sum of a float64 vector over all processes."""
        return self._gather("sum", vector).sum(axis=0)

    def broadcast(self, content: Optional[bytes]) -> bytes:
        """The bytes that the process of rank 0 gives, in all."""
        own = content if content is not None and self.rank == 0 else b""
        size = int(self._gather("size", np.array([float(len(own))]))[0, 0])
        numbers = np.zeros(size)
        numbers[: len(own)] = np.frombuffer(own, dtype="uint8")
        return self._gather("bytes", numbers)[0].astype("uint8").tobytes()

    def close(self) -> None:
        """Waits for all, and parts; without it a process that ends keeps the others waiting."""
        self.sum(np.zeros(1))
        # Whoever parts first may be taken for a failure, and have the others stopped.
        interruption.finish()
        self._done.set()
        self._watch.join()
        self._store = None

    def _gather(self, name, vector):
        """The vectors of all processes, (processes, n)."""
        if not len(vector):
            return np.zeros((self.count, 0))
        place = np.zeros((self.count, 4 * len(vector)), dtype="float32")
        # As four whole numbers below 2^16, which float32 and a sum with zeros leave as they are.
        place[self.rank] = np.ascontiguousarray(vector, dtype="float64").view("uint16")
        array = mx.nd.array(place)
        key = (name, len(vector))
        if key not in self._keys:
            self._keys[key] = len(self._keys)
            self._store.init(self._keys[key], mx.nd.zeros(place.shape))
        self._store.pushpull(self._keys[key], array)
        # Another exchange of the same key, before this one is done, would get mixed with it.
        array.wait_to_read()
        return array.asnumpy().astype("uint16").view("float64")


def meeting_point(
    address: str, port: Union[int, str], servers: Union[int, str], workers: Union[int, str]
) -> Dict[str, str]:
    """What tells all processes of a training, beside their role, how they find each other."""
    return {ADDRESS: address, PORT: str(port), SERVERS: str(servers), WORKERS: str(workers)}


class OneProcess:
    """No others."""

    rank, count = 0, 1

    def sum(self, vector: np.ndarray) -> np.ndarray:
        return vector

    def broadcast(self, content: Optional[bytes]) -> bytes:
        assert content is not None
        return content

    def close(self) -> None:
        interruption.finish()


Processes = Union[Workers, OneProcess]


def connect(kvstore: str) -> Processes:
    """The processes of a job whose key `training.kvstore` has this value."""
    role = os.environ.get(ROLE)
    if kvstore == DISTRIBUTED:
        needed = [ROLE, *meeting_point("", "", "", "")]
        missing = [name for name in needed if name not in os.environ]
        if missing:
            raise JobError(
                f"training.kvstore: {DISTRIBUTED} needs {', '.join(missing)} in the environment; "
                "start the job with gluon-linalg launch, or set what docs/distributed.md lists"
            )
        return Workers()
    if role is not None:
        raise JobError(
            f"the environment has {ROLE}={role}, but training.kvstore is {kvstore}; "
            f"set it to {DISTRIBUTED}, or unset {ROLE}"
        )
    return OneProcess()
