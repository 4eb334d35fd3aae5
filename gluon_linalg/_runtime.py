"""Makes ``import mxnet`` work. No other module of the package needs to know how.

MXNet 1.9.1 expects things of its surroundings that they no longer offer by themselves: names
that numpy has removed, CUDA libraries on the loader's path, ``distutils``. What can be put in
place is put in place here; for the rest, the import error says what to install.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import functools
import math
import os
import re
import sys
import warnings
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import numpy

# Plain builtins that numpy exported under its own name until 1.24; MXNet still uses them.
_REMOVED_NUMPY_ALIASES = ("bool", "int", "float", "object", "complex", "str")

# What a CUDA 11 build of MXNet is linked against, under the names that the loader asks for (the
# same folders may hold the CUDA 12 libraries of another framework). Dependencies come first.
_CUDA_LIBRARIES = (
    "libcudart.so.11.0",
    "libnvrtc.so.11.2",
    "libnvToolsExt.so.1",
    "libcublasLt.so.11",
    "libcublas.so.11",
    "libcufft.so.10",
    "libcurand.so.10",
    "libcusparse.so.11",
    "libcusolver.so.11",
    "libnccl.so.2",
    "libcudnn.so.8",
)

# A requirement of a package, unless it is of one of its extras.
_NEEDS_NUMPY = re.compile(r"numpy\b(?!-)(?!.*extra\s*==)", re.IGNORECASE)

# The OpenBLAS 0.3.13 of MXNet's wheel takes processors newer than itself for those of 2004, at
# a quarter of the speed. These kernels of it run wherever there are AVX2 and FMA.
_PROCESSOR = "OPENBLAS_CORETYPE"
_KERNELS = {"GenuineIntel": "Haswell", "AuthenticAMD": "Zen", "HygonGenuine": "Zen"}

# MXNet's OpenMP lets threads that wait for work take a processor, of each thread of the engine as
# many as OMP_NUM_THREADS says. Where that is more than are free, an operator takes milliseconds.
_WAITING = "OMP_WAIT_POLICY"

_THREADS, _MOST_THREADS = "OMP_NUM_THREADS", 10_000

_INSTALL_MXNET = (
    "gluon-linalg needs MXNet, which is not installed: {cpu} or, for NVIDIA GPUs, {gpu}"
)
_INSTALL_DRIVER = (
    "the installed MXNet is a CUDA build and needs the NVIDIA driver (libcuda.so.1): install the "
    "driver or, to run on the CPU, uninstall that mxnet-cu package and {cpu}"
)
_INSTALL_CUDA = "the installed MXNet is a CUDA build and misses a CUDA library ({error}): {gpu}"
_INSTALL_SYSTEM_LIBRARIES = (
    "MXNet misses a system library ({error}): "
    "on Debian and Ubuntu, apt-get install libgomp1 libquadmath0"
)
_INSTALL_SETUPTOOLS = (
    "MXNet needs distutils, which Python 3.12 leaves to setuptools: pip install setuptools"
)


@functools.lru_cache(maxsize=None)
def import_mxnet() -> ModuleType:
    """Return the ``mxnet`` module, or raise an ``ImportError`` that says what to install."""
    _restore_numpy_aliases()
    try:
        if "mxnet" not in sys.modules:
            _preload_cuda_libraries()
            _mend_thread_count()
            with _told_libraries():
                if "DMLC_ROLE" in os.environ:
                    return _import_in_a_role()
                import mxnet
        import mxnet
    except (ImportError, OSError) as error:
        advice = _advice(error)
        if advice is None:
            raise
        raise ImportError(_worded(advice, error)) from error
    _check_version(mxnet)
    return mxnet


def install_command(extra: str) -> str:
    """The command that brings an extra; pip takes it from the package that is installed."""
    try:
        metadata.distribution("gluon-linalg")
    except metadata.PackageNotFoundError:
        return f'pip install ".[{extra}]" in a checkout of gluon-linalg'
    return f'pip install "gluon-linalg[{extra}]"'


def import_mxnet_or_end() -> None:
    """`import_mxnet`; the command line ends with one line where MXNet cannot be imported."""
    try:
        import_mxnet()
    except ImportError as error:
        if not _is_command_line():
            raise
        print(f"gluon-linalg: {error}", file=sys.stderr)
        sys.exit(2)


def _is_command_line() -> bool:
    """Whether this process is gluon-linalg, or python -m with a module of this package."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    # What runs with -m is not named before its package is imported, and since Python 3.10 here.
    modules = getattr(sys, "orig_argv", ()) if program == "-m" else ()
    return program == "gluon-linalg" or any(
        argument.startswith("gluon_linalg.") for argument in modules
    )


def _import_in_a_role() -> ModuleType:
    """MXNet; in the scheduler and the servers of a distributed training, serves and ends there."""
    from . import server

    server.prepare_environment()
    role = server.take_role()
    import mxnet

    if role is not None:
        server.run(mxnet, role)
    return mxnet


def _restore_numpy_aliases() -> None:
    if int(numpy.__version__.split(".")[0]) >= 2:
        # MXNet misses more than the aliases there, and fails with an error that explains nothing.
        raise ImportError(
            f"MXNet 1.9 does not work with numpy {numpy.__version__}: {_older_numpy()}"
        )
    for name in _REMOVED_NUMPY_ALIASES:
        # Not hasattr(): numpy answers it with a warning about the alias.
        if name not in vars(numpy):
            setattr(numpy, name, getattr(builtins, name))


def _older_numpy() -> str:
    """The command that installs an older numpy together with versions of all else that take it.

    With the numpy alone, pip would leave packages behind that were made for the newer one.
    """
    versions = ">=1.26,<2" if sys.version_info >= (3, 12) else ">=1.20,<1.24"
    names = {
        found.metadata["Name"]
        for found in metadata.distributions()
        if any(_NEEDS_NUMPY.match(needed) for needed in found.requires or ())
    }
    others = sorted(name for name in names if name and not name.startswith(("mxnet", "gluon")))
    return " ".join([f'pip install "numpy{versions}"', *others])


def _preload_cuda_libraries() -> None:
    """Load the CUDA libraries that pip installed, so that MXNet's own loading finds them.

    The dynamic loader does not search ``site-packages/nvidia/*/lib``, but takes a library that
    the process has already loaded under the wanted name.
    """
    mxnet, nvidia = find_spec("mxnet"), find_spec("nvidia")
    if not sys.platform.startswith("linux") or nvidia is None or not _is_cuda_wheel(mxnet):
        return
    # MXNet would warn that cuDNN is newer than the one it was built with; the newer one is meant.
    os.environ.setdefault("MXNET_CUDNN_LIB_CHECKING", "0")
    for name in _CUDA_LIBRARIES:
        for root in nvidia.submodule_search_locations or ():
            for path in Path(root).glob(f"*/lib/{name}"):
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _mend_thread_count() -> None:
    """Make a whole number of OMP_NUM_THREADS, or MXNet would abort the process.

    It may be a share of processors, such as the 1.5 that a container is allowed, which is rounded
    up; or a list, one number for each level of nesting, of which the first is meant.
    """
    text = os.environ.get(_THREADS, "").strip()
    if not text:
        return
    try:
        count = math.ceil(float(text.split(",")[0]))
    except (ValueError, OverflowError):
        count = 0
    if 0 < count <= _MOST_THREADS:
        os.environ[_THREADS] = str(count)
        return
    del os.environ[_THREADS]
    warnings.warn(
        f"{_THREADS} is '{text}', which is no number of threads: it is ignored",
        RuntimeWarning,
        stacklevel=3,
    )


@contextlib.contextmanager
def _told_libraries() -> Iterator[None]:
    """Inside it, libraries that are loaded read what the user did not say otherwise.

    OpenBLAS, which kernels to use; OpenMP, that threads which wait sleep. The newer OpenBLAS of
    numpy, which is there already, and whatever is loaded later are left alone.
    """
    wanted = {_PROCESSOR: _kernels(), _WAITING: "passive"}
    told = {name: value for name, value in wanted.items() if value and name not in os.environ}
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            os.environ.pop(name, None)


def _kernels() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    fields = dict(re.findall(r"^(vendor_id|flags)\s*: *(.*)$", text, re.MULTILINE))
    if not {"avx2", "fma"} <= set(fields.get("flags", "").split()):
        return None
    return _KERNELS.get(fields.get("vendor_id", ""))


def _is_cuda_wheel(mxnet: Any) -> bool:
    # Told by the wheel's name, because only importing MXNet would tell more.
    if mxnet is None or mxnet.origin is None:
        return False
    site_packages = Path(mxnet.origin).parent.parent
    return any(site_packages.glob("mxnet_cu*.dist-info"))


def _advice(error: BaseException) -> str | None:
    """What to do about a failed import of MXNet; None when the error speaks for itself."""
    missing_module = getattr(error, "name", None)
    message = str(error)
    if missing_module == "mxnet":
        return _INSTALL_MXNET
    if missing_module == "distutils":
        return _INSTALL_SETUPTOOLS
    if "libcuda.so" in message:
        return _INSTALL_DRIVER
    if any(library in message for library in _CUDA_LIBRARIES):
        return _INSTALL_CUDA
    if "libgomp.so" in message or "libquadmath.so" in message:
        return _INSTALL_SYSTEM_LIBRARIES
    return None


def _worded(advice: str, error: object = "") -> str:
    commands = {extra: install_command(extra) for extra in ("cpu", "gpu")}
    return advice.format(error=error, **commands)


def _check_version(mxnet: Any) -> None:
    version = getattr(mxnet, "__version__", None)
    if version is None:
        # The folder that an uninstalled MXNet leaves behind imports as an empty package.
        raise ImportError(_worded(_INSTALL_MXNET))
    if not version.startswith("1.9."):
        warnings.warn(
            f"gluon-linalg is made for MXNet 1.9; this is MXNet {version}",
            RuntimeWarning,
            stacklevel=3,
        )
