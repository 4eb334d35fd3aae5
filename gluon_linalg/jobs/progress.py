"""Tells how the training goes: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Any, Optional

from tqdm import tqdm

from . import log

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows iteration, loss and the time left on stderr."""

    def __init__(self, total: int, start: int, show_bar: Optional[bool] = None) -> None:
        self.total, self.start = total, start
        self._began = self._last_line = time.monotonic()
        show_bar = sys.stderr.isatty() if show_bar is None else show_bar
        self._bar = None
        if show_bar and not log.is_json():
            self._bar = tqdm(total=total, initial=start, unit="it", file=sys.stderr, leave=False)

    def update(self, iteration: int, loss: float) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            self._bar.update(1)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._write_line(iteration, loss)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()

    def _write_line(self, iteration, loss):
        left = self._left(iteration)
        if log.is_json():
            log.event("progress", iteration=iteration, loss=loss, seconds_left=round(left, 1))
            return
        print(
            f"iteration {iteration} of at most {self.total}, loss {loss:.6g}, "
            f"at most {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def _left(self, iteration):
        spent = time.monotonic() - self._began
        return spent / max(iteration - self.start, 1) * (self.total - iteration)


class Scalars:
    """Writes the loss of each iteration into a folder that TensorBoard reads."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def update(self, iteration: int, loss: float) -> None:
        self._writer.add_scalar("loss", loss, iteration)

    def close(self) -> None:
        self._writer.close()


def find_scalars(path: str) -> Optional[Scalars]:
    """`Scalars` in the folder `path`, or None without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    # A run that continues writes a file of its own beside the earlier ones.
    return Scalars(SummaryWriter(path, write_to_disk=True))
