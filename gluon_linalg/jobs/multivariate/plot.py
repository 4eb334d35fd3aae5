"""The picture of a trained model of several series."""

from typing import Any, Sequence

from ...plots.style import FORECAST, HELD_OUT, INK, MODEL, dot_size, draw_band
from ..picture import save_picture
from .dataset import Dataset
from .estimates import Estimates

# The height of a panel in inches, and how many series a picture shows.
HEIGHT, MOST_SERIES = 2.2, 8


def plot_model(path: str, dataset: Dataset, estimates: Sequence[Estimates]) -> None:
    """Of the first series observations, smoothed signal and forecast, with 95 % bands."""
    save_picture(path, lambda pyplot: _draw(pyplot, dataset, estimates[:MOST_SERIES]))


def _draw(pyplot: Any, dataset: Dataset, estimates: Sequence[Estimates]) -> Any:
    count = len(dataset.y)
    places = dataset.table.places(0, count + dataset.steps)
    figure, panels = pyplot.subplots(
        len(estimates), 1, figsize=(10, HEIGHT * len(estimates) + 0.8), sharex=True,
        constrained_layout=True, squeeze=False,
    )  # fmt: skip
    for number, (axes, own) in enumerate(zip(panels[:, 0], estimates)):
        seen = [moments[:count] for moments in own.signal]
        _draw_moments(axes, places[:count], seen, MODEL, "smoothed signal, 95 % band")
        _draw_moments(axes, places[count:], own.forecast, FORECAST, "forecast, 95 % band")
        dots = {"ms": dot_size(len(places)), "mew": 0, "zorder": 3}
        axes.plot(places[:count], dataset.y[:, number], "o", color=INK, label="observed", **dots)
        later = dataset.holdout_y[:, number]
        if len(later):
            here = places[count : count + len(later)]
            axes.plot(here, later, "o", color=HELD_OUT, label="hold-out", **dots)
        axes.axvline(places[count - 1], color=INK, lw=0.8, ls=(0, (4, 4)), alpha=0.6)
        axes.set_title(dataset.names[number])
        axes.margins(x=0.01)
    panels[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=4, fontsize=8)
    panels[-1, 0].set_xlabel(dataset.table.times.name)
    return figure


def _draw_moments(axes, places, moments, color, label):
    draw_band(axes, places, moments, color, alpha=0.25)
    marker = "." if len(moments[0]) == 1 else None
    axes.plot(places, moments[0], color=color, lw=1.2, marker=marker, label=label)
