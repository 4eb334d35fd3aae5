"""Forecasts of a predictor as tables."""

import numpy as np
import pandas as pd

from .estimators import explained, mx
from .times import time_text

# The quantiles of a table of forecasts.
SHOWN = (0.1, 0.5, 0.9)


def forecasts(predictor, entries, seed, path):
    """The forecasts of GluonTS for a list of entries; JobError names the item that has none."""
    # A structural predictor draws by MXNet's generator; the others have the seed themselves.
    mx.random.seed(seed)
    with explained(path):
        return list(predictor.predict(entries))


def forecast_columns(names, found, quantiles=SHOWN):
    """item, time, mean and quantiles of forecasts, below one another; pairs of name and values."""
    items = [name for name, one in zip(names, found) for _ in range(one.prediction_length)]
    times = [text for one in found for text in times_of(one)]
    columns = [("item", items), ("time", times), ("mean", _joined(one.mean for one in found))]
    for level in quantiles:
        columns.append((f"{level:g}", _joined(one.quantile(level) for one in found)))
    return columns


def times_of(forecast):
    """The texts of the steps of a forecast."""
    return [time_text(one) for one in periods_of(forecast)]


def periods_of(forecast):
    start = forecast.start_date
    return pd.period_range(start, periods=forecast.prediction_length, freq=start.freq)


def _joined(arrays):
    return np.concatenate([np.asarray(array, dtype="float64") for array in arrays])
