"""Operators of our own in C++, and the switch between them and MXNet's.

The library is compiled where a C++ compiler is there when the package is installed, and is loaded
through MXNet's extension interface on first use. Graphs that are exported never contain its
operators.
"""

from .library import call
from .switch import Status, applies, backend_status, native_tracing, use_backend, wanted_for

__all__ = [
    "Status",
    "applies",
    "backend_status",
    "call",
    "native_tracing",
    "use_backend",
    "wanted_for",
]
