"""The picture of a trained process of several targets."""

from typing import Callable, Sequence

import numpy as np

from ...plots.regression import grid_of
from ...plots.style import (
    HELD_OUT,
    INK,
    MODEL,
    Moments,
    bands_named,
    draw_bands,
    judged,
    legend_row,
    normal_width,
)
from ..picture import save_picture
from ..regression.dataset import Dataset


def plot_several(
    path: str,
    dataset: Dataset,
    title: str,
    predict_new: Callable[[np.ndarray], Moments],
    levels: Sequence[float],
) -> None:
    """A panel for each target: data, mean and bands of one input; of more, predicted values.

    predict_new: x -> means and variances (m, k) of new observations; levels: of the bands.
    """
    save_picture(path, lambda pyplot: _panels(pyplot, dataset, title, predict_new, levels))


def _panels(pyplot, dataset, title, predict_new, levels):
    count, one = len(dataset.target), len(dataset.inputs) == 1
    width = normal_width(max(levels))
    figure, legend, panels = _axes(pyplot, count, one)
    groups = [("data", INK, dataset.x, dataset.y)]
    if len(dataset.holdout_y):
        groups.append(("hold-out", HELD_OUT, dataset.holdout_x, dataset.holdout_y))
    points = np.concatenate([x for _, _, x, _ in groups])
    at = grid_of(points[:, 0])[:, None] if one else None
    # Of the curve, or of each group of rows: for all targets at once.
    curve = predict_new(at) if one else None
    predicted = [None if one else predict_new(x) for _, _, x, _ in groups]
    for k, (name, axes) in enumerate(zip(dataset.target, panels)):
        if one:
            moments = [values[:, k] for values in curve]
            label = f"{bands_named(levels)} of an observation"
            draw_bands(axes, at[:, 0], moments, MODEL, levels, label=label)
            axes.plot(at[:, 0], moments[0], color=MODEL, lw=1.2, label="mean")
        for (label, color, x, y), found in zip(groups, predicted):
            dots = {"color": color, "ms": 3.5, "mew": 0, "label": label}
            if one:
                axes.plot(x[:, 0], y[:, k], "o", **dots)
                continue
            mean, spread = found[0][:, k], width * np.sqrt(found[1][:, k])
            outside = np.abs(y[:, k] - mean) > spread
            bars = [part[outside] for part in (y[:, k], mean - spread, mean + spread)]
            axes.vlines(*bars, color=color, lw=1.0, alpha=0.5)
            axes.plot(y[:, k], mean, "o", **dots)
        if len(groups) > 1:
            held = groups[1][3][:, k]
            seen = ~np.isnan(held)
            moments = [values[seen, k] for values in predict_new(groups[1][2])]
            told = f"hold-out: {judged(held[seen], moments, levels)}" if seen.any() else ""
            # Beside each other panels are narrow.
            told = told if one else told.replace(", ", "\n", 1)
            axes.set_title(told, loc="right", fontsize=9, fontweight="normal", color=HELD_OUT)
        if one:
            axes.set_ylabel(name)
            continue
        every = np.concatenate([y[:, k] for *_, y in groups])
        ends = [np.nanmin(every), np.nanmax(every)]
        axes.plot(ends, ends, color=MODEL, lw=1.2, label="predicted = observed", zorder=0)
        axes.set_aspect("equal", adjustable="datalim")
        axes.locator_params(nbins=5)
        axes.set_xlabel(f"{name}, observed")
        axes.set_ylabel(f"{name}, predicted; bars: {max(levels):g} % bands of those outside")
    if one:
        panels[-1].set_xlabel(dataset.inputs[0] + (" (year)" if dataset.dates else ""))
    figure.suptitle(f"{', '.join(dataset.target)}: {title}")
    legend_row(legend, panels)
    return figure


def _axes(pyplot, count, one):
    """Panels below one another, or side by side, under a row for the legend."""
    size = (10, 3.0 * count + 0.4) if one else (5.0 * count, 5.4)
    figure = pyplot.figure(figsize=size, constrained_layout=True)
    rows, columns = (count, 1) if one else (1, count)
    ratios = [0.4 / (3.0 if one else 5.0), *[1.0] * rows]
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=ratios)
    panels = []
    for k in range(count):
        shared = {"sharex": panels[0]} if one and panels else {}
        panels.append(figure.add_subplot(grid[1 + k, 0] if one else grid[1, k], **shared))
    return figure, figure.add_subplot(grid[0, :]), panels
