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
from .rows import index_of_seen, seen_rows
from .several import SeveralAnalysis, TargetRows, names_of_targets
from .tables import LEVELS, frame, normal_tables, text_table

SPARSE = MultiOutputSGPRLikelihoodLayer, MultiOutputSVGPLikelihoodLayer


class OutputsAnalysis(SeveralAnalysis):
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
        self.names = names_of_targets(names, bound[1], layer.outputs)
        self.index = index_of(bound[1])
        self.seen = seen_rows(layer, self.data)
        self._rows: Optional[List[TargetRows]] = None

    def outputs(self) -> List[TargetRows]:
        """A `TargetRows` of each output; other outputs tell of what one of them leaves out."""
        if self._rows is None:
            y = self.data[1].asnumpy()[0].astype("float64")
            mean, variance = self._left_out()
            self._rows = [
                TargetRows(
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
        moments = self._moments(np.asarray(x, "float64"), include_noise)
        return normal_tables(moments, levels, index_of(x), self.names)

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
        shared = self.correlation().to_numpy()
        common = [[n, *(f"{v:+.3f}" for v in own)] for n, own in zip(self.names, shared)]
        lines = text_table(["correlation", *self.names], common)
        return super().summary() + "\n" + "\n".join(lines) + "\n"

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
