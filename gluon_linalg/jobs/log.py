"""What a command says while it runs, for people or as one JSON object a line for machines.

An event is a word that never changes; its fields have all that does, and a `message` is for people.
Of the formatter python-json-logger would do the last line; which fields a line has is said here.
"""

import json
import logging
import os
import sys
import time
from typing import Any, Optional

PLAIN, JSON = "plain", "json"
VARIABLE = "GLUON_LINALG_LOG"

_logger = logging.getLogger("gluon_linalg.jobs")


def set_up(style: Optional[str] = None) -> None:
    """Sends JSON lines to stderr if `style`, or the environment, says so; otherwise nothing."""
    style = style or os.environ.get(VARIABLE, PLAIN)
    handler: logging.Handler = logging.NullHandler()
    if style == JSON:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
    _logger.propagate = False
    _logger.handlers = [handler]
    _logger.setLevel(logging.INFO)


def is_json() -> bool:
    return any(isinstance(handler.formatter, _JsonLines) for handler in _logger.handlers)


def event(name: str, **fields: Any) -> None:
    """Something happened; `fields` are numbers, text, or lists and dicts of such."""
    _logger.info(name, extra={"fields": fields})


def failure(message: object, status: Optional[int] = 2) -> None:
    """The command ends with `status` and, for people, with this line."""
    tell("failed", message, logging.ERROR, status=status)


def tell(name: str, message: object, level: int = logging.INFO, **fields: Any) -> None:
    """An event that people are told, too: in a line on stderr."""
    message = " ".join(str(message).split())
    if is_json():
        _logger.log(level, name, extra={"fields": {**fields, "message": message}})
    else:
        print(message, file=sys.stderr, flush=True)


def bug(status: int = 1) -> None:
    """The exception that is handled, with its traceback."""
    _logger.error("crashed", exc_info=True, extra={"fields": {"status": status}})


def take_over(name: str) -> None:
    """The lines of another library's logger become events of this log."""
    other = logging.getLogger(name)
    other.handlers, other.propagate = _logger.handlers, False


class _JsonLines(logging.Formatter):
    converter = time.gmtime  # type: ignore[assignment]

    def format(self, record):
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z"
        line = {"time": when, "level": record.levelname}
        if record.name == _logger.name:
            line.update(event=record.getMessage(), **getattr(record, "fields", {}))
        else:
            line.update(event="library", library=record.name, message=record.getMessage())
        if record.exc_info:
            error = record.exc_info[1]
            line["message"] = f"{type(error).__name__}: {error}"
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
