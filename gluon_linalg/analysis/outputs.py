"""What a trained process of several outputs says of each of them, given all data."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..blocks.multi_output_sparse import (
    MultiOutputSGPRLikelihoodLayer,
    MultiOutputSVGPLikelihoodLayer,
)
from ..plots.regression import plot_function
from ..plots.style import Moments, judged
from .index import index_of
from .rows import NOMINAL, RowsAnalysis, coverages, index_of_seen, judged_rows, seen_rows
from .tables import LEVELS, frame, normal_columns, text_table

SPARSE = MultiOutputSGPRLikelihoodLayer, MultiOutputSVGPLikelihoodLayer


class OutputRows(RowsAnalysis):
    """One output: each observation predicted from all others, of the other outputs as well."""

    def __init__(self, name: str, targets: np.ndarray, moments: Moments, index: Any) -> None:
        self.name, self._targets, self._moments, self.index = name, targets, moments, index

    @property
    def targets(self) -> np.ndarray:
        return self._targets

    def left_out(self) -> Moments:
        return self._moments


class OutputsAnalysis:
    """What a trained process of several outputs says; made by `gluon_linalg.analyze`.

    layer: a `MultiOutputGPLikelihoodLayer`, a `MultiOutputSGPRLikelihoodLayer`, or with normal
    noise a `MultiOutputSVGPLikelihoodLayer`.

    x: (n, d); y: (n, k), of a DataFrame with the names of the outputs, which `names` gives
    otherwise; noise, mask: (n, k). Tables of all outputs have columns by output and name.
    """

    def __init__(
        self,
        layer: Any,
        *arrays: Any,
        names: Optional[Sequence[str]] = None,
        **keywords: Any,
    ) -> None:
        self.layer = layer
        bound = layer._bound(arrays, keywords)
        self.data = layer._data(*bound)
        if len(self.data[0]) != 1:
            raise ValueError(
                f"analyze: {len(self.data[0])} data sets; give one of them, x[i], y[i]."
            )
        self._predictors: Dict[bool, Any] = {}
        given = names if names is not None else getattr(bound[1], "columns", None)
        self.names = (
            [f"y{k + 1}" for k in range(layer.outputs)] if given is None else [*map(str, given)]
        )
        if len(self.names) != layer.outputs:
            raise ValueError(f"analyze: {len(self.names)} names for {layer.outputs} outputs.")
        self.index = index_of(bound[1])
        self.seen = seen_rows(layer, self.data)
        self._rows: Optional[List[OutputRows]] = None

    def __getitem__(self, name: str) -> OutputRows:
        """The `leave_one_out`, calibration and pictures of one output by its name."""
        return self.outputs()[self._place(name)]

    def outputs(self) -> List[OutputRows]:
        """An `OutputRows` of each output."""
        if self._rows is None:
            y = self.data[1].asnumpy()[0].astype("float64")
            mean, variance = self._left_out()
            self._rows = [
                OutputRows(
                    name, y[own, k], (mean[own, k], variance[own, k]),
                    index_of_seen(self.index, own),
                )
                for k, (name, own) in enumerate(zip(self.names, self.seen.T))
            ]  # fmt: skip
        return self._rows

    def posterior(
        self, x: Any, levels: Sequence[float] = LEVELS, include_noise: bool = True
    ) -> Any:
        """Mean, std and intervals of each output at new inputs (m, d) or (m,): a DataFrame."""
        mean, variance = self._moments(np.asarray(x, "float64"), include_noise)
        tables = [
            frame(normal_columns(*own, levels), index_of(x)) for own in zip(mean.T, variance.T)
        ]
        return self._joined(tables)

    def leave_one_out(self) -> Any:
        """Each observation predicted from all others, of all outputs: a DataFrame.

        Columns of each output as of `ProcessAnalysis.leave_one_out`.
        """
        return self._joined([own.leave_one_out() for own in self.outputs()])

    def calibration(self, levels: Sequence[float] = NOMINAL) -> Any:
        """The share of observations inside of their intervals, in percent: a DataFrame."""
        found = [own.left_out_columns()["standardized_residual"] for own in self.outputs()]
        columns = {name: coverages(z, levels) for name, z in zip(self.names, found)}
        return frame({"level": list(levels), **columns}).set_index("level")

    def correlation(self) -> Any:
        """Of the outputs at one input before any data, (k, k): a DataFrame."""
        kernels = getattr(self.layer, "input_kernels", self.layer.kernels)
        matrix, like = 0.0, self.data[0].astype("float64")
        with mx.autograd.pause():
            for kernel, shared in zip(kernels, self.layer.coregionalizations):
                size = np.nanmean(kernel.evaluate_diagonal(mx.nd, like, "float64").asnumpy())
                matrix = matrix + size * shared.matrix(mx.nd, like, "float64").asnumpy()[0]
        deviation = np.sqrt(np.diag(matrix))
        return frame(dict(zip(self.names, matrix / np.outer(deviation, deviation))), self.names)

    def summary(self) -> str:
        """How well each output is predicted, and what they have in common, as text."""
        judged = [judged_rows(own.left_out_columns()) for own in self.outputs()]
        rows = [[line[0][0], *(text for _, text in line)] for line in zip(*judged)]
        shared = self.correlation().to_numpy()
        common = [[n, *(f"{v:+.3f}" for v in own)] for n, own in zip(self.names, shared)]
        lines = text_table(["each observation left out once", *self.names], rows)
        lines += ["", *text_table(["correlation", *self.names], common)]
        return "\n".join(lines) + "\n"

    def plot_leave_one_out(self, name: Optional[str] = None) -> Any:
        """Predicted against observed of one output, the first if None: a figure."""
        return self.outputs()[self._place(name)].plot_leave_one_out()

    def plot_calibration(self, name: Optional[str] = None) -> Any:
        """Shares inside of intervals by their level, of one output: a figure."""
        return self.outputs()[self._place(name)].plot_calibration()

    def plot_posterior(
        self, name: Optional[str] = None, of: str = "x", levels: Sequence[float] = (95,)
    ) -> Any:
        """Data, mean and bands of one output by one input: a figure. of: the input's name."""
        place, x = self._place(name), self.data[0].asnumpy()[0].astype("float64")
        if x.shape[1] != 1:
            raise ValueError(
                f"plot_posterior: {x.shape[1]} inputs; plot_leave_one_out shows any number."
            )

        def predict(new: np.ndarray) -> Moments:
            mean, variance = self._moments(new, True)
            return mean[:, place], variance[:, place]

        own = self.outputs()[place]
        groups = [("data", x[self.seen[:, place], 0], own.targets)]
        told = f"each left out once: {judged(own.targets, own.left_out(), levels)}"
        return plot_function(predict, groups, own.name, of, None, told, levels)

    def _place(self, name: Optional[str]) -> int:
        if name is None:
            return 0
        if name not in self.names:
            raise ValueError(f"there is no output {name!r}; expected one of {self.names}.")
        return self.names.index(name)

    def _joined(self, tables: Sequence[Any]) -> Any:
        import pandas

        return pandas.concat(tables, axis=1, keys=self.names)

    def _moments(self, x: np.ndarray, include_noise: bool) -> Moments:
        """(m, k) each."""
        rows = mx.nd.array(x.reshape(len(x), -1)[None], dtype=self.layer.dtype or "float32")
        with mx.autograd.pause():
            found = self._predictor(include_noise)(rows)
        mean, variance = (a.asnumpy()[0].astype("float64") for a in found)
        return mean, np.maximum(variance, 0.0)

    def _left_out(self) -> Tuple[np.ndarray, np.ndarray]:
        """Mean and variance (n, k) of each observation given all others."""
        data = (*self.data, None, None)
        if isinstance(self.layer, MultiOutputSVGPLikelihoodLayer):
            data = (*self.data[:2], None, *self.data[2:])
        # What is sparse keeps no data.
        given = data[:4] if isinstance(self.layer, SPARSE) else ()
        mean, variance = self._predictor(True).leave_one_out(*given)
        return tuple(a.asnumpy()[0].astype("float64") for a in (mean, variance))

    def _predictor(self, include_noise: bool) -> Any:
        if include_noise not in self._predictors:
            if isinstance(self.layer, MultiOutputSVGPLikelihoodLayer):
                found = self.layer.predictor(include_noise=include_noise)
            else:
                named = zip((name for name, _ in self.layer.arguments), self.data)
                given = {name: value for name, value in named if value is not None}
                found = self.layer.condition(**given, include_noise=include_noise)
            self._predictors[include_noise] = found
        return self._predictors[include_noise]
