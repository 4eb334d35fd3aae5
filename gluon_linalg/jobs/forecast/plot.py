"""The picture of a forecast job: the end of some series, the backtest and the forecast."""

from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
import pandas as pd

from ...plots.style import FORECAST, HELD_OUT, INK, MODEL, bands_named, dot_size, legend_row
from ..picture import save_picture
from .backtest import coverage
from .forecasting import band_of, periods_of

if TYPE_CHECKING:
    from .backtest import Window
    from .dataset import ForecastData

# Of windows in turn.
WINDOWS = (MODEL, "#5b8c2a")
MOST_SERIES = 6
PANEL_HEIGHT = 2.2
# What is seen of a series: at least so many forecasts, and so many steps.
FORECASTS_SEEN, STEPS_SEEN = 6, 60


def plot_forecasts(
    path: str,
    dataset: "ForecastData",
    found: Sequence[Any],
    windows: Sequence["Window"],
    levels: Sequence[float],
) -> None:
    """Of the first series: observations, and medians with bands of backtest and forecast."""
    save_picture(path, lambda pyplot: _draw(pyplot, dataset, found, windows, levels))


def _draw(pyplot, dataset, found, windows, levels):
    entries = dataset.entries[:MOST_SERIES]
    count = len(entries)
    figure, panels = pyplot.subplots(
        1 + count, 1, figsize=(10, PANEL_HEIGHT * count + 1.0), constrained_layout=True,
        gridspec_kw={"height_ratios": [0.15, *[1.0] * count]},
    )  # fmt: skip
    legend, *panels = panels
    bands = bands_named(levels)
    seen = max(STEPS_SEEN, (FORECASTS_SEEN + dataset.windows) * dataset.prediction_length)
    for axes, entry, forecast in zip(panels, entries, found):
        _draw_observed(axes, entry, seen, dataset)
        own = [one.forecast for one in windows if one.item == entry["item_id"]]
        for index, one in enumerate(own):
            # Windows that touch are told apart by their colour and their beginning.
            label = None if index else f"backtest, {bands}"
            _draw_forecast(axes, one, levels, WINDOWS[index % 2], label)
        _draw_forecast(axes, forecast, levels, FORECAST, f"forecast, {bands}")
        axes.set_title(entry["item_id"] if len(dataset.entries) > 1 else "Backtest and forecast")
        shares = [_inside(windows, entry["item_id"], level) for level in sorted(levels)]
        axes.set_title(", ".join(filter(None, shares)), loc="right", fontsize=9,
                       fontweight="normal", color=HELD_OUT)  # fmt: skip
        _limit(axes, entry, forecast, seen)
    legend_row(legend, panels[:1])
    return figure


def _inside(windows, item, level):
    """The share of the backtest of an item inside of the bands of a level, in words."""
    share = coverage([one for one in windows if one.item == item], level)
    return None if share is None else f"{share:.0%} inside the {level:g} % bands"


def _draw_observed(axes, entry, seen, dataset):
    target = entry["target"]
    first = max(0, len(target) - seen)
    begin = entry["start"] + first
    times = _places(pd.period_range(begin, periods=len(target) - first, freq=begin.freq))
    values = target[first:]
    axes.plot(times, values, color=INK, lw=0.6, alpha=0.4)
    held = dataset.windows * dataset.prediction_length
    cut = len(values) - held
    dots = {"ms": dot_size(len(values)), "mew": 0, "zorder": 3, "clip_on": False}
    axes.plot(times[:cut], values[:cut], "o", color=INK, label="observed", **dots)
    if held:
        axes.plot(
            times[cut:], values[cut:], "o", color=HELD_OUT, label="kept from training", **dots
        )


def _draw_forecast(axes, forecast, levels, color, label):
    times = _places(periods_of(forecast))
    axes.axvline(times[0], color=color, lw=0.7, ls=(0, (3, 3)), alpha=0.8)
    middle = forecast.quantile(0.5)
    for level in sorted(levels, reverse=True):
        low, high = band_of(forecast, level)
        if len(times) > 1:
            axes.fill_between(times, low, high, color=color, alpha=0.2, lw=0)
        else:
            # A single step would have no width.
            axes.errorbar(times, middle, [middle - low, high - middle], color=color, capsize=3)
    axes.plot(times, middle, "-" if len(times) > 1 else ".", color=color, lw=1.2, label=label)


def _limit(axes, entry, forecast, seen):
    """No more than the data: a tick after them would name a time of which nothing is shown."""
    begin = entry["start"] + max(0, len(entry["target"]) - seen)
    axes.set_xlim(*_places([begin, periods_of(forecast)[-1]]))


def _places(periods):
    """The beginnings of periods; pandas has no timestamps for the years before 1678."""
    return np.array([
        np.datetime64(
            f"{p.year:04d}-{p.month:02d}-{p.day:02d}T{p.hour:02d}:{p.minute:02d}:{p.second:02d}"
        )
        for p in (period.asfreq("s", how="start") for period in periods)
    ])  # fmt: skip
