"""The devices of a job."""

import re
from typing import Iterable, List

import mxnet as mx

from .._runtime import install_command
from ..typing import Device
from .cuda_devices import check_supported
from .errors import JobError

DEVICE = re.compile(r"(cpu|gpu)(?:\((\d{1,4})\))?")


def find_device(name: str) -> Device:
    """The device of MXNet for cpu, gpu or auto."""
    if name == "cpu" or (name == "auto" and _gpu_count() == 0):
        return mx.cpu()
    _refuse_missing_gpu(0)
    return mx.gpu(0)


def find_devices(names: Iterable[str]) -> List[Device]:
    """The devices of MXNet for a list of names such as gpu(0)."""
    devices = []
    for name in names:
        match = DEVICE.fullmatch(name)
        assert match is not None
        kind, index = match[1], int(match[2] or 0)
        if kind == "gpu":
            _refuse_missing_gpu(index)
        devices.append(mx.Context(kind, index))
    return devices


def check_device_names(names: Iterable[str]) -> List[str]:
    """The names in their full form, gpu(0); ValueError for what is no device."""
    full = []
    for name in names:
        match = DEVICE.fullmatch(name.strip())
        if match is None:
            raise ValueError(f"'{name}' is no device; expected gpu(0), gpu(1), ... or cpu")
        full.append(f"{match.group(1)}({match.group(2) or 0})")
    if len(set(full)) < len(full):
        raise ValueError("a device is named twice; keep one")
    if len({name[:3] for name in full}) > 1:
        raise ValueError("expected devices of one kind: GPUs or CPUs")
    return full


def _refuse_missing_gpu(index):
    check_supported([index])
    count = _gpu_count()
    if count == 0:
        raise JobError(
            "context: gpu: MXNet sees no GPU; use context: cpu or auto, or on a machine with an "
            f"NVIDIA GPU {install_command('gpu')}"
        )
    if index >= count:
        raise JobError(f"devices: gpu({index}): MXNet sees {count} GPUs, numbered from 0")


def _gpu_count():
    try:
        return mx.context.num_gpus()
    except mx.base.MXNetError:
        # A CUDA build that finds no driver says so with an error.
        return 0
