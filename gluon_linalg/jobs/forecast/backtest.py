"""Forecasts of what is known, judged side by side with those of a seasonal naive predictor."""

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import pandas as pd

from .dataset import ForecastData
from .forecasting import band_of, forecasts

if TYPE_CHECKING:
    from gluonts.model.predictor import Predictor

QUANTILES = tuple(round(0.1 * number, 1) for number in range(1, 10))
# Names of GluonTS's Evaluator; mean_wQuantileLoss is the CRPS, on these quantiles.
METRICS = ("mean_wQuantileLoss", "MASE", "RMSE")
# That of this level is always told.
COVERED = 80
NAIVE = "seasonal_naive"

Metrics = Dict[str, Optional[float]]


class Window(NamedTuple):
    """A window of an item: the observations up to its end, and what was forecast of its steps."""

    item: str
    number: int
    series: pd.Series
    forecast: Any


def backtest(predictor: "Predictor", dataset: ForecastData, seed: int) -> List[Window]:
    """The `Window`s of a dataset, those of the first window of all items first."""
    found = []
    for number in range(dataset.windows):
        known = dataset.before(number)
        until = dataset.before(number + 1)
        for entry, forecast in zip(until, forecasts(predictor, known, seed, dataset.path)):
            index = pd.period_range(
                entry["start"], periods=len(entry["target"]), freq=entry["start"].freq
            )
            series = pd.Series(entry["target"], index=index)
            found.append(Window(entry["item_id"], number, series, forecast))
    return found


def season_of(freq: str) -> int:
    """The steps after which a series of this frequency repeats itself; 1 where it does not."""
    from gluonts.time_feature import get_seasonality

    return get_seasonality(freq)


def naive_predictor(season: int, prediction_length: int) -> "Predictor":
    """What repeats the last season."""
    from gluonts.model.seasonal_naive import SeasonalNaivePredictor

    return SeasonalNaivePredictor(prediction_length, season)


def judge(
    windows: Sequence[Window], season: int, levels: Sequence[float] = ()
) -> Tuple[Metrics, Dict[str, Metrics]]:
    """The metrics of all windows as a dict, and a dict of those of each item.

    season: the steps from one value to that with which the MASE compares it; levels: of the bands
    of which it is told how many observations are inside, that of 80 % besides.
    """
    from gluonts.evaluation import Evaluator

    evaluator = Evaluator(QUANTILES, seasonality=season, num_workers=0)
    # Without the bar that a call of the evaluator would show.
    with np.errstate(all="ignore"):
        rows = [evaluator.get_metrics_per_ts(one.series, one.forecast) for one in windows]
        frame = pd.DataFrame.from_records(rows)
        numbers = [name for name in frame.columns if name not in ("item_id", "forecast_start")]
        frame = frame.astype(dict.fromkeys(numbers, "float64"))
        items = [one.item for one in windows]
        each = {
            name: _metrics(evaluator, own, [one for one in windows if one.item == name], levels)
            for name, own in frame.groupby(items, sort=False)
        }
        return _metrics(evaluator, frame, windows, levels), each


def observed(window: Window) -> np.ndarray:
    """The observations of its steps, NaN where one is missing."""
    return window.series.to_numpy()[-window.forecast.prediction_length :]


def _metrics(
    evaluator: Any, frame: pd.DataFrame, windows: Sequence[Window], levels: Sequence[float]
) -> Metrics:
    totals, _ = evaluator.get_aggregate_metrics(frame)
    found = {name: _number(totals[name]) for name in METRICS}
    for level in sorted({COVERED, *levels}):
        found[f"coverage_{level:g}"] = coverage(windows, level)
    return found


def coverage(windows: Sequence[Window], level: float) -> Optional[float]:
    """The share of the observations inside of the band of a level."""
    inside, count = 0, 0
    for one in windows:
        y = observed(one)
        low, high = band_of(one.forecast, level)
        known = np.isfinite(y)
        inside += int(((low <= y) & (y <= high))[known].sum())
        count += int(known.sum())
    return inside / count if count else None


def _number(value: Any) -> Optional[float]:
    """None for a metric that divides by nothing, such as the MASE of a constant series."""
    value = np.ma.filled(np.ma.asarray(value, dtype="float64"), np.nan)
    return float(value) if np.isfinite(value) else None
