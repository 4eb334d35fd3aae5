"""Which operators compute: those in C++ or MXNet's own."""

import contextlib
import os
import threading
from typing import Any, Iterator, NamedTuple, Optional

import mxnet as mx

from ..typing import Array, Namespace
from .library import library

BACKENDS = ("auto", "native", "mxnet")
VARIABLE = "GLUON_LINALG_BACKEND"


class use_backend:
    """Chooses the operators for the whole process, or inside a `with` block.

    name: 'auto', operators in C++ on the CPU where they are there; 'native', the same, and an error
    where they are not; 'mxnet', MXNet's own. The environment variable GLUON_LINALG_BACKEND chooses
    at the start, else it is 'auto'. On a GPU, and in exported graphs, the operators are always
    MXNet's own. A compiled block follows at its next call. Raises ValueError for another name,
    RuntimeError for 'native' where the library is not.

        gl.use_backend("mxnet")
        with gl.use_backend("native"):
            ...

    >>> with gl.use_backend("mxnet"):
    ...     print(gl.backend_status().backend)
    ...
    mxnet
    """

    def __init__(self, name: str) -> None:
        _check(name, "use_backend")
        if name == "native" and library().level is None:
            raise _missing("use_backend")
        self._before = chosen()
        _choose(name)

    def __enter__(self) -> "use_backend":
        return self

    def __exit__(self, *details: Any) -> None:
        _choose(self._before)


class Status(NamedTuple):
    """What computes, and why."""

    backend: str  # 'auto', 'native' or 'mxnet', as chosen
    level: Optional[str]  # the instruction set of the native operators, None without them
    reason: str  # in words

    @property
    def native(self) -> bool:
        """Whether native operators are used on the CPU."""
        return self.level is not None


def backend_status() -> Status:
    """The operators that are in use on the CPU; loads the library if it may be used.

    Raises RuntimeError where the environment variable asks for native ones that are not there.

    >>> gl.backend_status().backend in ("auto", "native", "mxnet")
    True
    """
    backend, is_native = chosen(), _is_native()
    if is_native:
        level = library().level
        return Status(backend, level, f"native operators on the CPU ({level})")
    if backend == "mxnet":
        return Status(backend, None, "native operators are switched off")
    return Status(backend, None, f"no native operators: {library().reason}")


def applies(F: Namespace, array: Array) -> bool:
    """Whether native operators compute with `array`, and with what is beside it.

    Of symbols they do in a graph that is traced to be run on the CPU, never in one that may be
    written to a file.
    """
    if F is not mx.nd:
        return bool(getattr(_tracing, "native", False))
    return array.context.device_type.startswith("cpu") and _is_native()


def wanted_for(arrays: Any) -> bool:
    """Whether a graph for calls with these arguments is to have native operators."""
    first = _first_array(arrays)
    return first is not None and applies(mx.nd, first)


@contextlib.contextmanager
def native_tracing(native: bool) -> Iterator[None]:
    """Inside it, graphs that this thread traces have native operators, or have none."""
    before = getattr(_tracing, "native", False)
    _tracing.native = native
    try:
        yield
    finally:
        _tracing.native = before


def chosen() -> str:
    """The name that was chosen last."""
    global _chosen
    if _chosen is None:
        name = os.environ.get(VARIABLE) or "auto"
        _check(name, VARIABLE)
        _chosen = name
    return _chosen


_chosen: Optional[str] = None
_tracing = threading.local()


def _choose(name: str) -> None:
    global _chosen
    _chosen = name


def _is_native() -> bool:
    backend = chosen()
    if backend == "mxnet" or library().level is not None:
        return backend != "mxnet"
    if backend == "native":
        raise _missing(VARIABLE)
    return False


def _missing(where: str) -> RuntimeError:
    return RuntimeError(f"{where}: there are no native operators: {library().reason}.")


def _first_array(arrays: Any) -> Optional[Array]:
    for item in arrays:
        if isinstance(item, (list, tuple)):
            item = _first_array(item)
        if isinstance(item, mx.nd.NDArray):
            return item
    return None


def _check(name: str, where: str) -> None:
    if name not in BACKENDS:
        raise ValueError(f"{where}: the backend is {name!r}, expected one of {BACKENDS}.")
