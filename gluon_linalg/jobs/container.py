"""What a container runs: ``python -m gluon_linalg.jobs.container`` with arguments of gluon-linalg.

Versions and devices go to stderr first, and GPUs that MXNet has no machine code for are refused.
`train` or `serve` alone is how SageMaker starts a container; gluon-linalg itself has no such form.
"""

import ctypes
import platform
import sys
from typing import Iterable, NoReturn, Optional

import mxnet as mx

from .._version import __version__
from ..native import backend_status
from . import cuda_devices, log, sagemaker
from .cli import main as run_command
from .errors import JobError
from .metrics import versions

# Of the CUDA libraries, the one that tells its version without a driver.
NVRTC = "libnvrtc.so.11.2"


def main(arguments: Optional[Iterable[str]] = None) -> NoReturn:
    """Ends the process with the exit status of the command, 2 for a GPU that cannot be used."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    log.set_up()
    folders = sagemaker.Folders()
    if arguments == ["train"]:
        sys.exit(sagemaker.train(folders, check=introduce))
    if arguments == ["serve"]:
        arguments = sagemaker.serve_arguments(folders)
    try:
        introduce()
    except JobError as error:
        log.failure(error)
        sys.exit(2)
    run_command(arguments)


def introduce() -> None:
    """Prints versions and devices; JobError for a GPU or a driver that MXNet cannot use."""
    has_cuda = mx.runtime.Features().is_enabled("CUDA")
    cuda = _cuda_version() if has_cuda else None
    devices = cuda_devices.describe() if has_cuda else []
    if log.is_json():
        log.event("container", versions={**versions(), "cuda": cuda}, gpus=devices)
    else:
        print(
            f"gluon-linalg {__version__}, Python {platform.python_version()}, MXNet "
            f"{mx.__version__} {f'with CUDA {cuda}' if has_cuda else 'for the CPU'}, "
            f"{backend_status().reason}",
            *devices,
            sep="\n",
            file=sys.stderr,
            flush=True,
        )
    if has_cuda:
        cuda_devices.check_supported()


def _cuda_version():
    """Of the libraries that this process has loaded; unknown for those of another CUDA."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    try:
        ctypes.CDLL(NVRTC).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    except OSError:
        return "of an unknown version"
    return f"{major.value}.{minor.value}"


if __name__ == "__main__":
    main()
