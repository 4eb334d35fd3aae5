"""The picture of a trained state space model."""

import numpy as np

from ..metrics import BAND
from ..picture import HELD_OUT, INK, MODEL, save_picture

FORECAST = "#c77d0a"
# The heights of the panels in inches.
SIGNAL, COMPONENT = 3.6, 1.5


def plot_model(path, dataset, estimates):
    """Observations, smoothed signal and forecast; below, each component with its 95 % band."""
    save_picture(path, lambda pyplot: _draw(pyplot, dataset, estimates))


def _draw(pyplot, dataset, estimates):
    heights = [SIGNAL] + [COMPONENT] * len(estimates.components)
    figure, panels = pyplot.subplots(
        len(heights), 1, figsize=(10, sum(heights) + 0.8), sharex=True, constrained_layout=True,
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    count = len(dataset.y)
    places = dataset.series.places(0, count + dataset.steps)
    _draw_signal(panels[0], dataset, estimates, places)
    for axes, (label, moments) in zip(panels[1:], estimates.components.items()):
        _draw_band(axes, places[:count], [m[:count] for m in moments], MODEL)
        _draw_band(axes, places[count - 1 :], [m[count - 1 :] for m in moments], FORECAST)
        axes.set_ylabel(label.replace("_", " "))
    for axes in panels:
        axes.axvline(places[count - 1], color=INK, lw=0.8, ls=(0, (4, 4)), alpha=0.6)
        axes.margins(x=0.01)
    panels[-1].set_xlabel(dataset.series.times.name)
    figure.align_ylabels()
    return figure


def _draw_signal(axes, dataset, estimates, places):
    count, held = len(dataset.y), len(dataset.holdout_y)
    size = np.clip(60.0 / np.sqrt(len(places)), 1.8, 5.0)
    smoothed = [moments[:count] for moments in estimates.signal]
    _draw_band(axes, places[:count], smoothed, MODEL, "smoothed signal, 95 % band")
    _draw_band(
        axes, places[count:], estimates.forecast, FORECAST,
        "forecast, 95 % band of an observation",
    )  # fmt: skip
    dots = {"ms": size, "mew": 0, "zorder": 3}
    axes.plot(places[:count], dataset.y, "o", color=INK, label="observed", **dots)
    if held:
        later = places[count : count + held]
        axes.plot(later, dataset.holdout_y, "o", color=HELD_OUT, label="hold-out", **dots)
    axes.set_ylabel(dataset.target)
    axes.set_title(f"{dataset.target}: observed, smoothed and forecast")
    axes.legend(loc="best")


def _draw_band(axes, places, moments, color, label=None):
    mean, spread = moments[0], BAND * np.sqrt(moments[1])
    # A single step would have no width.
    marker = "." if len(places) == 1 else None
    axes.fill_between(places, mean - spread, mean + spread, color=color, alpha=0.25, lw=0)
    axes.plot(places, mean, color=color, lw=1.2, marker=marker, label=label)
