"""Fits many independent models at once: one graph computes the losses of all."""

from typing import Any, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..blocks.base import LinearAlgebraBlock
from ..errors import LinearAlgebraError, NonFiniteError, listing
from .fit import compiled
from .loss import trained_parameters
from .minimize_each import minimize_each
from .vector import clear_gradients

# How far what a parameter stores, a logarithm for positive ones, goes from where it began.
FARTHEST = 30.0


def fit_each(
    layer: LinearAlgebraBlock,
    *arrays: Any,
    iterations: int = 500,
    tolerance: float = 1e-9,
    **keywords: Any,
) -> np.ndarray:
    """Minimizes each of the losses layer(*arrays), (B,), by its own parameters; returns them.

    layer: an initialized block of this package whose losses are of B independent models, and all
    of whose trained parameters have a row for each: a `GPLikelihoodLayer` of a
    `kernels.Batched` kernel. Series that have their own hyperparameters are fitted in one graph,
    or several starts of one series, whose data are then repeated. arrays, keywords: its arguments,
    as for `fit`. Each model has a search of its own (BFGS), at whose lowest point it is left,
    and which ends where a step promises less than `tolerance`, or after so many `iterations`.

    Raises what the layer raises at the start, NonFiniteError, ValueError for a parameter that the
    models share.

    >>> kernel = gl.kernels.Batched(gl.kernels.RBF() + gl.kernels.White(0.1), 2)
    >>> layer = gl.GPLikelihoodLayer(kernel, noise_variance=None)
    >>> layer.initialize()
    >>> layer.cast("float64")
    >>> x = np.tile(np.linspace(0, 5, 15)[None, :, None], (2, 1, 1))
    >>> y = np.stack([np.sin(x[0, :, 0]), np.sin(3 * x[0, :, 0])])
    >>> gl.fit_each(layer, x, y, iterations=5).shape
    (2,)
    """
    data = layer._from_data(*arrays, **keywords)
    with mx.autograd.pause():
        first = layer(*data).asnumpy()
    if not np.isfinite(first).all():
        bad = listing(np.flatnonzero(~np.isfinite(first)).tolist())
        raise NonFiniteError(f"fit_each: the loss of element {bad} is not a finite number.")
    parameters = trained_parameters(layer)
    shared = [n for n, p in parameters.items() if len(p.shape) < 2 or p.shape[0] != len(first)]
    if shared or not parameters:
        raise ValueError(
            f"fit_each: {listing(shared) or 'no parameter'} has a row for each of {len(first)} "
            "models; make the kernel kernels.Batched, with its noise as a White, or use fit."
        )
    problem = _Problem(layer, data, list(parameters.values()))
    start = problem.points()
    with mx.autograd.pause(), compiled(layer):
        found, losses = minimize_each(
            problem.evaluate, [start], start - FARTHEST, start + FARTHEST, tolerance, iterations
        )
        problem.set_points(found)
    return losses


class _Problem:
    """The losses as a function of points (B, n), a row of what is stored for each model."""

    def __init__(
        self,
        layer: LinearAlgebraBlock,
        data: Sequence[mx.nd.NDArray],
        parameters: List[mx.gluon.Parameter],
    ) -> None:
        self._layer, self._data, self._parameters = layer, data, parameters
        self._device = data[0].context
        self._last = self.points()

    def points(self) -> np.ndarray:
        return self._joined([p.data(self._device) for p in self._parameters])

    def set_points(self, points: np.ndarray) -> None:
        begin = 0
        for parameter in self._parameters:
            end = begin + int(np.prod(parameter.shape[1:]))
            values = points[:, begin:end].reshape(parameter.shape)
            parameter.set_data(mx.nd.array(values, dtype=parameter.dtype))
            begin = end

    def evaluate(self, points: np.ndarray, problems: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Losses (m,) and gradients (m, n) of some models: no loss depends on the row of another.

        The layer computes all; those that are not asked for stay where they were.
        """
        self._last[problems] = points
        self.set_points(self._last)
        clear_gradients(self._parameters)
        try:
            with mx.autograd.record(train_mode=False):
                losses = self._layer(*self._data)
            losses.backward(train_mode=False)
            gradients = self._joined([p.grad(self._device) for p in self._parameters])
            return losses.asnumpy().astype("float64")[problems], gradients[problems]
        except LinearAlgebraError:
            return np.full(len(points), np.inf), np.zeros_like(points)

    def _joined(self, arrays: Sequence[mx.nd.NDArray]) -> np.ndarray:
        rows = [a.asnumpy().astype("float64").reshape(len(a), -1) for a in arrays]
        return np.concatenate(rows, axis=1)
