"""What a trained Gaussian process says of new inputs, and how well it knows its data."""

from typing import Any, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..blocks.given import GivenParameter
from ..blocks.parameters import PositiveParameter
from ..blocks.sparse_gp import CollapsedGPLayer
from ..plots.kernels import plot_kernel
from ..plots.regression import plot_function
from ..plots.style import Moments, judged
from .index import index_of, name_of
from .rows import RowsAnalysis, index_of_seen, seen_rows
from .tables import LEVELS, figure, frame, normal_columns, text_table

# Of a parameter of more numbers, such as that of a network, none.
MOST_SHOWN = 6


class FunctionAnalysis(RowsAnalysis):
    """What processes of one target share, given their data.

    x: (n, d); y: (n,), of which a pandas Series gives tables its index; further arguments as of
    the layer. A subclass implements `left_out_columns` or `left_out`, and `_moments`.
    """

    def __init__(self, layer: Any, *arrays: Any, **keywords: Any) -> None:
        self.layer = layer
        bound = layer._bound(arrays, keywords)
        self.inputs, self.data = bound[0], layer._data(*bound)
        x, y = (array.asnumpy().astype("float64") for array in self.data[:2])
        if len(x) != 1:
            raise ValueError(f"analyze: {len(x)} processes; give the data of one, x[i], y[i].")
        self.seen = seen_rows(layer, self.data)
        # Of a process in time the layer knows no columns.
        self.x, self._y = x.reshape(*y.shape, -1)[:, self.seen], y[0, self.seen]
        self.index, self.name = index_of_seen(index_of(bound[1]), self.seen), name_of(bound[1])

    @property
    def targets(self) -> np.ndarray:
        return self._y

    def posterior(
        self, x: Any, levels: Sequence[float] = LEVELS, include_noise: bool = True
    ) -> Any:
        """Mean, std and intervals at new inputs (m, d) or (m,), a DataFrame with their index.

        include_noise: of an observation there, or of the function.
        """
        mean, variance = self._moments(np.asarray(x, "float64"), include_noise)
        return frame(normal_columns(mean, variance, levels), index_of(x))

    def plot_kernel(self, samples: int = 5) -> Any:
        """Functions of one input as the kernel expects them before any data: a figure."""
        self._refuse_several("plot_kernel")
        ends = float(self.x.min()), float(self.x.max())
        return plot_kernel(self.layer.kernel, ends, samples)

    def plot_posterior(self, name: str = "x", levels: Sequence[float] = (95,)) -> Any:
        """Data, mean and bands of one input: a figure. name: of the input."""
        self._refuse_several("plot_posterior")
        groups = [("data", self.x[0, :, 0], self.targets)]
        return plot_function(
            lambda x: self._moments(x, True),
            groups,
            self.name,
            name,
            None,
            self._told(levels),
            levels,
        )

    def _told(self, levels: Sequence[float]) -> str:
        """How well rows are predicted from all others; shares are of normal bands."""
        return f"each left out once: {judged(self.targets, self.left_out(), levels)}"

    def _refuse_several(self, what: str) -> None:
        if self.x.shape[2] != 1:
            raise ValueError(
                f"{what}: {self.x.shape[2]} inputs; plot_leave_one_out shows any number."
            )

    def _moments(self, x: np.ndarray, include_noise: bool) -> Moments:
        """Mean and variance at x (m, d) or (m,) of an observation or of the function, (m,) each."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _moments")

    def _rows(self, x: np.ndarray) -> mx.nd.NDArray:
        """New inputs (m, d) or (m,) as the layer takes them, (1, m, d)."""
        dtype = np.dtype(self.layer.dtype or "float32").name
        return mx.nd.array(x.reshape(len(x), -1)[None], dtype=dtype)


class ProcessAnalysis(FunctionAnalysis):
    """What a trained process with normal noise says; made by `gluon_linalg.analyze`.

    layer: a `GPLikelihoodLayer`, `StateSpaceGPLayer`, `SGPRLikelihoodLayer` or
    `FITCLikelihoodLayer`; x, y and further arguments as of its `condition`.
    """

    def __init__(self, layer: Any, *arrays: Any, **keywords: Any) -> None:
        given = {k: v for k, v in keywords.items() if k != "include_noise"}
        super().__init__(layer, *arrays, **given)
        bound = layer._bound(arrays, given)
        named = {name: value for (name, _), value in zip(layer.arguments, bound)}
        self.predictor = layer.condition(**{k: v for k, v in named.items() if v is not None})

    def summary(self) -> str:
        """The parameters, and how well each row is predicted from all others, as text."""
        lines = text_table(("parameter", "value"), self._parameters())
        return "\n".join(lines) + "\n\n" + super().summary()

    def _parameters(self) -> List[Tuple[str, str]]:
        """Pairs of a name and figures: those of the kernel, the mean and the noise."""
        found = []
        for name, parameter in self.layer._collect_params_with_prefix().items():
            is_own = isinstance(parameter, (PositiveParameter, GivenParameter))
            values = np.ravel(parameter.value() if is_own else parameter.data().asnumpy())
            if name != "inducing_points" and len(values) <= MOST_SHOWN:
                found.append((name, ", ".join(figure(float(value)) for value in values)))
        return found

    def left_out(self) -> Moments:
        # What is sparse keeps no data.
        data = self.data if isinstance(self.layer, CollapsedGPLayer) else ()
        mean, variance = list(self.predictor.leave_one_out(*data))[:2]
        return tuple(a.asnumpy()[0, self.seen].astype("float64") for a in (mean, variance))

    def _moments(self, x: np.ndarray, include_noise: bool) -> Moments:
        with mx.autograd.pause():
            found = self.predictor(self._rows(x))
        mean, variance = (array.asnumpy()[0].astype("float64") for array in found)
        noise = self.noise_variance if include_noise else 0.0
        return mean, np.maximum(variance, 0.0) + noise

    @property
    def noise_variance(self) -> float:
        """Of a new observation; 0 where each has its own."""
        noise: Optional[Any] = getattr(self.layer, "noise_variance", None)
        value = [] if noise is None else noise.value()
        return float(value[0]) if len(value) == 1 else 0.0
