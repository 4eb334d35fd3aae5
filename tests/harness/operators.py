"""Which operators a block's exported graph consists of, and whether a GPU has them."""

import json
import os

import gluon_linalg as gl

from .modes import arrays, build

with open(os.path.join(os.path.dirname(__file__), "gpu_operators.txt")) as _file:
    GPU_OPERATORS = frozenset(_file.read().split())


def operators(factory, inputs, dtype, folder):
    """The names of the operators in the exported graph."""
    path = os.path.join(str(folder), "graph")
    gl.export(build(factory, dtype, inputs), path, *arrays(inputs, dtype))
    with open(path + "-symbol.json") as file:
        nodes = json.load(file)["nodes"]
    return {node["op"] for node in nodes if node["op"] != "null"}


def assert_runs_on_gpu(factory, inputs, dtype, folder):
    """Every operator, and its backward, is in the list of operators that have a GPU version."""
    missing = operators(factory, inputs, dtype, folder) - GPU_OPERATORS
    assert not missing, f"no GPU version in MXNet 1.9.1: {sorted(missing)}"
