"""Runs the HTTP service until it is told to stop."""

import math
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Any, Callable, Optional

import uvicorn

from .. import log
from ..errors import JobError, reason
from .app import create_app
from .service import Service
from .streams import Streams
from .worker import Worker

# oneDNN keeps what it has prepared for each new size of a float32 array; this many of each
# operator, or memory would grow with each number of rows that is asked for.
CACHE = ("MXNET_MKLDNN_CACHE_NUM", "64")


@dataclass
class Limits:
    """What one request may take: bytes and rows of a body, seconds for it and for its answer."""

    most_bytes: int
    most_rows: int
    seconds: float


def serve(
    folder: str,
    host: str,
    port: int,
    limits: Limits,
    device: str = "auto",
    announce: Callable[[str], Any] = print,
    states: Optional[str] = None,
) -> None:
    """Answers requests with the model in `folder` until SIGTERM or Ctrl-C.

    What has been accepted is answered before it returns. port: 0 for any free one; limits:
    `Limits`; announce: called with one line when connections are accepted; states: the folder of
    the states of series that grow, None for none. JobError where the server cannot start.
    """
    _stop_by_signal()
    os.environ.setdefault(*CACHE)
    with listen(host, port) as listener:
        worker = Worker(limits.seconds)
        service = worker.run(Service, folder, device, limits.most_rows)
        streams = None if states is None else worker.run(Streams, service, states)
        port = listener.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.set_up(log.JSON)
        # An error of the service, with its traceback.
        log.take_over("uvicorn.error")
        log.event("serving", url=url, folder=folder, context=str(service.model.device))
        announce(f"{folder}: {url} (description: {url}/docs)")
        config = uvicorn.Config(
            create_app(service, worker, limits, streams),
            lifespan="off",
            http="h11",
            ws="none",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(limits.seconds) + 1,
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            log.event("stopped")


def _stop_by_signal() -> None:
    """Either signal is the ordinary end of a server; uvicorn repeats it when it has ended."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections; JobError where that is impossible."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise JobError(
            f"{host}:{port}: cannot listen there: {reason(error)}; choose another --host or --port"
        ) from None
    # Inherited by its connections. Without it the body of an answer, which is sent after its head,
    # waits for 40 ms until the client has acknowledged that.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
