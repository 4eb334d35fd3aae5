"""The one error of a job that is the user's to mend."""

import difflib


class JobError(Exception):
    """Wrong input or surroundings; the message is one line: where, what, and the remedy."""

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))


def suggestion(name, choices):
    """What to write instead of `name`: the nearest of the choices, or all of them."""
    choices = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(name), choices, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"expected one of {', '.join(choices)}" if choices else "there is none"


def reason(error):
    """Why the operating system refused: the text of an OSError without its number and path."""
    return getattr(error, "strerror", None) or str(error)
