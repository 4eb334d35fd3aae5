"""Residuals of state space models, their tests, and the information matrix they give."""

import copy
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..blocks.arguments import plain
from ..blocks.kalman import KalmanFilterLayer
from ..blocks.kalman_views import KalmanViewsLayer
from ..blocks.multivariate.base import MultivariateModel
from ..blocks.structural import StructuralModel
from ..plots.diagnostics import plot_diagnostics
from ..plots.series import SeriesPicture, plot_panel
from ..plots.style import Moments
from .index import SeriesIndex
from .residuals import ResidualTest, autocorrelations, residual_tests
from .tables import figure, frame, text_table

MOST_LAGS = 24
NAMES = ("innovations", "predicted_observation", "auxiliary_residuals")


class Innovations:
    """What a filter expects of each of T observations of p elements, of one series.

    standardized: (T, p), NaN where nothing is observed, or the observations before leave it open;
    errors (T, p), covariance (T, p, p): of each observation given those before, and `known`,
    (T, p), where it is observed and determined by them; outliers (T, p), shifts (T, d): the
    auxiliary residuals. Of y, mask and the views of `NAMES`, NumPy arrays.
    """

    def __init__(self, y: np.ndarray, mask: np.ndarray, *views: np.ndarray) -> None:
        standardized, mean, self.covariance, self.outliers, self.shifts = views
        self.observed = mask > 0
        diagonal = np.diagonal(self.covariance, axis1=1, axis2=2)
        self.known = self.observed & np.isfinite(diagonal)
        self.errors = np.where(self.known, y - mean, 0.0)
        self.standardized = np.where(self.known, standardized, np.nan)

    def until(self, count: int) -> "Innovations":
        """Those of the first steps."""
        found = copy.copy(self)
        for name, values in vars(self).items():
            setattr(found, name, values[:count])
        return found

    @property
    def begin(self) -> int:
        """The first step that the observations before it determine."""
        is_open = ~np.isfinite(np.diagonal(self.covariance, axis1=1, axis2=2)).all(axis=1)
        return int(np.flatnonzero(is_open)[-1]) + 1 if is_open.any() else 0


def innovations_of(layer: Any, arrays: Sequence[Any]) -> List[Innovations]:
    """The `Innovations` of each series of a batch; layer, arrays: as of `StateSpaceAnalysis`."""
    inputs, own = list(arrays), layer
    if not isinstance(layer, KalmanFilterLayer):
        made, own = layer.kalman_inputs(mx.nd, *arrays), layer.filter
        inputs = list(made[0] if isinstance(made, tuple) else made)
    with mx.autograd.pause():
        mask = dict(zip((name for name, _ in own.arguments), inputs)).get("mask")
        mask = mx.nd.ones_like(inputs[0]) if mask is None else mask
        found = [inputs[0], mask, *views_of(own, inputs, NAMES)]
    each = zip(*(array.asnumpy().astype("float64") for array in found))
    return [Innovations(*own) for own in each]


def views_of(
    layer: KalmanFilterLayer, arrays: Sequence[Any], outputs: Sequence[str], steps: int = 0
) -> Sequence[mx.nd.NDArray]:
    """The views of a filter's model by their names (`KalmanViewsLayer`), of its own arrays."""
    views = KalmanViewsLayer(
        layer._states,
        layer._observations,
        outputs=outputs,
        steps=steps,
        diffuse=layer._diffuse,
        prior="stationary" if layer._is_stationary else "known",
        singular="skip" if layer._skips else "refuse",
    )
    views.cast(np.dtype(arrays[0].dtype).name)
    found = views.results(mx.nd, *arrays)
    return found if isinstance(found, (list, tuple)) else [found]


def received(layer: Any, arrays: Sequence[Any], keywords: Mapping[str, Any]) -> List[Any]:
    """The arguments of a state space layer, NDArrays; NaN in a y without a mask is missing."""
    bound = list(layer._bound(arrays, keywords))
    names = [name for name, _ in layer.arguments]
    bound += [None] * (len(names) - len(bound))
    place = names.index("mask")
    if bound[place] is None:
        if isinstance(bound[0], mx.nd.NDArray):
            y = bound[0].asnumpy()
        else:
            y = bound[0] = np.asarray(plain(layer.arguments[0][1], bound[0]))
            y = y.astype("float64") if y.dtype.kind != "c" else y
        if np.isnan(y).any():
            bound[place] = (~np.isnan(y)).astype("float64")
    while bound[-1] is None:
        bound.pop()
    return list(layer._data(*bound))


class StateSpaceAnalysis:
    """What a trained state space model leaves of one series; made by `gluon_linalg.analyze`.

    layer: a `StructuralModel`, a model of several series or a `KalmanFilterLayer`; arrays: what it
    is called with. All tables are pandas', with the index of y.
    """

    def __init__(self, layer: Any, *arrays: Any, **keywords: Any) -> None:
        self.layer, self.given = layer, arrays[0] if arrays else keywords["y"]
        self.given_covariates = keywords.get("covariates", arrays[1] if arrays[1:] else None)
        self.arrays = received(layer, arrays, keywords)
        y = self.arrays[0]
        if y.shape[0] != 1:
            raise ValueError(
                f"analyze: {y.shape[0]} series that share a model; give one of them, y[i]."
            )
        self.index = SeriesIndex(self.given, y.shape[1])
        self._innovations: Optional[Innovations] = None

    @property
    def innovations(self) -> Innovations:
        """What the filter expects of each observation."""
        if self._innovations is None:
            (self._innovations,) = innovations_of(self.layer, self.arrays)
        return self._innovations

    @property
    def names(self) -> List[str]:
        """Of the elements of an observation."""
        count = self.innovations.errors.shape[1]
        columns = getattr(self.given, "columns", None)
        if columns is not None and len(columns) == count:
            return [str(name) for name in columns]
        return [self.index.name] if count == 1 else [f"y{k + 1}" for k in range(count)]

    def residuals(self) -> Any:
        """Standardized one-step residuals: independent, standard normal if the model is right.

        A Series, of several elements a DataFrame; NaN where nothing was observed, and for the
        observations that diffuse initial states take. Durbin & Koopman 2012, section 2.12.
        """
        found = frame(self.innovations.standardized, self.index.seen)
        found.columns = self.names
        return found if len(self.names) > 1 else found.iloc[:, 0]

    def tests(self, lags: Optional[int] = None) -> Dict[str, List[ResidualTest]]:
        """Ljung-Box, Jarque-Bera and H of the residuals of each element, by its name."""
        return tests_of(self.innovations, self.names, lags)

    def diagnostics(self, lags: Optional[int] = None) -> Any:
        """The `tests` as a DataFrame: statistic and p by element and test."""
        rows = [(name, *test) for name, own in self.tests(lags).items() for test in own]
        columns = dict(zip(("series", "test", "statistic", "p"), zip(*rows)))
        if len(self.names) == 1:
            del columns["series"]
        return frame(columns).set_index(list(columns)[:-2])

    def auxiliary_residuals(self) -> Any:
        """t statistics of an outlier in each observation, and of a shift of each state after it.

        A DataFrame: a column for each element of y, named ``observation``, and for each state.
        Harvey & Koopman 1992; Durbin & Koopman 2012, section 7.5.
        """
        found = self.innovations
        names = ["observation"] if len(self.names) == 1 else self.names
        columns = {n: found.outliers[:, k] for k, n in enumerate(names)}
        columns.update({n: found.shifts[:, k] for k, n in enumerate(self.state_names)})
        return frame(columns, self.index.seen)

    @property
    def state_names(self) -> List[str]:
        """Of the elements of the state."""
        size = self.innovations.shifts.shape[1]
        return list(getattr(self.layer, "state_names", [f"state {k + 1}" for k in range(size)]))

    def smooth(self) -> Any:
        """Mean and standard deviation of each state given all observations, a DataFrame."""
        mean, variance = self._states()
        columns = {}
        for k, name in enumerate(self.state_names):
            columns[name], columns[f"{name}, std"] = mean[:, k], np.sqrt(variance[:, k])
        return frame(columns, self.index.seen)

    def _states(self) -> Moments:
        """Mean and variance of each state given all observations, (T, d) each."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _states")

    def summary(self) -> str:
        """The tests as text."""
        return tests_text(self.tests())

    def plot_diagnostics(self, name: Optional[str] = None) -> Any:
        """Residuals in time, their distribution and autocorrelations: a figure.

        name: of an element of y; None for the first.
        """
        place = self.names.index(name) if name is not None else 0
        found = self.innovations
        known = found.standardized[found.begin :, place]
        lags = max(1, min(MOST_LAGS, len(known) // 2))
        return plot_diagnostics(
            found.standardized[:, place],
            autocorrelations(known, lags)[0],
            self.index.places(),
            self.names[place],
        )

    def _plot_ahead(
        self, y: Any, signal: Moments, noise: np.ndarray, steps: int, levels: Sequence[float]
    ) -> Any:
        """Each element of y (1, T, p) and what comes next, of moments (T + h, p) of the signal.

        noise: (p,), what an observation varies more than its signal.
        """
        observed = np.where(self.innovations.observed, y.asnumpy()[0], np.nan)
        time = self.index.seen.name
        pictures = {
            name: SeriesPicture(
                name,
                "" if time is None else str(time),
                self.index.places(steps),
                observed[:, k],
                (signal[0][:, k], signal[1][:, k]),
                float(noise[k]),
                levels=levels,
            )
            for k, name in enumerate(self.names)
        }
        return plot_panel(pictures)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.layer).__name__})"


def covariates_ahead(
    seen: Any, steps: int, columns: int, covariates: Optional[Any]
) -> mx.nd.NDArray:
    """Covariates (1 or B, T, k) and after them those of the steps ahead, (steps, k) or (1, ., k).

    columns: k. ValueError where there are none, or the model has none.
    """
    if not columns:
        raise ValueError("forecast: the model has no regression; leave out covariates.")
    later = None if covariates is None else np.asarray(covariates, "float64")
    if later is None or later.shape not in ((steps, columns), (1, steps, columns)):
        given = "none" if later is None else f"those of shape {later.shape}"
        raise ValueError(
            f"forecast: the model has a regression on {columns} covariates, and got {given}; "
            f"give those of the steps ahead, ({steps}, {columns})."
        )
    later = mx.nd.array(later.reshape(1, steps, columns), dtype=seen.dtype, ctx=seen.context)
    return mx.nd.concat(seen, later, dim=1)


def tests_of(
    found: Innovations, names: Sequence[str], lags: Optional[int] = None
) -> Dict[str, List[ResidualTest]]:
    """The tests of each element of the observations of a series, by its name."""
    return {
        name: residual_tests(found.standardized[found.begin :, k], lags)
        for k, name in enumerate(names)
    }


def has_innovations(layer: Any) -> bool:
    """Whether a layer is a filter, or a model with one, of which `innovations_of` knows."""
    return isinstance(layer, (StructuralModel, MultivariateModel, KalmanFilterLayer))


def residual_tests_of(layer: Any, arrays: Sequence[Any]) -> Dict[str, List[ResidualTest]]:
    """The tests of one series; layer, arrays: as of `StateSpaceAnalysis`."""
    (found,) = innovations_of(layer, arrays)
    return tests_of(found, [f"y{k + 1}" for k in range(found.errors.shape[1])])


def tests_text(tests: Dict[str, List[ResidualTest]]) -> str:
    """Tests by the name of their series as text."""
    several = len(tests) > 1
    headings = [*["series"] * several, "test of residuals", "statistic", "p"]
    rows = [
        [
            *[name] * several,
            one.name,
            figure(one.statistic),
            "" if np.isnan(one.p) else f"{one.p:.3f}",
        ]
        for name, own in tests.items()
        for one in own
    ]
    return "\n".join(text_table(headings, rows)) + "\n"


def prediction_moments(layer: Any, arrays: Sequence[Any]) -> Tuple[np.ndarray, np.ndarray]:
    """Errors (n, p) and covariances (n, p, p) of the predictions of all series, step by step.

    Of the steps that diffuse initial states take there are none. Of what is not observed the error
    is 0 and the variance 1, whatever the parameters are.
    """
    errors, covariances = [], []
    for found in innovations_of(layer, arrays):
        begin = found.begin
        known = found.known[begin:]
        pairs = known[:, :, None] & known[:, None, :]
        eye = np.broadcast_to(np.eye(known.shape[1]), pairs.shape)
        errors.append(found.errors[begin:])
        covariances.append(np.where(pairs, found.covariance[begin:], eye))
    return np.concatenate(errors), np.concatenate(covariances)
