"""Joint draws of a Gaussian process in state space form, in O(n + m)."""

from typing import Any, List, Tuple

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..typing import Device
from .kernels import Kernel
from .smoother import KalmanSamplerLayer


class JointDraws:
    """Draws of the posterior at m new times together.

    They come from a filter over the times of the data and the new ones, at which a mask hides what
    would be observed. kernel: frozen, of `size` states; times, residual, variances, mask: (B, n) in
    float64, of the data, the residual being y - m(x).
    """

    def __init__(
        self,
        kernel: Kernel,
        orders: fn.Orders,
        times: mx.nd.NDArray,
        residual: mx.nd.NDArray,
        variances: mx.nd.NDArray,
        mask: mx.nd.NDArray,
    ) -> None:
        self._kernel, self._orders = kernel, orders
        self._data = [array.asnumpy() for array in (times, residual, variances, mask)]

    def sample(self, new: np.ndarray, size: int, context: Device) -> np.ndarray:
        """Draws of f - m at new times (B, m), (size, B, m).

        By Durbin & Koopman 2002; the draws of a batch element share its covariances and gains.
        """
        arrays, emission, places = self._merged(new, context)
        *system, mask = arrays
        length, d = emission.shape[1:]
        sampler: Any = KalmanSamplerLayer(d)
        found = np.empty((size, *new.shape))
        for b in range(len(new)):
            own = [a if len(a) == 1 else a[b : b + 1] for a in system]
            own[0] = mx.nd.broadcast_axis(own[0], axis=0, size=size)
            shapes = ((size, d), (size, length, own[3].shape[-1]), (size, length, 1))
            noise = [
                mx.nd.random.normal(shape=shape, dtype="float64", ctx=context) for shape in shapes
            ]
            states = sampler.compute(mx.nd, *own, *noise, mask[b : b + 1]).asnumpy()
            found[:, b] = np.einsum("sti,ti->st", states, emission[b])[:, places[b]]
        return found

    def _merged(self, new: np.ndarray, context: Device) -> Tuple[List[Any], np.ndarray, np.ndarray]:
        """Arguments of Kalman layers with a mask, H (B, T, d), and where new times are, (B, m)."""
        times, residual, variances, mask = self._data
        count = times.shape[1]
        every = np.concatenate([times, new], axis=1)
        order = np.argsort(every, axis=1, kind="stable")
        places = np.argsort(order, axis=1, kind="stable")[:, count:]
        hidden = np.zeros_like(new)
        rows = []
        for known, unknown in ((residual, hidden), (variances, hidden + 1.0), (mask, hidden)):
            rows.append(np.take_along_axis(np.concatenate([known, unknown], axis=1), order, axis=1))
        every = np.take_along_axis(every, order, axis=1)
        every, residual, variances, mask = (
            mx.nd.array(a[:, :, None], dtype="float64", ctx=context) for a in (every, *rows)
        )
        gaps = fn.gaps_between(mx.nd, every)
        sde = self._kernel.linear_sde(mx.nd, every, self._orders)
        factor = sde.process_factor(mx.nd, gaps)
        if factor is None:
            factor = fn.constant(mx.nd, every, np.zeros((sde.size, 1)))
        prior = fn.constant(mx.nd, every, np.eye(sde.size)).reshape((1, sde.size, sde.size))
        emission = sde.emission(mx.nd, every)
        arrays = [
            residual,
            sde.transition(mx.nd, gaps),
            emission,
            factor,
            mx.nd.sqrt(variances.expand_dims(axis=3)),
            mx.nd.zeros_like(prior[:, 0]),
            prior,
            mask,
        ]
        rows_of = np.broadcast_to(emission.asnumpy()[:, :, 0], (*every.shape[:2], sde.size))
        return arrays, rows_of, places
