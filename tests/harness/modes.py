"""Value and gradients of a block in the five execution modes, with both backends."""

import contextlib
import os
from collections import namedtuple

import mxnet as mx
import numpy as np

import gluon_linalg as gl

MODES = {
    "imperative": None,
    "hybridized": {},
    "static_alloc": {"static_alloc": True},
    "static_shape": {"static_alloc": True, "static_shape": True},
    "exported": {},
    # The others have operators in C++ where they are there; an exported graph has MXNet's own.
    "mxnet": None,
}

# outputs: list of arrays; gradients: by input position or parameter name (its tail, without the
# numbers that Gluon gives to blocks).
Result = namedtuple("Result", ["outputs", "gradients"])


def context():
    """The device under test: GLUON_LINALG_TEST_CTX=gpu runs everything on the first GPU."""
    return mx.gpu(0) if os.environ.get("GLUON_LINALG_TEST_CTX") == "gpu" else mx.cpu()


def build(factory, dtype, example):
    """A fresh, initialized block of the dtype, with deferred shapes settled."""
    mx.random.seed(7)
    block = factory()
    block.initialize(ctx=context())
    block.cast(dtype)
    block(*arrays(example, dtype))
    return block


def arrays(inputs, dtype):
    return [mx.nd.array(value, dtype=dtype, ctx=context()) for value in inputs]


def in_mode(block, mode, example, folder):
    """`block` made ready to run in `mode`; for 'exported' what is loaded from its files."""
    if MODES[mode] is None:
        return block
    if mode == "exported":
        path = os.path.join(str(folder), "model")
        gl.export(block, path, *example)
        block = gl.load(path, context())
    block.hybridize(**MODES[mode])
    return block


def evaluate(block, inputs, weights, grad_req="write", constants=(), repeats=1):
    """Outputs of `block` and the gradients of Σ weights ∘ outputs.

    inputs: NDArrays, which get gradients except those whose position is in `constants`.
    """
    for position, array in enumerate(inputs):
        array.attach_grad("null" if position in constants else grad_req)
    parameters = block.collect_params()
    for parameter in parameters.values():
        if parameter.grad_req != "null":
            parameter.grad_req = grad_req
            parameter.zero_grad()
    for _ in range(repeats):
        with mx.autograd.record():
            outputs = block(*inputs)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            loss = sum((output * w).sum() for output, w in zip(outputs, weights) if w is not None)
        loss.backward()
    gradients = {
        position: array.grad.asnumpy()
        for position, array in enumerate(inputs)
        if position not in constants
    }
    for name, parameter in parameters.items():
        if parameter.grad_req != "null":
            gradients[name] = parameter.grad(context()).asnumpy()
    return Result([output.asnumpy() for output in outputs], gradients)


def cotangents(outputs, dtype, seed=3):
    """Random weights, one array for each output."""
    random = np.random.RandomState(seed)
    return arrays([random.uniform(0.5, 1.5, size=output.shape) for output in outputs], dtype)


def run_modes(factory, inputs, dtype, folder, only=None):
    """{mode: Result} of one block on the same inputs, each from the same parameters."""
    results = {}
    live = build(factory, dtype, inputs)
    start = {p: p.data(context()).copy() for p in live.collect_params().values()}
    for mode in only or MODES:
        live.hybridize(False)
        # Running averages move with each call.
        for parameter, value in start.items():
            parameter.set_data(value)
        example = arrays(inputs, dtype)
        with gl.use_backend("mxnet") if mode == "mxnet" else contextlib.nullcontext():
            block = in_mode(live, mode, example, folder)
            outputs = block(*example)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            for output in outputs:
                found = np.dtype(output.dtype).name
                assert found == dtype, f"{found} output of {dtype} inputs, {mode}"
            weights = cotangents(outputs, dtype)
            results[mode] = stable_names(evaluate(block, example, weights))
    return results


def stable_names(result):
    """Parameter gradients in order of creation, since Gluon numbers every block anew."""
    inputs = {k: v for k, v in result.gradients.items() if isinstance(k, int)}
    named = sorted((k for k in result.gradients if not isinstance(k, int)), key=_creation_order)
    inputs.update({f"parameter {i}": result.gradients[k] for i, k in enumerate(named)})
    return Result(result.outputs, inputs)


def _creation_order(name):
    parts = []
    for piece in name.split("_"):
        head = piece.rstrip("0123456789")
        parts.append((head, int(piece[len(head) :] or 0)))
    return parts


def assert_same(found, expected, tolerance, what):
    """Outputs and gradients agree, relative to the largest element of each array."""
    pairs = [(f"output {i}", a, b) for i, (a, b) in enumerate(zip(found.outputs, expected.outputs))]
    assert found.gradients.keys() == expected.gradients.keys(), what
    pairs += [
        (f"gradient of {key}", found.gradients[key], expected.gradients[key])
        for key in expected.gradients
    ]
    for name, a, b in pairs:
        difference = relative_difference(a, b)
        assert difference <= tolerance, f"{what}: {name} differs by {difference:.3g} (relative)"


def relative_difference(a, b):
    a, b = np.asarray(a, dtype="float64"), np.asarray(b, dtype="float64")
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    assert np.isfinite(b).all(), "the expected array is not finite"
    scale = np.abs(b).max() or 1.0
    difference = np.abs(a - b).max() / scale
    return difference if np.isfinite(difference) else np.inf
