"""What the NVIDIA driver says about its GPUs, asked before MXNet touches one.

MXNet 1.9.1's CUDA wheels hold machine code for compute capability 5.0, 6.0, 7.0, 8.0 and 8.6, which
runs on all from 5.0 to 8.9, and no PTX, from which a driver could make more. On a newer GPU every
operator fails with "no kernel image", long after the start; here it is said at once.

NVML (nvidia-ml-py) counts all GPUs of a machine, in the order of the bus; CUDA, and with it
mx.gpu(index), those that CUDA_VISIBLE_DEVICES leaves, the fastest first. So CUDA itself is asked.
"""

import ctypes
from typing import Collection, List, NamedTuple, Optional, Tuple

from .errors import JobError

# The driver's own library; CUDA_VISIBLE_DEVICES hides devices from it.
DRIVER = "libcuda.so.1"

LOWEST, FIRST_UNSUPPORTED = (5, 0), (9, 0)
# The oldest driver that runs CUDA 11 programs, as cuDriverGetVersion counts.
OLDEST_DRIVER = 11000

SUCCESS, NO_DEVICE = 0, 100
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76


class Device(NamedTuple):
    """A GPU that the driver sees, by its number for MXNet."""

    index: int  # type: ignore[assignment]
    name: str
    capability: Tuple[int, int]


class Driver(NamedTuple):
    """`version` as cuDriverGetVersion counts (11080 is 11.8), `problem` in words or None."""

    version: Optional[int]
    devices: List[Device]
    problem: Optional[str]


def describe() -> List[str]:
    """The driver and its GPUs in lines of text; nothing here needs a GPU, a driver or MXNet."""
    driver = query()
    lines = [] if driver.version is None else [f"NVIDIA driver for CUDA {_shown(driver.version)}"]
    if driver.problem is not None:
        lines.append(driver.problem)
    for device in driver.devices:
        lines.append(f"{_named(device)}{'' if _fits(device) else ': cannot be used'}")
    return lines


def check_supported(indices: Optional[Collection[int]] = None) -> None:
    """Refuses GPUs that MXNet 1.9.1 has no machine code for, and drivers older than CUDA 11.

    indices: of the GPUs to be used, as in mx.gpu(index); None for all that are visible.
    Raises JobError with the reason and what to do. Without a driver or a GPU there is nothing to
    refuse. Source: the machine code in the wheels (cuobjdump).
    """
    driver = query()
    devices = [d for d in driver.devices if indices is None or d.index in indices]
    if not devices or driver.version is None:
        return
    if driver.version < OLDEST_DRIVER:
        raise JobError(
            f"the NVIDIA driver is for CUDA {_shown(driver.version)}, and MXNet 1.9.1 needs 11.0 "
            "or later: install driver 450.80.02 or newer, or compute on the CPU (set "
            "CUDA_VISIBLE_DEVICES to nothing)"
        )
    for device in devices:
        if not _fits(device):
            raise JobError(
                f"{_named(device)}: MXNet 1.9.1 has machine code for compute capability 5.0 to "
                "8.9 only, and none that a driver could translate: use a V100, T4, A100, A10, L4, "
                "L40 or RTX 20 to 40, hide this device with CUDA_VISIBLE_DEVICES, or compute on "
                "the CPU (set CUDA_VISIBLE_DEVICES to nothing)"
            )


def query() -> Driver:
    """The `Driver` with its visible devices; version None and no devices where there is none."""
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError:
        return Driver(None, [], f"no NVIDIA driver ({DRIVER} is not there)")
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    status = library.cuInit(0)
    if status == NO_DEVICE:
        return Driver(version.value, [], "no GPU is visible")
    if status != SUCCESS:
        problem = f"the NVIDIA driver does not start (cuInit: error {status})"
        return Driver(version.value, [], problem)
    return Driver(version.value, _devices(library), None)


def _devices(library):
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    return [_device(library, index) for index in range(count.value)]


def _device(library, index):
    handle, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    library.cuDeviceGet(ctypes.byref(handle), index)
    library.cuDeviceGetName(name, len(name), handle)
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, handle)
    library.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, handle)
    capability = (major.value, minor.value)
    return Device(index, name.value.decode("utf-8", "replace"), capability)


def _fits(device):
    return LOWEST <= device.capability < FIRST_UNSUPPORTED


def _named(device):
    major, minor = device.capability
    return f"gpu({device.index}), {device.name}, compute capability {major}.{minor}"


def _shown(version):
    return f"{version // 1000}.{version % 1000 // 10}"
