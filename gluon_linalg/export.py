"""Export to plain MXNet files, and back."""

import contextlib
import json
import os
import tempfile
import warnings
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from .blocks.arguments import axis_sizes, bound
from .blocks.base import LinearAlgebraBlock
from .blocks.explaining import listed
from .compilation import compiling
from .deprecation import renamed_arguments
from .errors import DtypeError, ExportError, LinearAlgebraError, ShapeError, listing
from .host_memory import from_loader
from .native import backend_status, use_backend
from .typing import Array, Arrays, Device

# MXNet's codes for dtypes in graph files.
DTYPES = {"0": "float32", "1": "float64"}

# How far the reloaded graph may be from the live block, relative to the largest output: both run
# the same operators, but MXNet may order them differently.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# The same where the live block has native operators: they round differently, which an ill-posed
# problem shows, such as a posterior variance that is a small difference. Beyond this it is told.
BETWEEN_BACKENDS = {"float32": 1e-2, "float64": 1e-6}


def export(
    block: mx.gluon.HybridBlock,
    path: "Union[str, os.PathLike[str]]",
    *examples: Optional[Array],
    **keywords: Optional[Array],
) -> Tuple[str, str]:
    """Writes ``path-symbol.json`` and ``path-0000.params``, checked against the live block.

    block: an initialized HybridBlock; examples: the arrays of one call, in the order of its
    arguments or by their names; the exported graph has no input for what is None. The files load
    in any MXNet 1.9.1 without this package:
    ``SymbolBlock.imports(path + '-symbol.json', input_names, path + '-0000.params')`` with the
    names ``data`` (one input) or ``data0``, ``data1``, ... (A SymbolBlock made by hand needs
    ``mx.sym.var(name, dtype='float64')`` for float64 inputs.) Returns the two file names.

    Nothing is left at `path` unless the reloaded graph reproduces the block on the examples:
    ExportError otherwise.

    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> example = mx.nd.eye(2).expand_dims(0)
    >>> files = gl.export(gl.LogDetBlock(), os.path.join(folder, "model"), example)
    >>> [os.path.basename(file) for file in files]
    ['model-symbol.json', 'model-0000.params']
    """
    path = os.fspath(path)
    if isinstance(block, LinearAlgebraBlock) and (examples or keywords):
        examples = block._received(*examples, **keywords)
    if not examples:
        raise TypeError("export needs example inputs: export(block, path, x, ...).")
    expected = _outputs(block(*examples))
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"export: the folder {folder} does not exist.")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        trial = os.path.join(scratch, "model")
        _write(block, trial, examples)
        inputs = [array for array in examples if array is not None]
        found = _outputs(load(trial)(*inputs))
        if _difference(expected, found, TOLERANCE) and backend_status().native:
            if _is_unique(block):
                _warn_of_rounding(block, _difference(expected, found, BETWEEN_BACKENDS))
            with use_backend("mxnet"):
                expected = _outputs(block(*examples))
        _compare(block, expected, found, TOLERANCE)
        names: List[str] = []
        for ending in ("-0000.params", "-symbol.json"):
            os.replace(trial + ending, path + ending)
            names.insert(0, path + ending)
    symbol_file, parameter_file = names
    return symbol_file, parameter_file


class Input(NamedTuple):
    """An argument of an exported graph. What the file does not tell is None."""

    name: str
    axes: Optional[str]  # of the blocks of this package, such as "B n d"
    dtype: Optional[str]  # that it was exported with
    shape: Optional[Tuple[int, ...]]  # that it was exported with


class LoadedBlock(mx.gluon.SymbolBlock):
    """An exported graph, whose errors name the file and the failing batch elements.

    `inputs` tells what it takes, a tuple of `Input`: arrays by position or by name, of the dtype
    that they had in the export.
    """

    path: str
    inputs: Tuple[Input, ...] = ()

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if not any(isinstance(arg, mx.sym.Symbol) for arg in args):
            args = self._received(args, keywords)
        return super().__call__(*args)

    def forward(self, *args: Array) -> Any:
        try:
            outputs = super().forward(*args)
            if isinstance(args[0], mx.nd.NDArray):
                _wait(outputs)
        except LinearAlgebraError as error:
            where = "" if isinstance(error, ShapeError) else self._failing(args)
            raise type(error)(f"{self.path}: {error}{where}") from None
        except mx.base.MXNetError as error:
            if "Error in operator" not in str(error):
                raise
            raise ShapeError(f"{self.path}: {self._misfit(args)} {error}") from None
        return outputs

    def check_cast(self, dtype: str) -> None:
        """Not possible: numbers and operators of the graph belong to its dtype."""
        if any(own.dtype not in (None, dtype) for own in self.inputs):
            raise DtypeError(
                f"{self.path}: cannot cast to {dtype}; cast the block and export it again."
            )

    def _received(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Tuple[Any, ...]:
        rules = [(own.name, own.axes or "any axes") for own in self.inputs]
        args = bound(self.path, rules, len(rules), args, keywords)
        args = tuple(from_loader(array) for array in args)
        for array, own in zip(args, self.inputs):
            given = np.dtype(array.dtype).name
            if own.dtype not in (None, given):
                raise DtypeError(
                    f"{self.path}: '{own.name}' is {given}, but the model was exported with "
                    f"{own.dtype}: use array.astype('{own.dtype}')."
                )
        known = [(own.name, own.axes, a.shape) for a, own in zip(args, self.inputs) if own.axes]
        axis_sizes(self.path, known)
        return args

    def _misfit(self, args: Sequence[Any]) -> str:
        given = ", ".join(f"'{own.name}' {a.shape}" for a, own in zip(args, self.inputs))
        made = ", ".join(f"{own.shape}" for own in self.inputs)
        return f"the graph does not take {given}; it was exported with {made}."

    def _failing(self, args: Sequence[Any]) -> str:
        """Which batch elements fail by themselves, in words."""
        count = len(args[0])
        if any(len(array) != count for array in args):
            return ""
        failed = [i for i in range(count) if self._fails([array[i : i + 1] for array in args])]
        return f" It is in batch element {listing(failed)} of {count}." if failed else ""

    def _fails(self, args: Sequence[Any]) -> bool:
        try:
            _wait(super().forward(*args))
        except LinearAlgebraError:
            return True
        except mx.base.MXNetError:
            # A model that is bound to its batch size: nothing can be told of one element.
            return False
        return False


@renamed_arguments(ctx="device")
def load(path: "Union[str, os.PathLike[str]]", device: Optional[Device] = None) -> LoadedBlock:
    """The block that `export` wrote to `path`, with the same arguments: a `LoadedBlock`.

    device: where its parameters go, such as ``mx.gpu(0)``; the current one if left out. It has the
    dtype of the export, and refuses another with a DtypeError, shapes that do not fit
    with a ShapeError. Raises FileNotFoundError, and ValueError or MXNetError for damaged ones.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model")
    >>> _ = gl.export(gl.LogDetBlock(), path, mx.nd.eye(2).expand_dims(0))
    >>> round(gl.load(path)(2.0 * mx.nd.eye(2).expand_dims(0)).asscalar().item(), 4)  # log 4
    1.3863
    """
    path = os.fspath(path)
    symbol_file, parameter_file = f"{path}-symbol.json", f"{path}-0000.params"
    for name in (symbol_file, parameter_file):
        if not os.path.exists(name):
            raise FileNotFoundError(f"load: there is no file {name}.")
    symbol = _graph(symbol_file)
    stored = {key.split(":", 1)[1] for key in mx.nd.load(parameter_file)}
    names = sorted(set(symbol.list_inputs()) - stored, key=lambda name: (len(name), name))
    attributes = symbol.attr_dict()
    inputs = tuple(_input(name, attributes.get(name, {})) for name in names)
    variables = [mx.sym.var(name, dtype=own.dtype) for name, own in zip(names, inputs)]
    block = LoadedBlock(symbol, variables)
    block.path, block.inputs = path, inputs
    parameters = block.collect_params()
    parameters.load(parameter_file, ctx=device, cast_dtype=True, dtype_source="saved")
    for name, parameter in parameters.items():
        if attributes.get(name, {}).get("__grad_req__") == "null":
            parameter.grad_req = "null"
    return block


def _graph(name: str) -> mx.sym.Symbol:
    try:
        return mx.sym.load(name)
    # MXNet's message has bytes of memory where the text ends too early.
    except (mx.base.MXNetError, UnicodeDecodeError):
        raise ValueError(f"load: {name} is damaged, or no graph of MXNet's.") from None


def _input(name: str, attributes: Mapping[str, str]) -> Input:
    told = json.loads(attributes.get("__argument__", "{}"))
    shape = told.get("shape")
    return Input(
        told.get("name", name),
        told.get("axes"),
        DTYPES.get(attributes.get("__dtype__", "")),
        None if shape is None else tuple(shape),
    )


def _write(block: mx.gluon.HybridBlock, path: str, examples: Sequence[Optional[Array]]) -> None:
    """The two files, traced anew: no dtype or shape of an earlier call is left in the graph.

    The block and what it has compiled stay as they are, also for other threads that call it.
    """
    inputs = [Input(f"data{i}", None, None, None) for i in range(len(examples))]
    own = isinstance(block, LinearAlgebraBlock)
    if own:
        inputs = [Input(name, axes, None, None) for name, axes in block.arguments[: len(examples)]]
    inputs = [
        one._replace(dtype=np.dtype(a.dtype).name, shape=a.shape)
        for one, a in zip(inputs, examples)
        if a is not None
    ]
    names = ["data"] if len(inputs) == 1 else [f"data{i}" for i in range(len(inputs))]
    symbols = iter(mx.sym.var(name) for name in names)
    parameters = block.collect_params()
    with compiling(), block.tracing(*examples) if own else contextlib.nullcontext():
        for parameter in parameters.values():
            parameter._var = None
        outputs = block(*(None if array is None else next(symbols) for array in examples))
    symbol = mx.sym.Group(listed(outputs))
    symbol.save(f"{path}-symbol.json")
    arrays = {f"arg:{name}": name for name in symbol.list_arguments()}
    arrays.update({f"aux:{name}": name for name in symbol.list_auxiliary_states()})
    values = {k: parameters[v]._reduce() for k, v in arrays.items() if v in parameters}
    mx.nd.save(f"{path}-0000.params", values)
    _record(parameters, f"{path}-symbol.json", dict(zip(names, inputs)))


def _record(parameters: Mapping[str, Any], symbol_file: str, inputs: Mapping[str, Input]) -> None:
    """Adds what MXNet leaves out of the file: what inputs are, and what is not trained."""
    codes = {name: code for code, name in DTYPES.items()}
    try:
        with open(symbol_file) as file:
            graph = json.load(file)
    except ValueError:
        # MXNet does not report a full disk.
        raise OSError(f"export: {symbol_file} is not whole; is the disk full?") from None
    for node in graph["nodes"]:
        if node["op"] != "null":
            continue
        attributes = node.setdefault("attrs", {})
        if attributes.get("__init__", "").startswith("Constant_"):
            # A name of an object of this process, with its address: the value is in the other file.
            del attributes["__init__"]
        if node["name"] in inputs:
            own = inputs[node["name"]]
            if own.dtype in codes:
                attributes["__dtype__"] = codes[own.dtype]
            told = {"name": own.name, "axes": own.axes, "shape": own.shape}
            attributes["__argument__"] = json.dumps(told)
        elif node["name"] in parameters and parameters[node["name"]].grad_req == "null":
            attributes["__grad_req__"] = "null"
    with open(symbol_file, "w") as file:
        json.dump(graph, file, indent=2)


def _wait(result: Arrays) -> None:
    for array in listed(result):
        array.wait_to_read()


def _outputs(result: Arrays) -> List[np.ndarray]:
    return [array.asnumpy() for array in listed(result)]


def _is_unique(block: mx.gluon.HybridBlock) -> bool:
    """Whether nothing of a block has other results that are as right: vectors of equal values."""
    unique: List[bool] = []
    block.apply(lambda part: unique.append(getattr(part, "unique", True)))
    return all(unique)


def _compare(
    block: mx.gluon.HybridBlock,
    expected: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    tolerance: Mapping[str, float],
) -> None:
    difference = _difference(expected, found, tolerance)
    if difference:
        raise ExportError(
            f"export: {difference.format(block.name)} relative to its largest element; nothing "
            "was written."
        )


def _warn_of_rounding(block: mx.gluon.HybridBlock, difference: str) -> None:
    if difference:
        warnings.warn(
            f"export: {difference.format(block.name)} with native operators, relative to its "
            "largest element: so much of it is rounding. Compute in float64.",
            RuntimeWarning,
            stacklevel=3,
        )


def _difference(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray], tolerance: Mapping[str, float]
) -> str:
    """What differs by more than the tolerance, in words with a place for a name; else nothing."""
    for index, (live, loaded) in enumerate(zip(expected, found)):
        dtype = live.dtype.name
        # Variances that the example leaves open are infinite in both.
        is_open = np.isinf(live) & (live == loaded)
        live, loaded = np.where(is_open, 0.0, live), np.where(is_open, 0.0, loaded)
        scale = np.abs(live).max() or 1.0
        difference = np.abs(live - loaded).max() / scale
        if not difference <= tolerance[dtype]:
            return f"output {index} of the exported graph differs from {{}} by {difference:.2g}"
    return ""
