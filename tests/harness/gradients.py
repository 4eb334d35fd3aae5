"""Gradients by central differences, in float64."""

import numpy as np

from .modes import arrays, build, evaluate, listed


def central_differences(factory, inputs, weights, step=1e-5, symmetric=()):
    """The gradient of Σ weights ∘ outputs by input position and parameter order.

    Parameters are perturbed in their stored, unconstrained numbers. Inputs whose position is in
    `symmetric` are moved symmetrically, as (E_ij + E_ji) / 2: the convention of this package for
    symmetric matrices.
    """
    block = build(factory, "float64", inputs)
    # Many calls of one graph: compiled, which `check_modes` compares with the imperative one.
    block.hybridize()
    gradients = {}
    for position, value in enumerate(inputs):

        def loss_at(moved, position=position):
            changed = list(inputs)
            changed[position] = moved
            return _loss(block, changed, weights)

        gradients[position] = _differences(loss_at, value, step, position in symmetric)
    trained = [p for p in block.collect_params().values() if p.grad_req != "null"]
    for parameter in trained:
        start = parameter.data().asnumpy()

        def loss_with(moved, parameter=parameter):
            parameter.set_data(arrays([moved], "float64")[0])
            return _loss(block, inputs, weights)

        gradients[parameter.name] = _differences(loss_with, start, step, False)
        parameter.set_data(arrays([start], "float64")[0])
    return gradients


def _loss(block, inputs, weights):
    outputs = listed(block(*arrays(inputs, "float64")))
    return sum((o * w).sum().asscalar() for o, w in zip(outputs, weights) if w is not None)


def _differences(loss, value, step, symmetric):
    value = np.asarray(value, dtype="float64")
    gradient = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        direction = np.zeros_like(value)
        direction[index] += 0.5 if symmetric else 1.0
        if symmetric:
            direction[index[:-2] + (index[-1], index[-2])] += 0.5
        h = step * max(1.0, abs(value[index]))
        # Fourth order: the error of the step is far below that of rounding.
        gradient[index] = (
            8.0 * (loss(value + h * direction) - loss(value - h * direction))
            - (loss(value + 2 * h * direction) - loss(value - 2 * h * direction))
        ) / (12.0 * h)
    return gradient


def analytic(factory, inputs, weights):
    """The same gradient by automatic differentiation, imperatively."""
    block = build(factory, "float64", inputs)
    return evaluate(block, arrays(inputs, "float64"), weights).gradients
