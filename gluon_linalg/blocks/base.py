"""What every block shares: checks at the call, errors that name the block, dtype and devices."""

import contextlib
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..compilation import Lock, compiling, without_hooks
from ..errors import ContextError, DtypeError, LinearAlgebraError
from ..host_memory import from_loader
from ..native import applies
from ..typing import Array, Device, Rules
from .arguments import axis_sizes, bound, data_dtype, from_data
from .casting import FLOATS, check_casts, dtype_name
from .explaining import explain, has_nan, listed
from .parameters import parameters_of


class LinearAlgebraBlock(mx.gluon.HybridBlock):
    """A HybridBlock that checks its arguments and names itself when something fails.

    `arguments` is the shape rule of a subclass and is checked whenever real arrays come in: pairs
    of a name and a string of axes such as ``(("x", "B n d"), ("y", "B n"))``; the same letter must
    be the same size everywhere, or may be 1 as well where it is followed by ``?``. Arguments after
    the first `required` ones may be left out, and any may be passed by its name.
    """

    # Whether the loss is that of a bound on the likelihood, and what is trained to make it tight.
    bounds_likelihood = False
    auxiliary: Tuple[str, ...] = ()

    arguments: Rules = ()
    required: Optional[int] = None
    # False where a call has several right results: vectors of equal eigenvalues, for one.
    unique = True
    # What the block was cast to; None where it takes the dtype of its inputs.
    _dtype: Optional[str] = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._lock = Lock()
        self._pattern: Optional[Tuple[bool, ...]] = None

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        args = self._bound(args, keywords)
        if not any(isinstance(arg, mx.sym.Symbol) for arg in args):
            args = self._received(*args)
        return super().__call__(*args)

    def forward(self, *args: Optional[Array]) -> Any:
        if isinstance(args[0], mx.sym.Symbol):
            with self.name_scope():
                own = [self._of_own_dtype(*pair) for pair in zip(self.arguments, args)]
            return super().forward(*own)
        if not self._active:
            self._settle_shapes(args)
            return self._imperatively(args)
        if self._is_one_operator(args):
            return self._imperatively(args)
        # Read the result at once: a failure is raised here, not wherever it is read later, and a
        # second, imperative run names the block and the batch element. One thread at a time: calls
        # of a static graph share its memory, and with it a failure.
        try:
            outputs, failed = self._run(args)
        except LinearAlgebraError:
            explain(self, *args)
            raise
        if failed:
            explain(self, *args)
        return outputs

    def _imperatively(self, args: Sequence[Any]) -> Any:
        """Gluon's `forward` of arrays, without asking again whether the block is compiled.

        Another thread, which had it run imperatively, may have changed that meanwhile, and what is
        compiled would be returned unchecked.
        """
        device = args[0].context
        try:
            stored = {name: p.data(device) for name, p in self._reg_params.items()}
        except mx.gluon.parameter.DeferredInitializationError:
            return super().forward(*args)
        with device:
            return self.hybrid_forward(mx.nd, *args, **stored)

    def _is_one_operator(self, args: Sequence[Any]) -> bool:
        """Whether the compiled graph for such a call is a native operator and nothing else."""
        compiled = self._cached_op
        if compiled is None or not compiled.is_one_operator:
            return False
        return self._pattern == self._pattern_of(args) and applies(mx.nd, args[0])

    def _run(self, args: Sequence[Any]) -> Tuple[Any, bool]:
        """The outputs of a compiled call, and whether they have NaN."""
        with self._lock:
            self._compile_anew_for(self._pattern_of(args))
            try:
                # What Gluon's `forward` comes to for arrays that were checked.
                with args[0].context:
                    outputs = self._call_cached_op(*args)
                return outputs, has_nan(outputs)
            except LinearAlgebraError:
                # Before another thread calls it: the memory of a static graph keeps the error.
                self._clear_cached_op()
                raise

    def name_scope(self) -> Any:
        """As Gluon's, but several threads may be in it at once."""
        scope = type(self._scope)(self)
        scope._counter = self._scope._counter
        return scope

    def cast(self, dtype: Any) -> None:
        """Casts to 'float32' or 'float64', before or after the first call.

        From then on the block takes arrays of this dtype only.
        """
        check_casts(self, dtype)
        super().cast(np.dtype(dtype).name)
        self._dtype = np.dtype(dtype).name
        for parameter in self.collect_params().values():
            # A symbol made before the cast would keep the old dtype in an exported graph.
            parameter._var = None

    def check_cast(self, dtype: str) -> None:
        """Raises DtypeError or TypeError where a cast to `dtype`, 'float32' or 'float64', fails."""

    @property
    def dtype(self) -> Optional[str]:
        """The dtype of the parameters, 'float32' or 'float64'; None for a block without any."""
        for parameter in self.collect_params().values():
            return np.dtype(parameter.dtype).name
        return None

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        """Further rules on the sizes of the axes, a dict of letters; raises ShapeError."""

    def _bound(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Tuple[Any, ...]:
        """The arguments of a call in their order."""
        least = len(self.arguments) if self.required is None else self.required
        return bound(self.name, self.arguments, least, args, keywords)

    def _received(self, *args: Any, **keywords: Any) -> Tuple[Any, ...]:
        """The arrays of a call in their order, checked, and on the device of the parameters."""
        args = tuple(from_loader(array) for array in self._bound(args, keywords))
        self._check(args)
        return args

    def _data(self, *args: Any, **keywords: Any) -> Tuple[Any, ...]:
        """The arguments of `condition` and the like in their order, checked: `_from_data`."""
        args = self._from_data(*args, **keywords)
        self._check(args)
        return args

    def _all_data(self, *args: Any, **keywords: Any) -> Tuple[Any, ...]:
        """`_data` with None for each argument that is not given."""
        found = self._data(*args, **keywords)
        return found + (None,) * (len(self.arguments) - len(found))

    def _from_data(
        self, *args: Any, dtype: Optional[str] = None, **keywords: Any
    ) -> Tuple[Any, ...]:
        """Data as people have them, as NDArrays: the one rule of all that is fitted to data.

        Each is an NDArray, or what `numpy.asarray` takes, with or without the batch axis, and is
        brought to `dtype`: if None, to that of the block, or where it has none to that of the
        first argument.
        """
        args = self._bound(args, keywords)
        dtype = dtype or self._data_dtype() or data_dtype(args[0])
        device = self._data_device(args)
        data = tuple(
            None if value is None else from_data(self.name, *rule, value, dtype, device)
            for rule, value in zip(self.arguments, args)
        )
        axis_sizes(
            self.name, [(*rule, a.shape) for rule, a in zip(self.arguments, data) if a is not None]
        )
        return data

    def _data_dtype(self) -> Optional[str]:
        """What the block was cast to, or the dtype of what it learns; None: that of the data."""
        learned = (p for p in self.collect_params().values() if p._differentiable)
        return self._dtype or next((np.dtype(p.dtype).name for p in learned), None)

    def _data_device(self, args: Sequence[Any]) -> Device:
        """Where NumPy arrays go: where an NDArray is, or the parameters are."""
        for array in args:
            if isinstance(array, mx.nd.NDArray):
                return from_loader(array).context
        for parameter in self.collect_params().values():
            if parameter._data is not None:
                return parameter.list_ctx()[0]
        return mx.current_context()

    def _get_graph(self, *args: Any) -> Any:
        """Gluon's, but traced by `forward`, so that the graph begins with the check of dtypes."""
        with compiling(), self.tracing(*args):
            if not self._cached_graph:
                count = sum(arg is not None for arg in args)
                names = iter(["data"] if count == 1 else [f"data{i}" for i in range(count)])
                inputs = [None if arg is None else mx.sym.var(next(names)) for arg in args]
                # What has native operators runs in `forward` alone, which has checked the dtypes.
                symbols = [symbol for symbol in inputs if symbol is not None]
                checked = applies(mx.sym, symbols[0])
                outputs = (super().forward if checked else self.forward)(*inputs)
                self._in_format = [-1 if arg is None else 0 for arg in args]
                self._out_format = [0] * len(outputs) if isinstance(outputs, (list, tuple)) else 0
                self._cached_graph: Any = (symbols, mx.sym.Group(listed(outputs)))
        return self._cached_graph

    @contextlib.contextmanager
    def tracing(self, *arrays: Optional[mx.nd.NDArray]) -> Iterator[None]:
        """Inside it a graph is traced for calls with arrays of these shapes."""
        yield

    def _pattern_of(self, args):
        """What a compiled graph is made for."""
        return tuple(arg is not None for arg in args)

    def _compile_anew_for(self, pattern: Tuple[bool, ...]) -> None:
        """Gluon compiles for the arguments of the first call, and refuses others."""
        if self._pattern != pattern:
            self._clear_cached_op()
            self._pattern = pattern

    def _settle_shapes(self, args: Sequence[Any]) -> None:
        """Makes the parameters whose shapes were deferred, in one thread while others wait."""
        parameters = self.collect_params().values()
        if all(parameter._data is not None for parameter in parameters):
            return
        with compiling():
            if not any(parameter._deferred_init for parameter in parameters):
                return
            try:
                with without_hooks(self):
                    self._deferred_infer_shape(*args)
                for parameter in parameters:
                    parameter._finish_deferred_init()
            except (ValueError, AssertionError):
                # Gluon's own way, which follows, tells what cannot be inferred.
                pass
            finally:
                self._clear_cached_op()

    def _input_dtype(self) -> Optional[str]:
        """The only dtype that the block takes, or None: that of its parameters or last cast."""
        return self.dtype or self._dtype

    def _of_own_dtype(self, argument: Tuple[str, str], symbol: Optional[Array]) -> Optional[Array]:
        dtype = self._input_dtype()
        if symbol is None or dtype is None:
            return symbol
        return fn.require_dtype(mx.sym, symbol, dtype, self.name, argument[0])

    def _check(self, args: Sequence[Any]) -> None:
        given = self._given(args)
        self._check_alike("dtype", given, [dtype_name(a.dtype) for _, _, a in given], DtypeError)
        self._check_alike("device", given, [a.context for _, _, a in given], ContextError)
        self._check_parameters(given[0][2])
        self._check_sizes_of(given)

    def _check_sizes(self, args: Sequence[Any]) -> None:
        self._check_sizes_of(self._given(args))

    def _check_sizes_of(self, given: Sequence[Tuple[str, str, Any]]) -> None:
        shapes = [(name, axes, array.shape) for name, axes, array in given]
        self.check_shapes(axis_sizes(self.name, shapes))

    def _given(self, args: Sequence[Any]) -> List[Tuple[str, str, Any]]:
        given = [(*rule, array) for rule, array in zip(self.arguments, args) if array is not None]
        for name, _, array in given:
            self._check_array(name, array)
        return given

    def _check_array(self, name: str, array: Any) -> None:
        if isinstance(array, mx.np.ndarray) or mx.util.is_np_array():
            raise TypeError(
                f"{self.name}: works on mx.nd arrays; MXNet's NumPy mode is on or '{name}' is an "
                "mx.np array. Call mx.npx.reset_np() and pass array.as_nd_ndarray()."
            )
        if not isinstance(array, mx.nd.NDArray):
            raise TypeError(
                f"{self.name}: '{name}' is a {type(array).__name__}, expected an mx.nd.NDArray: "
                "mx.nd.array(values, dtype='float64')."
            )
        if dtype_name(array.dtype) not in FLOATS:
            raise DtypeError(
                f"{self.name}: '{name}' is {dtype_name(array.dtype)}; linear algebra needs "
                "float32 or float64: use array.astype('float32')."
            )

    def _check_alike(
        self,
        what: str,
        given: Sequence[Tuple[str, str, Any]],
        values: Sequence[Any],
        error: Type[Exception],
    ) -> None:
        if values.count(values[0]) != len(values):
            listing = ", ".join(f"'{name}' is {value}" for (name, *_), value in zip(given, values))
            raise error(f"{self.name}: mixed {what}s: {listing}. Bring all to one {what}.")

    def _check_parameters(self, array: Array) -> None:
        dtype = dtype_name(array.dtype)
        remedy = f"Call {self.name}.cast('{dtype}') or convert the inputs."
        parameters = parameters_of(self)
        for parameter in parameters:
            if dtype_name(parameter.dtype) != dtype:
                raise DtypeError(
                    f"{self.name}: the inputs are {dtype} and parameter '{parameter.name}' is "
                    f"{dtype_name(parameter.dtype)}. {remedy}"
                )
            if parameter._data is not None and array.context not in parameter.list_ctx():
                raise ContextError(
                    f"{self.name}: the inputs are on {array.context} and parameter "
                    f"'{parameter.name}' is on {parameter.list_ctx()}. Use "
                    f"collect_params().reset_ctx({array.context}) or array.as_in_context(...)."
                )
        if not parameters and self._dtype not in (None, dtype):
            raise DtypeError(
                f"{self.name}: the inputs are {dtype} and the block is {self._dtype}. {remedy}"
            )
