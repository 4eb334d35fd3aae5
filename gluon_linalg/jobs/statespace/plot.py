"""The picture of a trained state space model."""

from typing import Sequence

import numpy as np

from ..metrics import BAND
from ..picture import HELD_OUT, INK, MODEL, save_picture
from .dataset import Dataset
from .estimates import Estimates

FORECAST = "#c77d0a"
# The heights of the panels in inches.
SIGNAL, COMPONENT, ONE_OF_MANY = 3.6, 1.5, 2.2
# How many series a picture shows.
MOST_SERIES = 6


def plot_model(path: str, dataset: Dataset, estimates: Sequence[Estimates]) -> None:
    """Observations, smoothed signal and forecast; below, each component with its 95 % band.

    Of many series the first, without their components.
    """
    draw = _draw_one if dataset.series is None else _draw_many
    save_picture(path, lambda pyplot: draw(pyplot, dataset, estimates))


def _draw_one(pyplot, dataset, estimates):
    (member,), (estimates,) = dataset.members, estimates
    heights = [SIGNAL] + [COMPONENT] * len(estimates.components)
    figure, panels = _panels(pyplot, heights)
    count = len(member.y)
    places = member.series.places(0, count + dataset.steps)
    _draw_signal(panels[0], dataset.target, member, estimates, places)
    panels[0].set_title(f"{dataset.target}: observed, smoothed and forecast")
    panels[0].legend(loc="best")
    for axes, (label, moments) in zip(panels[1:], estimates.components.items()):
        _draw_band(axes, places[:count], [m[:count] for m in moments], MODEL)
        _draw_band(axes, places[count - 1 :], [m[count - 1 :] for m in moments], FORECAST)
        axes.set_ylabel(label.replace("_", " "))
    for axes in panels:
        _draw_end(axes, places[count - 1])
    _label_times(panels[-1], member, places)
    figure.align_ylabels()
    return figure


def _draw_many(pyplot, dataset, estimates):
    members = dataset.members[:MOST_SERIES]
    figure, panels = _panels(pyplot, [ONE_OF_MANY] * len(members))
    for axes, member, own in zip(panels, members, estimates):
        count = len(member.y)
        places = member.series.places(0, count + dataset.steps)
        _draw_signal(axes, dataset.target, member, own, places)
        axes.set_title(member.name)
        _draw_end(axes, places[count - 1])
    # Beside the first title: in so small a panel it would hide what it explains.
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=4, fontsize=8)
    _label_times(panels[-1], members[0], places)
    figure.align_ylabels()
    return figure


def _panels(pyplot, heights):
    figure, panels = pyplot.subplots(
        len(heights), 1, figsize=(10, sum(heights) + 0.8), sharex=True, constrained_layout=True,
        gridspec_kw={"height_ratios": heights}, squeeze=False,
    )  # fmt: skip
    return figure, panels[:, 0]


def _label_times(axes, member, places):
    """Whole numbers, such as years, have no ticks between them."""
    axes.set_xlabel(member.series.times.name)
    places = np.asarray(places)
    if places.dtype.kind == "f" and np.array_equal(places, np.rint(places)):
        axes.xaxis.get_major_locator().set_params(integer=True)


def _draw_end(axes, place):
    axes.axvline(place, color=INK, lw=0.8, ls=(0, (4, 4)), alpha=0.6)
    axes.margins(x=0.01)


def _draw_signal(axes, target, member, estimates, places):
    count, held = len(member.y), len(member.holdout_y)
    size = np.clip(60.0 / np.sqrt(len(places)), 1.8, 5.0)
    smoothed = [moments[:count] for moments in estimates.signal]
    _draw_band(axes, places[:count], smoothed, MODEL, "smoothed signal, 95 % band")
    _draw_band(
        axes, places[count:], estimates.forecast, FORECAST,
        "forecast, 95 % band of an observation",
    )  # fmt: skip
    dots = {"ms": size, "mew": 0, "zorder": 3}
    axes.plot(places[:count], member.y, "o", color=INK, label="observed", **dots)
    if held:
        later = places[count : count + held]
        axes.plot(later, member.holdout_y, "o", color=HELD_OUT, label="hold-out", **dots)
    axes.set_ylabel(target)


def _draw_band(axes, places, moments, color, label=None):
    mean, spread = moments[0], BAND * np.sqrt(moments[1])
    # A single step would have no width.
    marker = "." if len(places) == 1 else None
    axes.fill_between(places, mean - spread, mean + spread, color=color, alpha=0.25, lw=0)
    axes.plot(places, mean, color=color, lw=1.2, marker=marker, label=label)
