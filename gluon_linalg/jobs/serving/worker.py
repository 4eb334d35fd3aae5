"""The one thread that computes."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

from ...typing import T
from .refused import Refused

# More requests than this are not kept waiting.
MOST_WAITING = 64


class Worker:
    """Runs functions one after the other, in a thread of its own.

    The blocks of MXNet are not made for several threads, and one computation at a time also leaves
    it all processors. seconds: how long a function may wait and run.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.waiting = 0
        self._began: Optional[float] = None

    @property
    def busy_seconds(self) -> Optional[float]:
        """How long the function that runs now has run; None while nothing runs."""
        began = self._began
        return None if began is None else time.monotonic() - began

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result, for the time before the event loop."""
        return self._thread.submit(self._timed, function, *arguments).result()

    async def result(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result; `Refused` when it takes too long, or too many wait for theirs.

        What runs when the time is over cannot be stopped: it ends by itself, for nobody.
        """
        if self.waiting >= MOST_WAITING:
            raise Refused(503, f"busy: {MOST_WAITING} requests wait; try again later")
        self.waiting += 1
        future = self._thread.submit(self._timed, function, *arguments)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.seconds)
        except asyncio.TimeoutError:
            raise Refused(
                503, f"no answer within {self.seconds:g} s; send fewer rows, or try again later"
            ) from None
        finally:
            self.waiting -= 1

    def _timed(self, function: Callable[..., T], *arguments: Any) -> T:
        self._began = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self._began = None
