"""The curvature of a loss in its stored parameters, and these in natural units."""

from typing import TYPE_CHECKING

import mxnet as mx
import numpy as np

from ..blocks.parameters import PositiveParameter

if TYPE_CHECKING:
    from .loss import Loss

# Steps as a share of a standard error, the square root of the error of the difference quotient,
# and where the curvature is not known yet.
SHARE = {True: 1e-2, False: 1e-1}
FIRST = {True: 1e-4, False: 1e-2}


def observed_information(loss: "Loss", vector: np.ndarray, is_double: bool) -> np.ndarray:
    """The Hessian (k, k) at a point by central differences of the exact gradient.

    Each step is a share of what the curvature along its element says is a standard error, so that
    the result does not depend on units. is_double: whether all is computed in float64.
    """
    count = len(vector)
    hessian = np.zeros((count, count))
    longest = np.concatenate([
        # A logarithm is not moved by a multiple of what it is the logarithm of.
        np.full(values.size, 0.5) if isinstance(p, PositiveParameter) else 1.0 + np.abs(values)
        for p, values in ((p, values.reshape(-1)) for p, values in loss.pieces(vector))
    ])  # fmt: skip
    for index in range(count):
        step = FIRST[is_double] * max(1.0, abs(vector[index]))
        for _ in range(2):
            row = _along(loss, vector, index, step)
            if not row[index] > 0:
                break
            step = min(SHARE[is_double] / np.sqrt(row[index]), longest[index])
        hessian[index] = row
    return 0.5 * (hessian + hessian.T)


def natural(parameter: mx.gluon.Parameter, stored: np.ndarray) -> np.ndarray:
    """Stored numbers in natural units."""
    if not isinstance(parameter, PositiveParameter):
        return np.array(stored, dtype="float64")
    array = mx.nd.array(stored, dtype="float64")
    return parameter.natural(mx.nd, array).asnumpy().reshape(stored.shape)


def slopes(parameter: mx.gluon.Parameter, stored: np.ndarray) -> np.ndarray:
    """The derivative of natural units in stored ones, elementwise."""
    if not isinstance(parameter, PositiveParameter):
        return np.ones_like(stored)
    array = mx.nd.array(stored, dtype="float64")
    array.attach_grad()
    with mx.autograd.record():
        value = parameter.natural(mx.nd, array)
    value.backward()
    return array.grad.asnumpy().reshape(stored.shape)


def jacobian(parameter: mx.gluon.Parameter, stored: np.ndarray) -> np.ndarray:
    """The derivatives (k, k) of natural units in stored ones, of k elements that are mixed."""
    array, rows = mx.nd.array(stored, dtype="float64"), []
    array.attach_grad()
    for index in range(stored.size):
        with mx.autograd.record():
            value = parameter.natural(mx.nd, array).reshape(-1)[index]
        value.backward()
        rows.append(array.grad.asnumpy().reshape(-1))
    return np.array(rows)


def _along(loss: "Loss", vector: np.ndarray, index: int, step: float) -> np.ndarray:
    ends = []
    for sign in (1.0, -1.0):
        moved = np.array(vector)
        moved[index] += sign * step
        ends.append(loss.at(moved)[1])
    return (ends[0] - ends[1]) / (2.0 * step)
