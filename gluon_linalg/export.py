"""Export to plain MXNet files, and back."""

import json
import os
import tempfile

import numpy as np

from ._runtime import import_mxnet
from .blocks.base import listed
from .errors import ExportError, LinearAlgebraError, listing

mx = import_mxnet()

# MXNet's codes for dtypes in graph files.
DTYPES = {"0": "float32", "1": "float64"}

# How far the reloaded graph may be from the live block, relative to the largest output: both run
# the same operators, but MXNet may order them differently.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def export(block, path, *examples):
    """Writes ``path-symbol.json`` and ``path-0000.params``, checked against the live block.

    block: an initialized HybridBlock; examples: the arrays of one call, in the order of its
    arguments; the exported graph has no input for what is None. The files load in any MXNet 1.9.1
    without this package:
    ``SymbolBlock.imports(path + '-symbol.json', input_names, path + '-0000.params')`` with the
    names ``data`` (one input) or ``data0``, ``data1``, ... (A SymbolBlock made by hand needs
    ``mx.sym.var(name, dtype='float64')`` for float64 inputs.) Returns the two file names.

    Nothing is left at `path` unless the reloaded graph reproduces the block on the examples:
    ExportError otherwise.
    """
    if not examples:
        raise TypeError("export needs example inputs: export(block, path, x, ...).")
    expected = _outputs(block(*examples))
    inputs = [array for array in examples if array is not None]
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"export: the folder {folder} does not exist.")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        trial = os.path.join(scratch, "model")
        _write(block, trial, examples)
        _compare(block, expected, _outputs(load(trial)(*inputs)))
        names = []
        for ending in ("-0000.params", "-symbol.json"):
            os.replace(trial + ending, path + ending)
            names.insert(0, path + ending)
    return tuple(names)


class LoadedBlock(mx.gluon.SymbolBlock):
    """An exported graph, whose errors name the file and the failing batch elements."""

    path = None

    def forward(self, *args):
        outputs = super().forward(*args)
        if isinstance(args[0], mx.nd.NDArray):
            try:
                _wait(outputs)
            except LinearAlgebraError as error:
                raise type(error)(f"{self.path}: {error}{self._failing(args)}") from None
        return outputs

    def _failing(self, args):
        """Which batch elements fail by themselves, in words."""
        count = len(args[0])
        if any(len(array) != count for array in args):
            return ""
        failed = [i for i in range(count) if self._fails([array[i : i + 1] for array in args])]
        return f" It is in batch element {listing(failed)} of {count}." if failed else ""

    def _fails(self, args):
        try:
            _wait(super().forward(*args))
        except LinearAlgebraError:
            return True
        except mx.base.MXNetError:
            # A model that is bound to its batch size: nothing can be told of one element.
            return False
        return False


def load(path, ctx=None):
    """The block that `export` wrote to `path`, with the same arguments."""
    symbol_file, parameter_file = f"{path}-symbol.json", f"{path}-0000.params"
    for name in (symbol_file, parameter_file):
        if not os.path.exists(name):
            raise FileNotFoundError(f"load: there is no file {name}.")
    symbol = mx.sym.load(symbol_file)
    stored = {key.split(":", 1)[1] for key in mx.nd.load(parameter_file)}
    names = sorted(set(symbol.list_inputs()) - stored, key=lambda name: (len(name), name))
    attributes = symbol.attr_dict()
    codes = [attributes.get(name, {}).get("__dtype__") for name in names]
    inputs = [mx.sym.var(name, dtype=DTYPES.get(code)) for name, code in zip(names, codes)]
    block = LoadedBlock(symbol, inputs)
    block.path = path
    parameters = block.collect_params()
    parameters.load(parameter_file, ctx=ctx, cast_dtype=True, dtype_source="saved")
    for name, parameter in parameters.items():
        if attributes.get(name, {}).get("__grad_req__") == "null":
            parameter.grad_req = "null"
    return block


def _write(block, path, examples):
    """Traces anew, so that no dtype or shape of an earlier call is left in the graph."""
    for parameter in block.collect_params().values():
        parameter._var = None
    was_active, flags = block._active, block._flags
    block._clear_cached_op()
    try:
        block._active, block._flags = True, []
        block(*examples)
        block.export(path)
    finally:
        block._active, block._flags = was_active, flags
        block._clear_cached_op()
    _record(
        block, f"{path}-symbol.json", [np.dtype(a.dtype).name for a in examples if a is not None]
    )


def _record(block, symbol_file, dtypes):
    """Adds what MXNet leaves out of the file: the dtypes of inputs, and what is not trained."""
    names = ["data"] if len(dtypes) == 1 else [f"data{i}" for i in range(len(dtypes))]
    codes = {name: code for code, name in DTYPES.items()}
    parameters = block.collect_params()
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
        if node["name"] in names:
            attributes["__dtype__"] = codes[dtypes[names.index(node["name"])]]
        elif node["name"] in parameters and parameters[node["name"]].grad_req == "null":
            attributes["__grad_req__"] = "null"
    with open(symbol_file, "w") as file:
        json.dump(graph, file, indent=2)


def _wait(result):
    for array in listed(result):
        array.wait_to_read()


def _outputs(result):
    return [array.asnumpy() for array in listed(result)]


def _compare(block, expected, found):
    for index, (live, loaded) in enumerate(zip(expected, found)):
        scale = np.abs(live).max() or 1.0
        difference = np.abs(live - loaded).max() / scale
        if not difference <= TOLERANCE[live.dtype.name]:
            raise ExportError(
                f"export: output {index} of the exported graph differs from {block.name} by "
                f"{difference:.2g} relative to its largest element; nothing was written."
            )
