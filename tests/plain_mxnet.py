"""What plain MXNet makes of exported files: a process that imports no more than it and numpy."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from gluon_linalg import _runtime

# Started once, it answers one call a line.
PROGRAM = """
import builtins, json, sys
import numpy as np
# What numpy 1.24 and later lack and MXNet asks for.
for name in ("bool", "int", "float", "object", "complex", "str"):
    name in vars(np) or setattr(np, name, getattr(builtins, name))
import mxnet as mx
for line in sys.stdin:
    path, folder, count, dtype = json.loads(line)
    names = ["data"] if count == 1 else [f"data{i}" for i in range(count)]
    model = mx.gluon.SymbolBlock.imports(path + "-symbol.json", names, path + "-0000.params")
    given = np.load(folder + "/plain-in.npz").values()
    outputs = model(*[mx.nd.array(value, dtype=dtype) for value in given])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    np.savez(folder + "/plain-out.npz", *[output.asnumpy() for output in outputs])
    assert not any(name.startswith("gluon_linalg") for name in sys.modules)
    print("done", flush=True)
"""


def run_plain(path, inputs, dtype, tmp_path):
    """The outputs of the files at `path`, a list."""
    process, errors = started()
    np.savez(tmp_path / "plain-in.npz", *inputs)
    call = [str(path), str(tmp_path), len(inputs), dtype]
    process.stdin.write(json.dumps(call) + "\n")
    process.stdin.flush()
    if process.stdout.readline() != "done\n":
        started.cache_clear()
        process.wait()
        errors.seek(0)
        raise AssertionError(errors.read())
    return list(np.load(tmp_path / "plain-out.npz").values())


@functools.lru_cache(maxsize=None)
def started():
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=errors, cwd=tempfile.mkdtemp(), text=True,
        # With the kernels of OpenBLAS that this process has, so that it rounds alike.
        env={**os.environ, "OPENBLAS_CORETYPE": _runtime._kernels() or ""},
    )  # fmt: skip
    atexit.register(process.kill)
    return process, errors
