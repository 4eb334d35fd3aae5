"""Which block and batch element failed: the imperative run that names it."""

import contextlib
import ctypes
from typing import Any, Iterator, List, Optional

import mxnet as mx
import numpy as np

from ..compilation import Lock
from ..typing import Array, Arrays


def explain(
    net: mx.gluon.HybridBlock, *inputs: Optional[Array], **keywords: Optional[Array]
) -> Any:
    """Runs `net` imperatively, so that a failing matrix is named by block and batch element.

    net: any HybridBlock, hybridized or not; its state is left as it was. Arguments as in a call of
    it. Raises the named error; returns the outputs when nothing fails.

    >>> net = gl.CholeskyBlock()
    >>> net.hybridize()
    >>> gl.explain(net, mx.nd.array([[[1.0, 2.0], [2.0, 1.0]]]))
    Traceback (most recent call last):
        ...
    gluon_linalg.errors.NotPositiveDefiniteError: ...
    """
    with _imperative(net):
        outputs = net(*inputs, **keywords)
        has_nan(outputs)
    return outputs


def listed(outputs: Arrays) -> List[Any]:
    """The outputs of a block as a list, also when there is one."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def has_nan(outputs: Arrays) -> bool:
    """Whether any output has a NaN; waits for all of them."""
    return bool(np.isnan([_total(output) for output in listed(outputs)]).any())


def _total(array: mx.nd.NDArray) -> float:
    """The sum of all numbers; on the CPU by NumPy where they lie, in a tenth of MXNet's time."""
    if not array.context.device_type.startswith("cpu") or array.size == 0:
        with mx.autograd.pause():
            return mx.nd.sum(array).asscalar()
    array.wait_to_read()
    place = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(place)))
    number = ctypes.c_float if array.dtype == np.float32 else ctypes.c_double
    numbers = ctypes.cast(place, ctypes.POINTER(number))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ctypeslib.as_array(numbers, (array.size,)).sum()


_explaining = Lock()


@contextlib.contextmanager
def called_as_before(net: mx.gluon.Block) -> Iterator[List[Any]]:
    """The HybridBlocks of a network, which are compiled or not afterwards as they were before."""
    blocks: List[Any] = []
    net.apply(lambda block: blocks.append(block) if "_active" in vars(block) else None)
    before = [(block, block._active, block._flags) for block in blocks]
    try:
        yield blocks
    finally:
        for block, active, flags in before:
            block._active, block._flags = active, flags


@contextlib.contextmanager
def _imperative(net: mx.gluon.HybridBlock) -> Iterator[None]:
    # One thread at a time: a second one would take the state made here for that of the network.
    with _explaining, called_as_before(net) as blocks:
        for block in blocks:
            block._active = False
        yield
