"""What a model says of several series, or sets of rows, that share it."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

import numpy as np

from ..plots.series import plot_panel
from .index import index_of
from .residuals import ResidualTest
from .rows import NOMINAL
from .state_space import StateSpaceAnalysis, tests_text
from .structural import StructuralAnalysis
from .tables import LEVELS


class PanelAnalysis:
    """What a model says of B sets of data that share it, each analysed by itself.

    ``found[name]`` is the analysis of one. y is a DataFrame with a row for each series and a
    column for each step, whose index has the names, or an array (B, ...): then they are called
    0, 1, ...
    """

    def __init__(self, analyses: Mapping[Any, Any]) -> None:
        self.analyses = dict(analyses)

    @property
    def names(self) -> List[Any]:
        """Of the sets of data, in their order."""
        return list(self.analyses)

    def __getitem__(self, name: Any) -> Any:
        """The analysis of one."""
        if name not in self.analyses:
            raise KeyError(f"there is no series {name!r}; expected one of {self.names}.")
        return self.analyses[name]

    def coefficients(self, *level: Any) -> Any:
        """Those of each regression, a DataFrame: columns by series and name."""
        return self._beside(own.coefficients(*level) for own in self.analyses.values())

    def summary(self) -> str:
        """That of each, under its name, as text."""
        return "\n".join(f"{name}\n{own.summary()}" for name, own in self.analyses.items())

    def _beside(self, tables: Iterable[Any]) -> Any:
        return _joined(dict(zip(self.names, tables)), axis=1)

    def _below(self, tables: Iterable[Any]) -> Any:
        return _joined(dict(zip(self.names, tables)), axis=0)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self.analyses)}"


class SeriesPanelAnalysis(PanelAnalysis):
    """What a state space model says of B series that share it; made by `gluon_linalg.analyze`.

    Tables have the series in their columns, above those of the `StateSpaceAnalysis` or
    `StructuralAnalysis` of one: ``found.forecast(4)["north"]["mean"]``. A series that is short of
    others ends with missing values, and its forecast begins where the longest ends.
    """

    def residuals(self) -> Any:
        """Standardized one-step residuals: a DataFrame with a column for each series."""
        return self._beside(own.residuals() for own in self.analyses.values())

    def tests(self, lags: Optional[int] = None) -> Dict[str, List[ResidualTest]]:
        """Ljung-Box, Jarque-Bera and H of the residuals by the name of the series."""
        found: Dict[str, List[ResidualTest]] = {}
        for name, own in self.analyses.items():
            each = own.tests(lags)
            for element, tests in each.items():
                found[str(name) if len(each) == 1 else f"{name}, {element}"] = tests
        return found

    def diagnostics(self, lags: Optional[int] = None) -> Any:
        """The `tests` as a DataFrame: statistic and p by series and test."""
        return self._below(own.diagnostics(lags) for own in self.analyses.values())

    def auxiliary_residuals(self) -> Any:
        """t statistics of outliers and of shifts of the states of each series: a DataFrame."""
        return self._beside(own.auxiliary_residuals() for own in self.analyses.values())

    def smooth(self) -> Any:
        """Mean and standard deviation of each state given all observations, a DataFrame."""
        return self._beside(own.smooth() for own in self.analyses.values())

    def decompose(self) -> Any:
        """What the signal and each component contribute to each series: a DataFrame."""
        return self._beside(own.decompose() for own in self.analyses.values())

    def forecast(
        self, steps: int, levels: Sequence[float] = LEVELS, covariates: Optional[Any] = None
    ) -> Any:
        """Of the next observations, noise included: mean, std and intervals, a DataFrame.

        covariates: of the steps ahead, (steps, k), or (B, steps, k) of each series.
        """
        pairs = zip(self.analyses.values(), self._ahead(covariates))
        return self._beside(own.forecast(steps, levels, **later) for own, later in pairs)

    def summary(self) -> str:
        """The tests of each series as text."""
        return tests_text(self.tests())

    def plot_forecast(
        self, steps: int, covariates: Optional[Any] = None, levels: Sequence[float] = LEVELS
    ) -> Any:
        """The first series and what comes next, a panel for each: a figure.

        TypeError for other models than a `StructuralModel`.
        """
        if not all(isinstance(own, StructuralAnalysis) for own in self.analyses.values()):
            raise TypeError(
                "plot_forecast: draws many series of a StructuralModel; of other models one by its "
                "name, found[name].plot_forecast(steps)."
            )
        each = zip(self.analyses.items(), self._ahead(covariates))
        pictures = {
            str(name): own.picture(steps, later.get("covariates"), levels)
            for (name, own), later in each
        }
        return plot_panel(pictures)

    def _ahead(self, covariates: Optional[Any]) -> Sequence[Mapping[str, Any]]:
        """The covariates of each series, where there are any, as a keyword."""
        if covariates is None:
            return [{}] * len(self.analyses)
        shared = np.ndim(covariates) < 3 or len(covariates) != len(self.analyses)
        each = [covariates] * len(self.analyses) if shared else covariates
        return [{"covariates": own} for own in each]


class RowsPanelAnalysis(PanelAnalysis):
    """What a process or regression says of B data sets that share it; by `gluon_linalg.analyze`.

    Tables are those of the analysis of one, under or beside each other by the name of the set.
    """

    def leave_one_out(self) -> Any:
        """Each row predicted from all others of its set: a DataFrame, by set and row."""
        return self._below(own.leave_one_out() for own in self.analyses.values())

    def calibration(self, levels: Sequence[float] = NOMINAL) -> Any:
        """The share of rows inside of their intervals, in percent, a column for each set."""
        found = self._beside(own.calibration(levels) for own in self.analyses.values())
        return found.droplevel(-1, axis=1) if found.columns.nlevels == 2 else found

    def posterior(self, x: Any, *levels: Any, **keywords: Any) -> Any:
        """Of each set at the same new inputs (m, d) or (m,): a DataFrame, columns by set."""
        each = self.analyses.values()
        return self._beside(own.posterior(x, *levels, **keywords) for own in each)


def number_of_sets(layer: Any, arrays: Sequence[Any], keywords: Mapping[str, Any]) -> int:
    """B of a y that has a batch axis; 1 of others, and of what has no y."""
    rules = dict(getattr(layer, "arguments", ()))
    given: Any = {**dict(zip(rules, arrays)), **keywords}.get("y")
    shape = np.shape(given)
    axes = rules.get("y", "").split()
    return shape[0] if axes and len(shape) == len(axes) else 1


def panel_of(analysis: Callable[..., Any], layer: Any, *arrays: Any, **keywords: Any) -> Any:
    """The analyses of all sets of data, each by `analysis`."""
    rules = dict(layer.arguments)
    given = {**dict(zip(rules, arrays)), **keywords}
    y = given["y"]
    count = np.shape(y)[0]
    index = index_of(y)
    names = list(range(count) if index is None else index)
    if len(set(names)) < count:
        raise ValueError("analyze: two series have the same name in the index of y.")
    analyses = {}
    for place, name in enumerate(names):
        own = {
            key: _of_set(value, rules[key], count, place) if key in rules else value
            for key, value in given.items()
        }
        analyses[name] = analysis(layer, **own)
    is_series = all(isinstance(own, StateSpaceAnalysis) for own in analyses.values())
    return (SeriesPanelAnalysis if is_series else RowsPanelAnalysis)(analyses)


def _of_set(value: Any, axes: str, count: int, place: int) -> Any:
    """What belongs to a set of an argument, which all may share."""
    shape = np.shape(value)
    if value is None or len(shape) != len(axes.split()) or shape[0] != count:
        return value
    return value.iloc[place] if hasattr(value, "iloc") else value[place]


def _joined(tables: Dict[Any, Any], axis: int) -> Any:
    import pandas

    return pandas.concat(list(tables.values()), axis=axis, keys=list(tables))
