"""The device of a job."""

from .._runtime import import_mxnet
from .errors import JobError

mx = import_mxnet()


def find_context(name):
    """The MXNet context for cpu, gpu or auto."""
    if name == "cpu" or (name == "auto" and _gpu_count() == 0):
        return mx.cpu()
    if _gpu_count() == 0:
        raise JobError(
            "context: gpu: MXNet sees no GPU; use context: cpu or auto, or install "
            'pip install "gluon-linalg[gpu]" on a machine with an NVIDIA GPU'
        )
    return mx.gpu(0)


def _gpu_count():
    try:
        return mx.context.num_gpus()
    except mx.base.MXNetError:
        # A CUDA build that finds no driver says so with an error.
        return 0
