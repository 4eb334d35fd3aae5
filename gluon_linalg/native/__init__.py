"""Operators of our own in C++, and the switch between them and MXNet's.

The library is compiled where a C++ compiler is there when the package is installed, and is loaded
through MXNet's extension interface on first use. Graphs that are exported never contain its
operators.
"""

from .kernels import (
    KernelProgram,
    gaussian_nll,
    gaussian_process_nll,
    kernel_diagonal,
    kernel_matrix,
)
from .library import call
from .switch import Status, applies, backend_status, native_tracing, use_backend, wanted_for

__all__ = [
    "KernelProgram",
    "Status",
    "applies",
    "backend_status",
    "call",
    "gaussian_nll",
    "gaussian_process_nll",
    "kernel_diagonal",
    "kernel_matrix",
    "native_tracing",
    "use_backend",
    "wanted_for",
]
