"""What this package changes in the way that Gluon compiles: threads, copies, errors, static_shape.

* MXNet's graph is compiled without `static_shape` where that breaks it. With it MXNet 1.9.1 runs
  the body of a `foreach` from inside the engine without waiting for it (what reads the result may
  run first: wrong values), leaves uninitialized whether it keeps what the backward pass needs
  (refused gradients, or memory that grows with every call), and does not tell the engine of writes
  into running averages (what reads or saves them may be early). A recurrent layer that was called
  without a record fails in the backward pass of a record outside of training. The flag is part of
  whatever network a layer is in, so no layer can refuse it.
* Gluon is not made for a first call from several threads at once: they trace into one another's
  scopes of names, one runs what the other has half built, and in C++ one plans memory for shapes
  that the other has not inferred yet. Here the second waits for the first.
* Compiled, a layer refuses the arrays of data loaders that it takes imperatively. Here it takes
  them.
* A compiled graph cannot be pickled or deep-copied, and with it no network that was hybridized and
  used. Here copies have none, and compile anew.
* A graph that has refused shapes or dtypes says the next time that an attribute of its own is
  missing. Here it repeats its error.
* MXNet looks for equal parts of a graph by comparing all its nodes with one another, which takes
  tens of seconds where there are ten thousand of them. Here so large a graph is compiled as it is.
* A graph that is run on the CPU has operators in C++ (`native`); the one that Gluon keeps, exports
  and infers shapes with has MXNet's own.
"""

import contextlib
import json
import os
import threading
from typing import Any, Callable, Iterable, Iterator, List, Sequence, Set, Tuple

import mxnet as mx

from .host_memory import from_loader
from .native import native_tracing, wanted_for
from .native.library import PREFIX
from .typing import Array

# What MXNet says where shapes or dtypes were refused in an earlier call.
UNINFERRED = ("Graph attr dependency", "Cannot find attribute")

# What it says of arrays and parameters in different memories.
SAME_CONTEXT = "requires all inputs to live on the same context"

# Operators that `static_shape` breaks: loops, branches, those that write running averages, and
# recurrent layers.
BROKEN = ("_foreach", "_while_loop", "_cond", "sgd_mom_update", "RNN")

# Native operators whose gradients may be refused: a graph has NaN there, and asks nothing before.
REFUSED = tuple(PREFIX + name for name in ("gelqf", "slogdet"))

# From so many nodes on equal parts are not looked for.
MANY_NODES = 4000
EQUAL_PARTS = "MXNET_ELIMINATE_COMMON_EXPR"

_compile_lock = threading.RLock()


class Lock:
    """A reentrant lock as an attribute of a block: a copy of the block has one of its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *details: Any) -> None:
        return self._lock.__exit__(*details)

    def __reduce__(self) -> Tuple[Any, ...]:
        return Lock, ()


def compiling() -> Any:
    """The lock that one thread at a time holds to trace a block and to settle its shapes."""
    return _compile_lock


class CachedOp(mx.nd.CachedOp):
    """MXNet's compiled graph."""

    # Whether it was traced with native operators.
    native = False

    def __init__(self, sym: Array, flags: Iterable[Tuple[str, Any]] = (), **kwargs: Any) -> None:
        flags, self._refused, self._lock = list(flags), None, threading.RLock()
        operators = _operators(sym)
        self.is_one_operator = is_one_operator(operators)
        if dict(flags).get("static_shape") and breaks_static_shape(operators):
            flags = [pair for pair in flags if pair[0] != "static_shape"]
        self._is_large = len(operators) >= MANY_NODES
        self._known: Set[Any] = set()
        with self._compiling("built"):
            super().__init__(sym, flags, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with self._compiling(_kind_of(args) if self._is_large else None), self._lock:
                return super().__call__(*args, **kwargs)
        except mx.base.MXNetError as error:
            own = [from_loader(array) for array in args] if SAME_CONTEXT in str(error) else args
            if any(a is not b for a, b in zip(own, args)):
                return self(*own, **kwargs)
            if self._refused is not None and any(text in str(error) for text in UNINFERRED):
                raise self._refused from None
            self._refused = error
            raise

    @contextlib.contextmanager
    def _compiling(self, kind: Any) -> Iterator[None]:
        """Inside it a large graph, which MXNet compiles anew for each kind of call, is as it is.

        A setting of the user's own stays.
        """
        if not self._is_large or kind in self._known:
            yield
            return
        with _compile_lock:
            self._known.add(kind)
            if EQUAL_PARTS in os.environ:
                yield
                return
            os.environ[EQUAL_PARTS] = "0"
            try:
                yield
            finally:
                del os.environ[EQUAL_PARTS]

    def __reduce__(self) -> Tuple[Any, ...]:
        return _nothing, ()


def _kind_of(args: Sequence[Array]) -> Any:
    """What MXNet compiles a graph anew for."""
    flags = mx.autograd.is_recording(), mx.autograd.is_training()
    return (*flags, *((array.shape, str(array.context)) for array in args))


def breaks_static_shape(operators: Sequence[str]) -> bool:
    """Whether those of a graph have one among them that static_shape breaks."""
    return any(name in BROKEN for name in operators)


def is_one_operator(operators: Sequence[str]) -> bool:
    """Whether those of a graph are one native operator, which is called at less cost alone."""
    found = [name for name in operators if name not in ("null", "_copy")]
    return len(found) == 1 and found[0].startswith(PREFIX) and found[0] not in REFUSED


def _operators(symbol: Array) -> List[str]:
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


def _nothing() -> None:
    """What stands for a compiled graph in a copy."""
    return None


def install_compilation() -> None:
    """From now on Gluon compiles as described above (idempotent)."""
    if mx.nd.CachedOp is CachedOp:
        return
    mx.nd.CachedOp = CachedOp
    block = mx.gluon.HybridBlock
    block._build_cache = _one_at_a_time(block._build_cache)
    block._get_graph = _traced_once(block._get_graph)
    block._call_cached_op = _of_one_backend(block._call_cached_op)


def _one_at_a_time(build: Callable[..., None]) -> Callable[..., None]:
    def _build_cache(self: Any, *args: Any) -> None:
        before = self._cached_op
        with _compile_lock:
            # Unless another thread has built it meanwhile.
            if self._cached_op is before:
                native = _is_native(self, args)
                _settle_shapes(self, args, native)
                with _native_graph(self, args) if native else contextlib.nullcontext():
                    build(self, *args)
                self._cached_op.native = native

    return _build_cache


def _settle_shapes(block: Any, args: Sequence[Any], native: bool) -> None:
    """Parameters get their shapes before a graph is compiled that takes no part in inferring them.

    Native operators take none. Blocks with `shapes_need_a_graph` put into their graph what only
    that needs: it is traced anew.
    """
    parts = _parts(block)
    anew = any(getattr(part, "shapes_need_a_graph", False) for part in parts)
    parameters = block.collect_params().values()
    if (native or anew) and any(parameter._deferred_init for parameter in parameters):
        block._deferred_infer_shape(*args)
        for parameter in parameters:
            parameter._finish_deferred_init()
        if anew:
            block._cached_graph = ()


def _parts(block: Any) -> List[Any]:
    """A block and all that it holds."""
    return [block, *(part for child in block._children.values() for part in _parts(child))]


@contextlib.contextmanager
def without_hooks(block: Any) -> Iterator[None]:
    """Inside it no hook of a user's runs, who expects arrays: `summary` counts what they hold."""
    before = [(part, part._forward_hooks, part._forward_pre_hooks) for part in _parts(block)]
    for part, *_ in before:
        part._forward_hooks, part._forward_pre_hooks = {}, {}
    try:
        yield
    finally:
        for part, hooks, pre_hooks in before:
            part._forward_hooks, part._forward_pre_hooks = hooks, pre_hooks


@contextlib.contextmanager
def _native_graph(block: Any, args: Sequence[Any]) -> Iterator[None]:
    """Inside it the block is traced with native operators, its own graph being kept aside.

    A block that is never exported may say so (`is_exported`), and has no graph of its own then.
    """
    plain = block._get_graph(*args) if getattr(block, "is_exported", True) else ()
    block._cached_graph = ()
    try:
        with native_tracing(True):
            yield
    finally:
        block._cached_graph = plain


def _is_native(block: Any, args: Sequence[Any]) -> bool:
    # The graph of a file stays as it is, one for a backend of MXNet's is partitioned for that.
    if isinstance(block, mx.gluon.SymbolBlock) or block._backend:
        return False
    return wanted_for(args)


def _of_one_backend(call: Callable[..., Any]) -> Callable[..., Any]:
    def _call_cached_op(self: Any, *args: Any) -> Any:
        compiled = self._cached_op
        if compiled is not None and compiled.native != _is_native(self, args):
            self._build_cache(*args)
        return call(self, *args)

    return _call_cached_op


def _traced_once(trace: Callable[..., Any]) -> Callable[..., Any]:
    def _get_graph(self: Any, *args: Any) -> Any:
        with _compile_lock:
            return trace(self, *args)

    return _get_graph
