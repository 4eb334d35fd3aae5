"""The views of a Gaussian process in state space form, on arrays."""

from typing import Any, Tuple, cast

import mxnet as mx
import numpy as np

from ..errors import ShapeError
from .views import Viewed, views_of_process

X, Y = ("x", "B m"), ("y", "B m")


class StateSpaceViews(Viewed):
    """What `StateSpaceGPPredictor` says of f and y at any times."""

    views = views_of_process(X, Y)

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior mean, (B, m) or (B, m, 1) -> (B, m)."""
        return self._now("mean", x)

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior variance, (B, m) or (B, m, 1) -> (B, m)."""
        return self._now("variance", x)

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The covariance of the latent function at new times, (B, m) or (B, m, 1) -> (B, m, m).

        In any order; costs n m d² + m² d².
        """
        return self._now("covariance", x)

    def log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """The log density of each new y by itself, x (B, m) or (B, m, 1), y (B, m) -> (B, m)."""
        return self._now("log_density", x, y)

    def joint_log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """log p(y_1, ..., y_m) of new y, x (B, m) or (B, m, 1), y (B, m) -> (B,).

        From their covariance, in m³.
        """
        return self._now("joint_log_density", x, y)

    def gradient(self, x: mx.nd.NDArray) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """The derivatives of the latent mean and variance by time, as `GPPredictor.gradient`.

        (B, m) or (B, m, 1) -> (B, m, 1) twice. Where they have a kink, at a time of the data with
        the kernel `Matern12`, half of both sides.
        """
        return cast(Tuple[Any, Any], self._now("gradient", x))

    def derivative(self, x: mx.nd.NDArray) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of ∂f/∂t, the process of derivatives, as `GPPredictor.derivative`.

        (B, m) or (B, m, 1) -> (B, m, 1), (B, m, 1, 1). ValueError where f has none: `Matern12`,
        `White`. TypeError for a mean without a closed derivative.
        """
        return cast(Tuple[Any, Any], self._now("derivative", x))


def as_vector(name: str, argument: str, value: Any) -> Any:
    """(B, n, 1) as (B, n); all else as it is."""
    if value is None or isinstance(value, mx.sym.Symbol):
        return value
    shape = np.shape(value)
    if len(shape) != 3:
        return value
    if shape[2] != 1:
        raise ShapeError(
            f"{name}: '{argument}' has {shape[2]} columns, shape {shape}; a process in state space "
            "form has one time axis: expected (B, n) or (B, n, 1). GPLikelihoodLayer takes more."
        )
    return value.reshape(shape[:2]) if hasattr(value, "reshape") else np.reshape(value, shape[:2])
