"""What a trained Gaussian process says of new inputs, and how well it knows its data."""

from typing import Any, Optional, Sequence

import mxnet as mx
import numpy as np

from ..plots.kernels import plot_kernel
from ..plots.regression import plot_agreement, plot_calibration, plot_function
from ..plots.style import Moments
from .index import index_of, name_of
from .tables import LEVELS, figure, frame, normal_columns, normal_width, text_table

NOMINAL = (50, 80, 90, 95, 99)


def left_out_columns(y: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> Any:
    """observed, mean, std, residual and log density of rows that were predicted from others."""
    deviation = np.sqrt(variance)
    residual = (y - mean) / deviation
    density = -0.5 * residual**2 - np.log(deviation) - 0.5 * np.log(2.0 * np.pi)
    columns = {"observed": y, "mean": mean, "std": deviation}
    return {**columns, "standardized_residual": residual, "log_density": density}


def coverages(residual: np.ndarray, levels: Sequence[float] = NOMINAL) -> np.ndarray:
    """The shares of standardized residuals within the intervals of levels, both in percent."""
    widths = [normal_width(level) for level in levels]
    return np.array([100.0 * np.mean(np.abs(residual) <= width) for width in widths])


class RowsAnalysis:
    """What regressions share: each row predicted from all others, and how well that went.

    A subclass implements `left_out` and `_moments`.
    """

    index: Any = None
    name = "y"

    def left_out(self) -> Moments:
        """Mean and variance of each observation given all others, (n,) each."""
        raise NotImplementedError(f"{type(self).__name__} does not implement left_out")

    @property
    def targets(self) -> np.ndarray:
        """The observations, (n,)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement targets")

    def leave_one_out(self) -> Any:
        """Each row predicted from all others: a DataFrame.

        Columns observed, mean, std (of an observation), standardized_residual and log_density.
        """
        return frame(left_out_columns(self.targets, *self.left_out()), self.index)

    def calibration(self, levels: Sequence[float] = NOMINAL) -> Any:
        """The share of rows inside of their intervals, each left out, in percent: a DataFrame."""
        residual = self._residuals()
        return frame({"level": list(levels), "inside": coverages(residual, levels)}).set_index(
            "level"
        )

    def summary(self) -> str:
        """How well each row is predicted from all others, as text."""
        found = left_out_columns(self.targets, *self.left_out())
        error = np.sqrt(np.mean((found["observed"] - found["mean"]) ** 2))
        rows = [
            ("RMSE", figure(float(error))),
            ("mean log density", figure(float(np.mean(found["log_density"])))),
            *((f"inside the {level:g} % interval", f"{share:.1f} %")
              for level, share in zip(LEVELS, coverages(found["standardized_residual"], LEVELS))),
        ]  # fmt: skip
        return "\n".join(text_table(("each row left out once", ""), rows)) + "\n"

    def plot_leave_one_out(self) -> Any:
        """Predicted against observed, each row left out once: a figure."""
        groups = [("each left out once", self.targets, self.left_out())]
        return plot_agreement(self.name, groups)

    def plot_calibration(self) -> Any:
        """Shares inside of intervals by their level, and where observations lie: a figure."""
        return plot_calibration(self._residuals())

    def _residuals(self):
        return left_out_columns(self.targets, *self.left_out())["standardized_residual"]


class ProcessAnalysis(RowsAnalysis):
    """What a trained `GPLikelihoodLayer` says, given its data; made by `gluon_linalg.analyze`.

    x: (n, d); y: (n,), of which a pandas Series gives tables its index; further arguments as of
    `condition`.
    """

    def __init__(self, layer: Any, *arrays: Any, **keywords: Any) -> None:
        self.layer = layer
        self.predictor = layer.condition(*arrays, **keywords)
        bound = layer._bound(arrays, {k: v for k, v in keywords.items() if k != "include_noise"})
        self.inputs = bound[0]
        data = layer._data(*bound)
        self.x, self._y = (array.asnumpy().astype("float64") for array in data[:2])
        if len(self.x) != 1:
            raise ValueError(f"analyze: {len(self.x)} processes; give the data of one, x[i], y[i].")
        # Of a process in time the layer knows no columns.
        self.x = self.x.reshape(*self._y.shape, -1)
        self.index, self.name = index_of(bound[1]), name_of(bound[1])

    @property
    def targets(self) -> np.ndarray:
        return self._y[0]

    def posterior(
        self, x: Any, levels: Sequence[float] = LEVELS, include_noise: bool = True
    ) -> Any:
        """Mean, std and intervals at new inputs (m, d) or (m,), a DataFrame with their index.

        include_noise: of an observation there, or of the function.
        """
        mean, variance = self._moments(np.asarray(x, "float64"), include_noise)
        return frame(normal_columns(mean, variance, levels), index_of(x))

    def left_out(self) -> Moments:
        mean, variance = list(self.predictor.leave_one_out())[:2]
        return tuple(array.asnumpy()[0].astype("float64") for array in (mean, variance))

    def plot_kernel(self, samples: int = 5) -> Any:
        """Functions of one input as the kernel expects them before any data: a figure."""
        self._refuse_several("plot_kernel")
        ends = float(self.x.min()), float(self.x.max())
        return plot_kernel(self.layer.kernel, ends, samples)

    def plot_posterior(self, name: str = "x") -> Any:
        """Data, mean and 95 % band of one input: a figure. name: of the input."""
        self._refuse_several("plot_posterior")
        groups = [("data", self.x[0, :, 0], self.targets)]
        return plot_function(lambda x: self._moments(x, True), groups, self.name, name)

    def _refuse_several(self, what: str) -> None:
        if self.x.shape[2] != 1:
            raise ValueError(
                f"{what}: {self.x.shape[2]} inputs; plot_leave_one_out shows any number."
            )

    def _moments(self, x: np.ndarray, include_noise: bool) -> Moments:
        x = x.reshape(len(x), -1)[None]
        dtype = np.dtype(self.layer.dtype or "float32").name
        with mx.autograd.pause():
            found = self.predictor(mx.nd.array(x, dtype=dtype))
        mean, variance = (array.asnumpy()[0].astype("float64") for array in found)
        noise = self.noise_variance if include_noise else 0.0
        return mean, np.maximum(variance, 0.0) + noise

    @property
    def noise_variance(self) -> float:
        """Of a new observation; 0 where each has its own."""
        noise: Optional[Any] = getattr(self.layer, "noise_variance", None)
        value = [] if noise is None else noise.value()
        return float(value[0]) if len(value) == 1 else 0.0
