"""Ctrl-C and SIGTERM: a training ends between two evaluations, anything else at once."""

import contextlib
import signal
import threading

# Spot instances and containers are stopped by SIGTERM: that the work was saved is a success.
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 0}


class Interrupted(BaseException):
    """The run was told to stop; `status` is the exit status.

    `iteration` is the one whose checkpoint was just written, or None.
    """

    def __init__(self, signal_number, iteration=None):
        super().__init__(signal_number)
        self.status, self.iteration = STATUS[signal_number], iteration

    def __str__(self):
        what = "interrupted" if self.status else "stopped by SIGTERM"
        saved = (
            "" if self.iteration is None else f" after iteration {self.iteration}, which is saved"
        )
        return f"{what}{saved}; run the same command again to continue"


class _Requests:
    """The signal that waits for the end of an evaluation, if there is one."""

    waits, is_deferred = None, False


_requests = _Requests()


def listen():
    """Makes both signals raise `Interrupted`; in the main thread, the only one that gets them."""
    if threading.current_thread() is threading.main_thread():
        for number in STATUS:
            signal.signal(number, _receive)


@contextlib.contextmanager
def deferred():
    """Within the block the first signal is kept for `requested`; the second is not."""
    _requests.is_deferred = True
    try:
        yield
    finally:
        _requests.is_deferred, waits = False, _requests.waits
        _requests.waits = None
    if waits is not None:
        raise Interrupted(waits)


def requested():
    """The signal that has come since the block began, or None."""
    return _requests.waits


def _receive(number, _):
    if _requests.is_deferred and _requests.waits is None:
        _requests.waits = number
        return
    raise Interrupted(number)
