"""What a job says while it runs, for people or as one JSON object a line for machines."""

import json
import logging
import os
import sys
import time

PLAIN, JSON = "plain", "json"
VARIABLE = "GLUON_LINALG_LOG"

_logger = logging.getLogger("gluon_linalg.jobs")


def set_up(style=None):
    """Sends JSON lines to stderr if `style`, or the environment, says so; otherwise nothing."""
    style = style or os.environ.get(VARIABLE, PLAIN)
    _logger.propagate = False
    _logger.handlers = []
    _logger.setLevel(logging.INFO)
    handler = logging.NullHandler()
    if style == JSON:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
    _logger.addHandler(handler)


def is_json():
    return any(isinstance(handler.formatter, _JsonLines) for handler in _logger.handlers)


def event(name, **fields):
    """Something happened; `fields` are numbers, text, or lists and dicts of such."""
    _logger.info(name, extra={"fields": fields})


def failure(message):
    _logger.error("failed", extra={"fields": {"message": message}})


class _JsonLines(logging.Formatter):
    converter = time.gmtime

    def format(self, record):
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z"
        line = {"time": when, "level": record.levelname, "event": record.getMessage()}
        return json.dumps({**line, **getattr(record, "fields", {})}, default=str)
