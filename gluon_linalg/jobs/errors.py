"""The one error of a job that is the user's to mend."""

from ..errors import suggestion

__all__ = ["JobError", "reason", "suggestion"]


class JobError(Exception):
    """Wrong input or surroundings; the message is one line: where, what, and the remedy."""

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))


def reason(error):
    """Why the operating system refused: the text of an OSError without its number and path."""
    return getattr(error, "strerror", None) or str(error)
