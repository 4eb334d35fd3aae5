"""Which operators a block's exported graph consists of, and whether a GPU has them."""

import json
import os

import mxnet as mx

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
    """Every operator of the graph, and of its gradient, is among those with a GPU version."""
    needed = operators(factory, inputs, dtype, folder)
    registered = set(mx.operator.get_all_registered_operators())
    backward = {f"_backward{op}" for op in needed} | {f"_backward_{op}" for op in needed}
    missing = (needed | (backward & registered)) - GPU_OPERATORS
    assert not missing, f"no GPU version in MXNet 1.9.1: {sorted(missing)}"
