"""The weights of a Bayesian linear regression, and how well it knows its data."""

from typing import Any, List, Optional, Sequence

import numpy as np

from ..blocks.blr import BLRLikelihoodLayer
from ..plots.regression import plot_coefficients
from ..plots.style import Moments
from .index import index_of, name_of
from .rows import index_of_seen
from .several import SeveralAnalysis, TargetRows, names_of_targets
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


class RegressionAnalysis(TargetRows):
    """What a trained `BLRLikelihoodLayer` says of one target; made by `gluon_linalg.analyze`.

    feature_names: of the d features; weights: their posterior mean and variance, (d,) each.
    """

    def __init__(
        self,
        layer: BLRLikelihoodLayer,
        name: str,
        targets: np.ndarray,
        moments: Moments,
        index: Any,
        feature_names: Sequence[str],
        weights: Moments,
    ) -> None:
        super().__init__(name, targets, moments, index)
        self.layer, self.feature_names = layer, list(feature_names)
        self.weights = weights

    def coefficients(self, levels: Sequence[float] = (95,)) -> Any:
        """Mean, std, intervals and z of each weight given the data: a DataFrame."""
        return frame(coefficient_columns(*self.weights, levels), self.feature_names)

    def summary(self) -> str:
        """The weights, and how well each row is predicted from all others, as text."""
        lines = coefficients_text(self.feature_names, coefficient_columns(*self.weights))
        return "\n".join(lines) + "\n\n" + super().summary()

    def plot_coefficients(self) -> Any:
        """The weights with their 95 % intervals: a figure."""
        return plot_coefficients(self.feature_names, self.weights)


class RegressionsAnalysis(SeveralAnalysis):
    """What a `BLRLikelihoodLayer` of several targets says; made by `gluon_linalg.analyze`.

    ``found["name"]`` is the `RegressionAnalysis` of a target. Given the variances of prior and
    noise, targets tell nothing of one another.
    """

    def __init__(self, targets: Sequence[RegressionAnalysis]) -> None:
        self._targets, self.names = list(targets), [own.name for own in targets]

    def outputs(self) -> Sequence[RegressionAnalysis]:
        return self._targets

    def coefficients(self, levels: Sequence[float] = (95,)) -> Any:
        """Mean, std, intervals and z of each weight of each target: a DataFrame."""
        return self._joined([own.coefficients(levels) for own in self._targets])

    def summary(self) -> str:
        """The weights of each target with their z, and how well it is predicted, as text."""
        table = self.coefficients()
        headings = ["coefficient", *(f"{n} {what}" for n in self.names for what in ("mean", "z"))]
        columns = [table[name][what] for name in self.names for what in ("mean", "z")]
        rows = [
            [label, *(figure(float(value)) for value in values)]
            for label, *values in zip(table.index, *columns)
        ]
        return "\n".join(text_table(headings, rows)) + "\n\n" + super().summary()

    def plot_coefficients(self, name: Optional[str] = None) -> Any:
        """The weights of one target, the first if None, with their 95 % intervals: a figure."""
        return self._targets[self._place(name)].plot_coefficients()


def analysis_of(
    layer: BLRLikelihoodLayer,
    *arrays: Any,
    names: Optional[Sequence[str]] = None,
    **keywords: Any,
) -> Any:
    """The `RegressionAnalysis` of a layer and its data, or of several targets all of them.

    phi: features (n, d), of a DataFrame with names; y: (n,) or (n, k); names: of the features.
    """
    bound = layer._bound(arrays, keywords)
    data = layer._all_data(*bound)
    phi, y, noise, mask = data
    if len(y) != 1:
        raise ValueError(f"analyze: {len(y)} data sets; give one of them, phi[i], y[i].")
    is_one = y.ndim == 2
    seen = np.ones(phi.shape[1], dtype=bool) if mask is None else mask.asnumpy()[0] > 0
    predictor = layer.condition(*bound)
    features = _feature_names(names, bound[0], phi.shape[2])
    targets = [name_of(bound[1])] if is_one else names_of_targets(None, bound[1], y.shape[2])
    mean, covariance = (_numbers(array) for array in predictor.weights())
    variance = np.maximum(np.diag(covariance), 0.0)
    given = 0.0 if noise is None else _numbers(noise)[seen]
    learned = layer.noise_variance
    noise_variance = given + (0.0 if learned is None else float(learned.value()[0]))
    least = float(np.finfo(phi.dtype).eps)
    index = index_of_seen(index_of(bound[1]), seen)
    fitted = [_numbers(array)[seen] for array in predictor(phi)]
    found = []
    columns = map(_columns, (_numbers(y)[seen], mean, *fitted))
    for name, own, weights, fit, spread in zip(targets, *columns):
        left_out = held_out_moments(own, fit, spread, noise_variance, least)
        both = weights, variance
        found.append(RegressionAnalysis(layer, name, own, left_out, index, features, both))
    return found[0] if is_one else RegressionsAnalysis(found)


def _feature_names(given, phi, count):
    found = given if given is not None else getattr(phi, "columns", None)
    names = [f"w[{k}]" for k in range(count)] if found is None else [*map(str, found)]
    if len(names) != count:
        raise ValueError(f"analyze: {len(names)} names for {count} features.")
    return names


def _columns(values):
    """Those of (n, k), and of (n,) the only one."""
    return np.atleast_2d(values.T)


def _numbers(array):
    """Of the only data set, in float64."""
    return array.asnumpy()[0].astype("float64")
