"""`check_block`: the whole matrix of checks for one block."""

import mxnet as mx
import numpy as np

from .gradients import analytic, central_differences
from .modes import (
    arrays,
    assert_same,
    build,
    context,
    cotangents,
    evaluate,
    in_mode,
    listed,
    relative_difference,
    run_cases,
)
from .operators import assert_runs_on_gpu

PARITY = {"float64": 1e-12, "float32": 1e-5}


def check_block(
    factory,
    cases,
    folder,
    oracle=None,
    symmetric=(),
    differences=1e-7,
    oracle_tolerance=1e-10,
    float32=1e-4,
):
    """Everything section by section; each failure names the check, the mode and the array.

    factory: () -> block, the same initial values each time; cases: lists of float64 input arrays,
    at least two, of different shapes, the first small enough for central differences;
    oracle: (inputs..., block) -> outputs by an independent implementation; symmetric: positions
    of symmetric matrix inputs; differences, oracle_tolerance, float32: relative tolerances.
    """
    assert len(cases) >= 2, "mode parity is checked at two shapes or more"
    for dtype in ("float64", "float32"):
        check_modes(factory, cases, folder, dtype, {"float64": 1e-12, "float32": float32}[dtype])
    check_gradient(factory, cases[0], symmetric, differences)
    check_add_and_null(factory, cases[0])
    check_nested(factory, cases[0])
    check_float32(factory, cases, float32)
    assert_runs_on_gpu(factory, cases[0], "float32", folder)
    if oracle is not None:
        check_oracle(factory, cases, oracle, oracle_tolerance)


def check_modes(factory, cases, folder, dtype, between=None):
    """The same value and gradients in all modes, and after calls of other shapes.

    between: how far those of operators in C++ and of MXNet's own, which round differently, may be
    from each other.
    """
    cases = [*cases, cases[0]]
    runs = run_cases(factory, cases, dtype, folder)
    plain = "mxnet, imperative"
    for mode, results in runs.items():
        of_plain = plain in runs and (mode == "exported" or mode.startswith("mxnet"))
        reference = plain if of_plain and mode != plain else "imperative"
        tolerance = PARITY[dtype] if mode != plain else between or PARITY[dtype]
        for number, (found, expected) in enumerate(zip(results, runs[reference])):
            what = f"{mode}, {dtype}, case {number}"
            assert_same(found[0], expected[0], tolerance, f"{what}, inference")
            assert_same(found[1], expected[1], tolerance, what)


def check_gradient(factory, inputs, symmetric, tolerance):
    """Automatic differentiation against central differences."""
    outputs = listed(build(factory, "float64", inputs)(*arrays(inputs, "float64")))
    weights = cotangents(outputs)
    found = analytic(factory, inputs, weights)
    expected = central_differences(factory, inputs, weights, symmetric=symmetric)
    # Difference quotients of a loss round to ε |loss| / step.
    rounding = 1e-10 * sum((w * o).abs().sum().asscalar() for w, o in zip(weights, outputs))
    for (key, a), b in zip(found.items(), expected.values()):
        excess = np.abs(a - b).max() - rounding
        difference = excess / (np.abs(b).max() or 1.0)
        assert difference <= tolerance, f"gradient of {key}: {difference:.3g} from differences"


def check_add_and_null(factory, inputs):
    """grad_req 'add' twice gives twice the gradient; inputs without gradient change no other."""
    for mode in ("imperative", "static_shape"):
        example = arrays(inputs, "float64")
        block = in_mode(build(factory, "float64", inputs), mode, example, None)
        weights = cotangents(listed(block(*example)))
        once = evaluate(block, example, weights).gradients
        twice = evaluate(block, example, weights, grad_req="add", repeats=2).gradients
        for key in once:
            assert relative_difference(twice[key], 2 * once[key]) <= 1e-12, f"add, {mode}, {key}"
        for position in range(len(inputs)):
            if len(once) == 1:
                break
            rest = evaluate(block, example, weights, constants=(position,)).gradients
            for key in rest:
                what = f"input {position} without gradient, {mode}, gradient of {key}"
                assert relative_difference(rest[key], once[key]) <= 1e-12, what


class Nested(mx.gluon.HybridBlock):
    """The block twice in a larger network whose inputs are also used nine times elsewhere."""

    def __init__(self, block, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def hybrid_forward(self, F, *inputs):
        total = 0
        scaled = [1.0 * value for value in inputs]
        for output in listed(self.block(*scaled)):
            total = total + F.sum(F.sin(output))
        for i in range(9):
            for value in scaled:
                # Each product differs, or MXNet would compute one for all.
                row = F.reshape(value, shape=(1, 1, -1))
                product = F.batch_dot(row, 1e-3 * (i + 1) * row, transpose_b=True)
                total = total + F.sum(product)
        # Of other inputs, or MXNet would compute both uses at once.
        for output in listed(self.block(*inputs)):
            total = total + F.sum(F.square(output))
        return total


def check_nested(factory, inputs):
    """Nested, used twice, with inputs used more than eight times: compiled equals imperative."""
    results = {}
    for mode in ("imperative", "hybridized", "static_shape"):
        example = arrays(inputs, "float64")
        block = Nested(build(factory, "float64", inputs))
        block = in_mode(block, mode, example, None)
        weight = [mx.nd.ones((1,), dtype="float64", ctx=context())]
        result = evaluate(block, example, weight)
        results[mode] = result
    for mode, result in results.items():
        for key, expected in results["imperative"].gradients.items():
            found = _by_key(result.gradients, results["imperative"].gradients, key)
            assert relative_difference(found, expected) <= 1e-12, f"nested, {mode}, {key}"


def check_float32(factory, cases, tolerance):
    """float32 outputs and gradients near those of float64, on the inputs as float32 has them."""
    for number, inputs in enumerate(cases):
        inputs = [np.asarray(v, dtype="float32").astype("float64") for v in inputs]
        results = {}
        for dtype in ("float64", "float32"):
            block = build(factory, dtype, inputs)
            results[dtype] = evaluate(block, arrays(inputs, dtype))
        pairs = list(zip(results["float32"].outputs, results["float64"].outputs)) + list(
            zip(results["float32"].gradients.values(), results["float64"].gradients.values())
        )
        for a, b in pairs:
            assert a.dtype == np.float32
            scale = max(np.abs(b).max(), 1e-3)
            difference = np.abs(a - b).max() / scale
            assert difference <= tolerance, f"float32, case {number}: off by {difference:.3g}"


def check_oracle(factory, cases, oracle, tolerance):
    """Values against an independent implementation."""
    for number, inputs in enumerate(cases):
        block = build(factory, "float64", inputs)
        outputs = listed(block(*arrays(inputs, "float64")))
        expected = oracle(*inputs, block)
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        assert len(outputs) == len(expected)
        for index, (a, b) in enumerate(zip(outputs, expected)):
            difference = relative_difference(a.asnumpy(), b)
            assert difference <= tolerance, (
                f"oracle, case {number}, output {index}: {difference:.3g}"
            )


def _by_key(gradients, reference, key):
    return list(gradients.values())[list(reference).index(key)]
