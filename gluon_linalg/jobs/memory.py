"""How much memory a computation may take."""

import contextlib
import resource

# Of a container: of the second version of control groups, and of the first.
LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
# What MXNet and NumPy say where there is not enough.
COMPLAINTS = ("Failed to allocate", "bad_alloc", "out of memory", "Unable to allocate")


def available() -> float:
    """The bytes that are free, or that a container or `ulimit -v` allows; inf where none tells."""
    found = [float("inf"), *_limits()]
    with contextlib.suppress(OSError, ValueError, StopIteration, IndexError):
        with open("/proc/meminfo", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("MemAvailable:"))
        found.append(1024.0 * int(line.split()[1]))
    return min(found)


def is_shortage(error: BaseException) -> bool:
    """Whether an error of MXNet or NumPy says that there is not enough memory."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in COMPLAINTS)


def gigabytes(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.2g} GB" if count < 1e10 else f"{count / 1e9:.0f} GB"


def _limits():
    for path in LIMITS:
        # Without a limit the file has a word, or is not there.
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            yield float(int(file.read()))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield float(soft)
