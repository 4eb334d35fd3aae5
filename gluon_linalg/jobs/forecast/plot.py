"""The picture of a forecast job: the end of some series, the backtest and the forecast."""

from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
import pandas as pd

from ..picture import HELD_OUT, INK, MODEL, save_picture
from .forecasting import periods_of

if TYPE_CHECKING:
    from .backtest import Window
    from .dataset import ForecastData

FORECAST = "#c77d0a"
MOST_SERIES = 6
PANEL_HEIGHT = 2.2
# What is seen of a series: at least so many forecasts, and so many steps.
FORECASTS_SEEN, STEPS_SEEN = 6, 60


def plot_forecasts(
    path: str, dataset: "ForecastData", found: Sequence[Any], windows: Sequence["Window"]
) -> None:
    """Of the first series: observations, and medians with 80 % bands of backtest and forecast."""
    save_picture(path, lambda pyplot: _draw(pyplot, dataset, found, windows))


def _draw(pyplot, dataset, found, windows):
    entries = dataset.entries[:MOST_SERIES]
    figure, panels = pyplot.subplots(
        len(entries), 1, figsize=(10, PANEL_HEIGHT * len(entries) + 0.8), constrained_layout=True,
        squeeze=False,
    )  # fmt: skip
    panels = panels[:, 0]
    seen = max(STEPS_SEEN, (FORECASTS_SEEN + dataset.windows) * dataset.prediction_length)
    for axes, entry, forecast in zip(panels, entries, found):
        _draw_observed(axes, entry, seen, dataset)
        own = [one.forecast for one in windows if one.item == entry["item_id"]]
        for index, one in enumerate(own):
            _draw_forecast(axes, one, MODEL, None if index else "backtest, 80 % band")
        _draw_forecast(axes, forecast, FORECAST, "forecast, 80 % band")
        axes.set_title(entry["item_id"] if len(dataset.entries) > 1 else "Backtest and forecast")
        axes.margins(x=0.01)
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=4, fontsize=8)
    return figure


def _draw_observed(axes, entry, seen, dataset):
    target = entry["target"]
    first = max(0, len(target) - seen)
    begin = entry["start"] + first
    times = _places(pd.period_range(begin, periods=len(target) - first, freq=begin.freq))
    values = target[first:]
    size = np.clip(60.0 / np.sqrt(len(values)), 1.8, 5.0)
    axes.plot(times, values, color=INK, lw=0.6, alpha=0.4)
    held = dataset.windows * dataset.prediction_length
    cut = len(values) - held
    dots = {"ms": size, "mew": 0, "zorder": 3}
    axes.plot(times[:cut], values[:cut], "o", color=INK, label="observed", **dots)
    if held:
        axes.plot(
            times[cut:], values[cut:], "o", color=HELD_OUT, label="kept from training", **dots
        )


def _draw_forecast(axes, forecast, color, label):
    times = _places(periods_of(forecast))
    low, middle, high = (forecast.quantile(q) for q in (0.1, 0.5, 0.9))
    if len(times) == 1:
        # A single step would have no width.
        axes.errorbar(
            times, middle, [middle - low, high - middle], fmt=".", color=color, lw=1.2, label=label
        )
        return
    axes.fill_between(times, low, high, color=color, alpha=0.25, lw=0)
    axes.plot(times, middle, color=color, lw=1.2, label=label)


def _places(periods):
    """The beginnings of periods; pandas has no timestamps for the years before 1678."""
    return np.array([
        np.datetime64(
            f"{p.year:04d}-{p.month:02d}-{p.day:02d}T{p.hour:02d}:{p.minute:02d}:{p.second:02d}"
        )
        for p in (period.asfreq("s", how="start") for period in periods)
    ])  # fmt: skip
