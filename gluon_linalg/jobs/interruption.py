"""Ctrl-C and SIGTERM: a training ends between two evaluations, anything else at once."""

import contextlib
import signal
import threading
from typing import Dict, Iterator, Optional

# 128 and the number of the signal, as a shell has it: what is saved is not yet finished, and who
# started the run, such as a Job of Kubernetes, must not take it for a success.
STATUS: Dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Interrupted(BaseException):
    """The run was told to stop; `status` is the exit status.

    `iteration` is the one whose checkpoint was just written, or None.
    """

    def __init__(self, signal_number: int, iteration: Optional[int] = None) -> None:
        super().__init__(signal_number)
        self.signal, self.iteration = signal.Signals(signal_number).name, iteration
        self.status = STATUS[signal_number]

    def __str__(self) -> str:
        what = "interrupted" if self.signal == "SIGINT" else f"stopped by {self.signal}"
        saved = (
            "" if self.iteration is None else f" after iteration {self.iteration}, which is saved"
        )
        return f"{what}{saved}; run the same command again to continue"


class _Requests:
    """The signal that waits for the end of an evaluation, and whether one is still of use."""

    waits: Optional[int] = None
    is_deferred, is_over = False, False


_requests = _Requests()


@contextlib.contextmanager
def listen() -> Iterator[None]:
    """Within the block both signals raise `Interrupted`; in the main thread, which gets them."""
    _requests.is_over = False
    is_main = threading.current_thread() is threading.main_thread()
    earlier = {number: signal.signal(number, _receive) for number in STATUS if is_main}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def finish() -> None:
    """All is written: what stops the others when the first of them ends comes too late."""
    _requests.is_over = True


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Within the block the first signal is kept for `requested`; the second is not."""
    _requests.is_deferred = True
    try:
        yield
    finally:
        _requests.is_deferred, waits = False, _requests.waits
        _requests.waits = None
    if waits is not None:
        raise Interrupted(waits)


def requested() -> Optional[int]:
    """The signal that has come since the block began, or None."""
    return _requests.waits


def _receive(number, _):
    if _requests.is_over:
        return
    if _requests.is_deferred and _requests.waits is None:
        _requests.waits = number
        return
    raise Interrupted(number)
