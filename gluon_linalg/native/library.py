"""The library of compiled operators: loading it, and calling one of its operators."""

import ctypes
import itertools
import threading
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import mxnet as mx
from mxnet.base import _LIB, OpHandle, c_str, check_call, py_str

from ..typing import Array, Namespace
from .requests import replaces

PATH = Path(__file__).resolve().parent / "operators.so"
PREFIX = "_gluon_linalg_"


class Library(NamedTuple):
    """What loading came to."""

    functions: Dict[Any, Dict[str, Any]]  # by namespace and name
    level: Optional[str]  # the instruction set: 'plain', 'avx2' or 'avx512'
    reason: str  # why it is not there


def call(F: Namespace, name: str, *arrays: Array, **keywords: Union[bool, int, float, str]) -> Any:
    """The results of the operator of that name, NDArrays or symbols as its arguments are.

    Each argument whose gradient may have to be added passes through an identity of its own: MXNet
    does not tell an operator of an extension of that, and merges identities that look alike.
    """
    functions = library().functions[F]
    if name not in functions:
        raise RuntimeError(
            f"{PATH.name} is older than this package and has no '{name}': install it "
            "again, or in a checkout run python setup.py build_ext --inplace."
        )
    function = functions[name]
    return function(*(_added_to(F, array) for array in arrays), **keywords)


def library() -> Library:
    """The library, loaded on first use."""
    global _loaded
    if _loaded is None:
        with _lock:
            _loaded = _loaded or _load()
    return _loaded


_lock = threading.Lock()
_loaded: Optional[Library] = None
_uses = itertools.count()


def _added_to(F: Namespace, array: Array) -> Array:
    if F is mx.nd:
        # Imperatively only the gradient of a variable is added to what there is.
        if replaces(array) or not mx.autograd.is_recording() or array.grad is None:
            return array
        return F.identity(array)
    return F.identity(array, attr={"__use__": str(next(_uses))})


def _load() -> Library:
    if not PATH.exists():
        return _without("it was not compiled: no C++17 compiler was found at installation")
    try:
        own = ctypes.CDLL(str(PATH))
        check_call(_LIB.MXLoadLib(c_str(str(PATH)), mx.base.mx_uint(0)))
    except (OSError, AttributeError, mx.base.MXNetError) as error:
        return _without(f"{PATH.name} does not load: {str(error).splitlines()[0]}")
    own.gluon_linalg_level.restype = ctypes.c_char_p
    operators, functions = _operators(), {}
    for namespace, make in (
        (mx.nd, mx.nd.register._make_ndarray_function),
        (mx.sym, mx.sym.register._make_symbol_function),
    ):
        functions[namespace] = {
            name[len(PREFIX) :]: make(handle, name, name) for name, handle in operators
        }
    return Library(functions, py_str(own.gluon_linalg_level()), "")


def _without(reason: str) -> Library:
    return Library({}, None, reason)


def _operators() -> List[Tuple[str, Any]]:
    """The names and handles of the operators that MXNet has from the library."""
    names, count = ctypes.POINTER(ctypes.c_char_p)(), ctypes.c_uint()
    check_call(_LIB.MXListAllOpNames(ctypes.byref(count), ctypes.byref(names)))
    found = []
    for name in (py_str(names[i]) for i in range(count.value)):
        if name.startswith(PREFIX):
            handle = OpHandle()
            check_call(_LIB.NNGetOpHandle(c_str(name), ctypes.byref(handle)))
            found.append((name, handle))
    return found
