"""The weights of a Bayesian linear regression, and how well it knows its data."""

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ..plots.regression import plot_coefficients
from ..plots.style import Moments
from .index import index_of, name_of
from .rows import RowsAnalysis, index_of_seen, seen_rows
from .tables import figure, frame, normal_columns, text_table


def held_out_moments(
    y: np.ndarray, mean: np.ndarray, variance: np.ndarray, noise_variance: Any, least: float
) -> Moments:
    """Each observation given all others, of its fitted mean and the variance of that, (n,) each.

    The residual of a row that was seen, r, is (1 - h) times that of one that was not; h = variance
    / noise variance is the leverage of the row (Hastie, Tibshirani & Friedman, section 7.10), whose
    own observation has the variance noise variance / (1 - h). least: of 1 - h, which rounding may
    bring to 0 for a row that stands alone.
    """
    unseen = np.maximum(1.0 - variance / noise_variance, least)
    return y - (y - mean) / unseen, noise_variance / unseen


def coefficient_columns(
    mean: np.ndarray, variance: np.ndarray, levels: Sequence[float] = (95,)
) -> Any:
    """Mean, std, intervals and z of weights, (k,) each, by name.

    z = mean / std tells how far the posterior is from 0, in its standard deviations; it is no test
    statistic: the prior has drawn the mean towards 0.
    """
    columns = normal_columns(mean, variance, levels)
    return {**columns, "z": columns["mean"] / columns["std"]}


def coefficients_text(names: Sequence[str], columns: Any) -> List[str]:
    """The lines of a table of weights."""
    rows = [
        (name, *(figure(float(values[k])) for values in columns.values()))
        for k, name in enumerate(names)
    ]
    return text_table(["coefficient", *columns], rows)


class RegressionAnalysis(RowsAnalysis):
    """What a trained `BLRLikelihoodLayer` says, given its data; made by `gluon_linalg.analyze`.

    phi: features (n, d), of a DataFrame with names; y: (n,); names: of the features.
    """

    def __init__(
        self, layer: Any, *arrays: Any, names: Optional[Sequence[str]] = None, **keywords: Any
    ) -> None:
        self.layer = layer
        bound = layer._bound(arrays, keywords)
        data = layer._data(*bound)
        if data[1].ndim != 2 or len(data[1]) != 1:
            raise ValueError(
                "analyze: give a BLRLikelihoodLayer of one target, y of shape (n,), and one set of "
                "data; the weights of several targets are those of each by itself."
            )
        self.predictor = layer.condition(*bound)
        self._data = data
        count = data[0].shape[2]
        given = names if names is not None else getattr(bound[0], "columns", None)
        self.names = [f"w[{k}]" for k in range(count)] if given is None else [str(n) for n in given]
        if len(self.names) != count:
            raise ValueError(f"analyze: {len(self.names)} names for {count} features.")
        self.seen = seen_rows(layer, data)
        self.index, self.name = index_of_seen(index_of(bound[1]), self.seen), name_of(bound[1])

    @property
    def targets(self) -> np.ndarray:
        return self._data[1].asnumpy()[0, self.seen].astype("float64")

    def coefficients(self, levels: Sequence[float] = (95,)) -> Any:
        """Mean, std, intervals and z of each weight given the data: a DataFrame."""
        return frame(coefficient_columns(*self._weights(), levels), self.names)

    def left_out(self) -> Moments:
        found = self.predictor(self._data[0])
        mean, variance = (a.asnumpy()[0, self.seen].astype("float64") for a in found)
        noise = self._data[2] if len(self._data) > 2 else None
        given = 0.0 if noise is None else noise.asnumpy()[0, self.seen]
        learned = self.layer.noise_variance
        noise = given + (0.0 if learned is None else float(learned.value()[0]))
        least = float(np.finfo(self._data[0].dtype).eps)
        return held_out_moments(self.targets, mean, variance, noise, least)

    def summary(self) -> str:
        """The weights, and how well each row is predicted from all others, as text."""
        lines = coefficients_text(self.names, coefficient_columns(*self._weights()))
        return "\n".join(lines) + "\n\n" + super().summary()

    def plot_coefficients(self) -> Any:
        """The weights with their 95 % intervals: a figure."""
        return plot_coefficients(self.names, self._weights())

    def _weights(self) -> Tuple[np.ndarray, np.ndarray]:
        mean, covariance = (a.asnumpy()[0].astype("float64") for a in self.predictor.weights())
        return mean, np.maximum(np.diag(covariance), 0.0)
