"""Forecasts of a predictor as tables."""

from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import mxnet as mx
import numpy as np
import pandas as pd

from ..predictions import Columns
from .estimators import explained
from .times import Times

if TYPE_CHECKING:
    from gluonts.model.forecast import Forecast
    from gluonts.model.predictor import Predictor

# The quantiles of a table of forecasts.
SHOWN = (0.1, 0.5, 0.9)


def band_of(forecast: "Forecast", level: float) -> Tuple[np.ndarray, np.ndarray]:
    """The ends of the band of a level in percent: as much of the forecast is below as above it."""
    tail = 0.5 - level / 200.0
    return forecast.quantile(tail), forecast.quantile(1.0 - tail)


def forecasts(
    predictor: "Predictor", entries: Sequence[Dict[str, Any]], seed: int, path: Any
) -> List["Forecast"]:
    """The forecasts of GluonTS for a list of entries; JobError names the item that has none."""
    # A structural predictor draws by MXNet's generator; the others have the seed themselves.
    mx.random.seed(seed)
    with explained(path):
        return list(predictor.predict(entries))


def forecast_columns(
    names: Sequence[str],
    found: Sequence["Forecast"],
    times: Mapping[str, Times],
    levels: Sequence[float],
    quantiles: Sequence[float] = SHOWN,
) -> Columns:
    """item, time, mean, quantiles and bands of forecasts, below one another, by name.

    times: the `Times` of each name; levels: of the bands, in percent.
    """
    items = [name for name, one in zip(names, found) for _ in range(one.prediction_length)]
    texts = [times[n].text(p) for n, one in zip(names, found) for p in periods_of(one)]
    columns: Columns = [
        ("item", items),
        ("time", texts),
        ("mean", _joined(one.mean for one in found)),
    ]
    for quantile in quantiles:
        columns.append((f"{quantile:g}", _joined(one.quantile(quantile) for one in found)))
    for level in levels:
        ends = zip(*(band_of(one, level) for one in found))
        names_of_ends = f"lower_{level:g}", f"upper_{level:g}"
        columns += [(name, _joined(end)) for name, end in zip(names_of_ends, ends)]
    return columns


def periods_of(forecast: "Forecast") -> pd.PeriodIndex:
    """The periods of the steps of a forecast."""
    start = forecast.start_date
    return pd.period_range(start, periods=forecast.prediction_length, freq=start.freq)


def _joined(arrays: Iterable[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(array, dtype="float64") for array in arrays])
