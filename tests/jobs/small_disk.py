"""A disk that is soon full."""

import resource
import signal


def limit_files(size):
    """The largest size of a file stands in for the room on a disk."""

    def set_limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return set_limit
