"""Forecasts of a predictor as tables."""

from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Sequence

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
    quantiles: Sequence[float] = SHOWN,
) -> Columns:
    """item, time, mean and quantiles of forecasts, below one another; pairs of name and values.

    times: the `Times` of each name.
    """
    items = [name for name, one in zip(names, found) for _ in range(one.prediction_length)]
    texts = [times[n].text(p) for n, one in zip(names, found) for p in periods_of(one)]
    columns: Columns = [
        ("item", items),
        ("time", texts),
        ("mean", _joined(one.mean for one in found)),
    ]
    for level in quantiles:
        columns.append((f"{level:g}", _joined(one.quantile(level) for one in found)))
    return columns


def periods_of(forecast: "Forecast") -> pd.PeriodIndex:
    """The periods of the steps of a forecast."""
    start = forecast.start_date
    return pd.period_range(start, periods=forecast.prediction_length, freq=start.freq)


def _joined(arrays: Iterable[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(array, dtype="float64") for array in arrays])
