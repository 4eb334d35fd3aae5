"""What posteriors of several dependent processes share: their views."""

from typing import Any, Dict, Mapping, Optional, Tuple, Union, cast

import mxnet as mx
import numpy as np

from ..errors import ShapeError
from ..typing import Array, Namespace, Rules, hook
from .held_out import Folds, fold_numbers
from .views import Viewed

X, Y = ("x", "B m d"), ("y", "B m k")


class MultiOutputPredictor(Viewed):
    """x -> (mean, variance), or (x, y) -> log p(y), of k outputs, (B, m, d) -> (B, m, k).

    Made by `condition` of the layers of several outputs: the exact one and the sparse ones. With
    include_noise the variance is that of a new observation. With y it is the log density of each
    value by itself. `view(name)` is one view as a block; all export.

    Raises ShapeError, DtypeError.

    Made by `MultiOutputGPLikelihoodLayer` and `MultiOutputSGPRLikelihoodLayer`.

    >>> layer = gl.MultiOutputGPLikelihoodLayer(gl.kernels.RBF(), outputs=2, noise_variance=0.1)
    >>> layer.initialize()
    >>> predictor = layer.condition(np.zeros((1, 1)), np.ones((1, 2)))
    >>> mean, variance = predictor(mx.nd.zeros((1, 5, 1)))
    >>> mean.shape, variance.shape
    ((1, 5, 2), (1, 5, 2))
    """

    arguments = (X, Y)
    required = 1
    views: Dict[str, Tuple[Rules, int]] = {
        "mean": ((X,), 1),
        "variance": ((X,), 1),
        "output_covariance": ((X,), 1),
        "covariance": ((X,), 1),
        "samples": ((X, ("noise", "B mk s")), 2),
        "log_density": ((X, Y), 2),
        "joint_log_density": ((X, Y), 2),
        "gradient": ((X,), 1),
        "derivative": ((X,), 1),
    }
    outputs: int

    @hook
    def _moments(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        """What a call gives."""
        raise NotImplementedError

    @hook
    def _log_density_view(self, F: Namespace, x: Array, y: Array) -> Array:
        raise NotImplementedError

    @hook
    def _input_sizes(self) -> Tuple[int, int]:
        """The batch, and how many columns x has."""
        raise NotImplementedError

    def hybrid_forward(
        self, F: Namespace, x: Array, y: Optional[Array] = None, **stored: Any
    ) -> Union[Array, Tuple[Array, Array]]:
        return self._moments(F, x) if y is None else self._log_density_view(F, x, y)

    def mean(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The posterior means, (B, m, d) -> (B, m, k)."""
        return self._now("mean", x)

    def variance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The variances that a call gives, (B, m, d) -> (B, m, k)."""
        return self._now("variance", x)

    def output_covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The covariance of the latent outputs at each x, (B, m, d) -> (B, m, k, k)."""
        return self._now("output_covariance", x)

    def covariance(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """The covariance of all latent outputs at all x, (B, m, d) -> (B, k m, k m).

        One output after the other.
        """
        return self._now("covariance", x)

    def sample(self, x: mx.nd.NDArray, size: int = 1) -> mx.nd.NDArray:
        """Joint samples of the latent outputs, (B, m, d) -> (size, B, m, k)."""
        (x,) = self._arrays((X,), x)
        shape = (x.shape[0], x.shape[1] * self.outputs, size)
        noise = mx.nd.random.normal(shape=shape, dtype=self.dtype, ctx=x.context)
        return self._now("samples", x, noise).transpose((3, 0, 1, 2))

    def log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """The log density of each new y by itself, (B, m, d), (B, m, k) -> (B, m, k)."""
        return self._now("log_density", x, y)

    def joint_log_density(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> mx.nd.NDArray:
        """log p of all new values with normal noise, (B, m, d), (B, m, k) -> (B,)."""
        return self._now("joint_log_density", x, y)

    def gradient(self, x: mx.nd.NDArray) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Derivatives of the latent means and variances by x, (B, m, d) -> (B, m, k, d) twice."""
        return cast(Tuple[Any, Any], self._now("gradient", x))

    def derivative(self, x: mx.nd.NDArray) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and covariance of ∂f_a/∂x of each output a, as `GPPredictor.derivative`.

        (B, m, d) -> (B, m, k, d), (B, m, k, d, d), each output by itself.
        """
        return cast(Tuple[Any, Any], self._now("derivative", x))

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        batch, columns = self._input_sizes()
        if sizes.get("B", batch) != batch or sizes.get("d", columns) != columns:
            raise ShapeError(
                f"{self.name}: 'x' has batch {sizes['B']} and {sizes['d']} columns; the data it "
                f"was conditioned on has batch {batch} and {columns} columns."
            )
        if sizes.get("k", self.outputs) != self.outputs:
            raise ShapeError(f"{self.name}: 'y' has {sizes['k']} outputs, expected {self.outputs}.")


def value_folds(name: str, folds: Folds, rows: int, outputs: int) -> np.ndarray:
    """The number of the fold of each value, (n, k), of folds as people give them.

    folds: how many, row i being in fold i mod folds; the fold of each row, (n,), or of each value,
    (n, k). Raises ValueError.
    """
    if np.shape(cast(Any, folds)) == (rows, outputs):
        flat = fold_numbers(name, np.asarray(folds).reshape(-1), rows * outputs)
        return flat.reshape(rows, outputs)
    if np.ndim(cast(Any, folds)) > 1:
        raise ValueError(
            f"{name}: folds has shape {np.shape(cast(Any, folds))}, expected ({rows},), the fold "
            f"of each row, or ({rows}, {outputs}), that of each value."
        )
    return np.repeat(fold_numbers(name, folds, rows)[:, None], outputs, axis=1)
