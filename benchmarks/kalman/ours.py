"""The layers of this package."""

import gluon_linalg as gl

from ..backend import Layer
from .problem import NAMES


def _inputs(arrays):
    """As the layers take them: without a mask and an offset of the transition."""
    *inputs, offset = NAMES
    named = {name: arrays[name] for name in inputs}
    return {**named, "mask": None, "transition_offset": None, offset: arrays[offset]}


def _sizes(arrays):
    return arrays["transition"].shape[-1], arrays["y"].shape[-1]


class Filter(Layer):
    """Negative log likelihood (B,) by a `KalmanFilterLayer`."""

    def __init__(
        self, arrays, backend, dtype="float64", method="sequential", form="square_root"
    ) -> None:
        length = arrays["y"].shape[1]
        layer = gl.KalmanFilterLayer(*_sizes(arrays), method=method, length=length, form=form)
        super().__init__(layer, _inputs(arrays), dtype, backend)

    def results(self):
        return {"value": self.outputs()[0], **self.gradients()}


class Smoother(Layer):
    """Means and covariances of all states by a `KalmanSmootherLayer`."""

    def __init__(self, arrays, backend, dtype="float64", method="sequential") -> None:
        length = arrays["y"].shape[1]
        layer = gl.KalmanSmootherLayer(*_sizes(arrays), method=method, length=length)
        heads = [arrays["mean_head"], arrays["covariance_head"]]
        super().__init__(layer, _inputs(arrays), dtype, backend, heads)

    def results(self):
        mean, covariance = self.outputs()
        return {"mean": mean, "covariance": covariance, **self.gradients()}
