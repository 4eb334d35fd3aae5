"""The curvature of a loss in its stored parameters, and these in natural units."""

from typing import TYPE_CHECKING, Callable, Tuple

import mxnet as mx
import numpy as np

from ..blocks.parameters import PositiveParameter

if TYPE_CHECKING:
    from .loss import Loss

# Steps as a share of a standard error, the square root of the error of the difference quotient,
# and where the curvature is not known yet.
SHARE = {True: 1e-2, False: 1e-1}
FIRST = {True: 1e-4, False: 1e-2}
# Of eigenvalues of curvatures over the largest, which differences bring no nearer to 0.
FLAT = 1e-4
# Of difference quotients of what is smooth and computed in float64.
STEP = 1e-5


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


def profiled(information: np.ndarray, auxiliary: np.ndarray) -> np.ndarray:
    """The information of the minimum over some elements, with 0 for these: a Schur complement.

    Combinations of them along which the loss is flat, to the error of the differences, move
    nothing. auxiliary: whether an element is one of them, (k,).
    """
    inner = information[np.ix_(auxiliary, auxiliary)]
    size = np.sqrt(np.maximum(np.diag(inner), 0.0))
    scale = np.where(size > 0, 1.0 / np.where(size > 0, size, 1.0), 0.0)
    values, vectors = np.linalg.eigh(scale[:, None] * inner * scale)
    kept = values > FLAT * values.max(initial=0.0)
    moved = (vectors[:, kept].T * scale) @ information[np.ix_(auxiliary, ~auxiliary)]
    found = np.zeros_like(information)
    rest = np.ix_(~auxiliary, ~auxiliary)
    found[rest] = information[rest] - moved.T @ (moved / values[kept, None])
    return found


def natural(parameter: mx.gluon.Parameter, stored: np.ndarray) -> np.ndarray:
    """Stored numbers in natural units."""
    if not isinstance(parameter, PositiveParameter):
        return np.array(stored, dtype="float64")
    array = mx.nd.array(stored, dtype="float64")
    return parameter.natural(mx.nd, array).asnumpy().reshape(stored.shape)


def jacobian(values: Callable[[np.ndarray], np.ndarray], vector: np.ndarray) -> np.ndarray:
    """The derivatives (m, k) of values (m,) in a vector (k,), by central differences."""
    columns = []
    for index in range(len(vector)):
        step = STEP * max(1.0, abs(vector[index]))
        ends = []
        for sign in (1.0, -1.0):
            moved = np.array(vector)
            moved[index] += sign * step
            ends.append(values(moved))
        columns.append((ends[0] - ends[1]) / (2.0 * step))
    return np.stack(columns, axis=-1)


def expected_information(
    moments: Callable[[np.ndarray], Tuple[np.ndarray, np.ndarray]], vector: np.ndarray
) -> np.ndarray:
    """Σ_t ½ tr(F⁻¹ ∂_i F F⁻¹ ∂_j F) + ∂_i vᵀ F⁻¹ ∂_j v, (k, k), at a vector (k,).

    moments: takes a vector to the errors v (n, p) of predictions one step ahead, and their
    covariances F (n, p, p). Harvey 1989, equation 3.4.69: the Hessian of -log L with what is 0 in
    expectation left out, but without the expectation over v of its last term.
    """
    _, covariance = moments(vector)
    inverse = np.linalg.inv(covariance)
    errors = jacobian(lambda at: moments(at)[0], vector)
    covariances = jacobian(lambda at: moments(at)[1], vector)
    weighted = np.einsum("npq,nqrk->nprk", inverse, covariances)
    found = 0.5 * np.einsum("npqi,nqpj->ij", weighted, weighted)
    return found + np.einsum("npi,npq,nqj->ij", errors, inverse, errors)


def _along(loss: "Loss", vector: np.ndarray, index: int, step: float) -> np.ndarray:
    ends = []
    for sign in (1.0, -1.0):
        moved = np.array(vector)
        moved[index] += sign * step
        ends.append(loss.at(moved)[1])
    return (ends[0] - ends[1]) / (2.0 * step)
