"""Value and gradients of a block in the five execution modes, with both backends."""

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
}

# outputs: list of arrays; gradients: by input position or parameter.
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
    if any(p.shape is None or 0 in p.shape for p in block.collect_params().values()):
        block(*arrays(example, dtype))
    return block


def arrays(inputs, dtype):
    return [mx.nd.array(value, dtype=dtype, ctx=context()) for value in inputs]


def in_mode(block, mode, example, folder):
    """`block` made ready to run in `mode`; for 'exported' what is loaded from its files."""
    if mode == "imperative":
        return block
    if mode == "exported":
        path = os.path.join(str(folder), "model")
        gl.export(block, path, *example)
        block = gl.load(path, context())
    block.hybridize(**MODES[mode])
    return block


def evaluate(block, inputs, weights=None, grad_req="write", constants=(), repeats=1):
    """Outputs of `block` and the gradients of Σ weights ∘ outputs.

    inputs: NDArrays, which get gradients except those whose position is in `constants`; weights:
    unless given, those of `cotangents`.
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
            outputs = listed(block(*inputs))
            weights = cotangents(outputs) if weights is None else weights
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


def cotangents(outputs, seed=3):
    """Random weights, one array for each output."""
    random = np.random.RandomState(seed)
    weights = [random.uniform(0.5, 1.5, size=output.shape) for output in outputs]
    return arrays(weights, outputs[0].dtype)


def run_modes(factory, inputs, dtype, folder):
    """{mode: Result} of one block on the same inputs, each from the same parameters."""
    runs = run_cases(factory, [inputs], dtype, folder)
    return {mode: recorded for mode, ((_, recorded),) in runs.items()}


def run_cases(factory, cases, dtype, folder):
    """{mode: for each case the Results without and with gradients}, from the same parameters.

    One block is compiled, or exported, for all cases, whatever their shapes; imperatively a fresh
    one runs each. Where these modes have operators in C++, two more have MXNet's own, as exported
    graphs have.
    """
    blocks = [build(factory, dtype, inputs) for inputs in cases]
    # A block that was exported and loaded has them in another order.
    names = list(blocks[0].collect_params())
    runs = {"imperative": [_run(block, inputs, dtype) for block, inputs in zip(blocks, cases)]}

    def add(name, mode):
        blocks[0].hybridize(False)
        block = in_mode(blocks[0], mode, arrays(cases[0], dtype), folder)
        runs[name] = [_run(block, inputs, dtype, names) for inputs in cases]

    for mode in MODES:
        if mode not in runs:
            add(mode, mode)
    if gl.backend_status().native:
        with gl.use_backend("mxnet"):
            add("mxnet, imperative", "imperative")
            add("mxnet, static_shape", "static_shape")
    return runs


def _run(block, inputs, dtype, names=None):
    example, parameters = arrays(inputs, dtype), block.collect_params().values()
    start = {p: p.data(context()).copy() for p in parameters}
    inferred = listed(block(*example))
    for output in inferred:
        found = np.dtype(output.dtype).name
        assert found == dtype, f"{found} output of {dtype} inputs"
    inferred = Result([output.asnumpy() for output in inferred], {})
    recorded = stable_names(evaluate(block, example), names or list(block.collect_params()))
    # Running averages move with each call.
    for parameter, value in start.items():
        parameter.set_data(value)
    return inferred, recorded


def listed(outputs):
    """The outputs of a block as a list, also when there is one."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def stable_names(result, names):
    """Parameter gradients by place in `names`, since Gluon numbers every block anew.

    Not by the names in their order: matern529 and matern3210 change places with the numbers.
    """
    places = {name: f"parameter {place}" for place, name in enumerate(names)}
    return Result(result.outputs, {places.get(k, k): v for k, v in result.gradients.items()})


def assert_same(found, expected, tolerance, what):
    """Outputs and gradients agree, relative to the largest element of each array."""
    assert len(found.outputs) == len(expected.outputs), what
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
