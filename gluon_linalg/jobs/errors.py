"""The one error of a job that is the user's to mend."""

import re

from ..errors import suggestion

__all__ = ["JobError", "one_line", "reason", "suggestion"]

# What MXNet puts before and after what went wrong.
FRAME = ("Traceback", "Stack trace", 'File "', "[bt]", "---")


class JobError(Exception):
    """Wrong input or surroundings; the message is one line: where, what, and the remedy."""

    def __init__(self, message: object) -> None:
        super().__init__(" ".join(str(message).split()))


def reason(error: BaseException) -> str:
    """Why the operating system refused: the text of an OSError without its number and path."""
    return getattr(error, "strerror", None) or str(error)


def one_line(error: BaseException) -> str:
    """What went wrong, without the traceback that messages of MXNet have."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(FRAME)]
    line = told[0] if told else type(error).__name__
    # A check of MXNet comes with its place in the source and its expression.
    return re.sub(r"^.*Check failed: .*: (?=.)|^MXNetError: ", "", line)
