"""Forecasts of a predictor as tables."""

import mxnet as mx
import numpy as np
import pandas as pd

from .estimators import explained

# The quantiles of a table of forecasts.
SHOWN = (0.1, 0.5, 0.9)


def forecasts(predictor, entries, seed, path):
    """The forecasts of GluonTS for a list of entries; JobError names the item that has none."""
    # A structural predictor draws by MXNet's generator; the others have the seed themselves.
    mx.random.seed(seed)
    with explained(path):
        return list(predictor.predict(entries))


def forecast_columns(names, found, times, quantiles=SHOWN):
    """item, time, mean and quantiles of forecasts, below one another; pairs of name and values.

    times: the `Times` of each name.
    """
    items = [name for name, one in zip(names, found) for _ in range(one.prediction_length)]
    texts = [times[n].text(p) for n, one in zip(names, found) for p in periods_of(one)]
    columns = [("item", items), ("time", texts), ("mean", _joined(one.mean for one in found))]
    for level in quantiles:
        columns.append((f"{level:g}", _joined(one.quantile(level) for one in found)))
    return columns


def periods_of(forecast):
    """The periods of the steps of a forecast."""
    start = forecast.start_date
    return pd.period_range(start, periods=forecast.prediction_length, freq=start.freq)


def _joined(arrays):
    return np.concatenate([np.asarray(array, dtype="float64") for array in arrays])
