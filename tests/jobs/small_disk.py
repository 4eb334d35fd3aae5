"""A disk that is soon full."""

import resource
import signal


def limit_files(size):
    """The largest size of a file stands in for the room on a disk."""

    def set_limit():
        ignore_limit()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return set_limit


def ignore_limit():
    """A write beyond the largest size of a file is an error, and not the end of the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
