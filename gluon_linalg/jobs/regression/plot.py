"""The picture of a trained regression."""

from typing import Callable, Tuple

import numpy as np

from ..metrics import BAND
from ..picture import HELD_OUT, INK, MODEL, save_picture
from .dataset import Dataset

GRID_POINTS = 2000
# How far the curve goes on beyond the data, as a share of their range.
MARGIN = 0.06

# Mean and variance, (n,) each.
Moments = Tuple[np.ndarray, np.ndarray]


def plot_model(
    path: str,
    dataset: Dataset,
    title: str,
    predict_new: Callable[[np.ndarray], Moments],
    leave_one_out: Moments,
    label: str,
) -> None:
    """Data, mean and 95 % band for one input; predicted against observed for more.

    title: the kind of model; predict_new: x -> mean, variance of new observations; leave_one_out:
    the same of the training rows, each given all others; label: of these.
    """
    if len(dataset.inputs) == 1:
        save_picture(path, lambda pyplot: _plot_function(pyplot, dataset, title, predict_new))
    else:
        save_picture(
            path, lambda pyplot: _plot_agreement(pyplot, dataset, predict_new, leave_one_out, label)
        )


def _plot_function(pyplot, dataset, title, predict_new):
    """The function above, and below it what it leaves of the data."""
    figure, (upper, lower) = pyplot.subplots(
        2, 1, figsize=(10, 6.5), sharex=True, constrained_layout=True,
        gridspec_kw={"height_ratios": [3, 1]},
    )  # fmt: skip
    points = np.concatenate([dataset.x, dataset.holdout_x])[:, 0]
    grid = grid_of(points)
    mean, variance = predict_new(grid[:, None])
    spread = BAND * np.sqrt(variance)
    for axes, center in ((upper, mean), (lower, np.zeros_like(mean))):
        axes.fill_between(
            grid, center - spread, center + spread, color=MODEL, alpha=0.25, lw=0,
            label="95 % band of an observation",
        )  # fmt: skip
        axes.plot(grid, center, color=MODEL, lw=1.2, label="mean")
    size = np.clip(60.0 / np.sqrt(len(points)), 1.8, 5.0)
    groups = [("data", INK, dataset.x, dataset.y)]
    if len(dataset.holdout_y):
        groups.append(("hold-out", HELD_OUT, dataset.holdout_x, dataset.holdout_y))
    for label, color, x, y in groups:
        dots = {"color": color, "ms": size, "mew": 0, "label": label}
        upper.plot(x[:, 0], y, "o", **dots)
        lower.plot(x[:, 0], y - predict_new(x)[0], "o", **dots)
    _mark_boundary(dataset, (upper, lower))
    lower.set_xlim(grid[0], grid[-1])
    lower.set_xlabel(dataset.inputs[0] + (" (year)" if dataset.dates else ""))
    lower.set_ylabel("data - mean")
    upper.set_ylabel(dataset.target)
    upper.set_title(f"{dataset.target} by {dataset.inputs[0]}: {title}")
    upper.legend(loc="best")
    figure.align_ylabels()
    return figure


def grid_of(points: np.ndarray) -> np.ndarray:
    """Where a curve is computed: evenly, and at the data, so that no dot misses a bend."""
    margin = MARGIN * (points.max() - points.min()) or 1.0
    even = np.linspace(points.min() - margin, points.max() + margin, GRID_POINTS)
    return np.unique(np.concatenate([even, points]))


def _mark_boundary(dataset, all_axes):
    """A line between data and hold-out, where all of the one is before all of the other."""
    if len(dataset.holdout_y) and dataset.holdout_x.min() > dataset.x.max():
        boundary = 0.5 * (dataset.holdout_x.min() + dataset.x.max())
        for axes in all_axes:
            axes.axvline(boundary, color=HELD_OUT, lw=0.9, ls="--")


def _plot_agreement(pyplot, dataset, predict_new, leave_one_out, label):
    figure, axes = pyplot.subplots(figsize=(6.5, 6), constrained_layout=True)
    groups = [(label, INK, dataset.y, leave_one_out)]
    if len(dataset.holdout_y):
        groups.append(("hold-out", HELD_OUT, dataset.holdout_y, predict_new(dataset.holdout_x)))
    for label, color, observed, (mean, variance) in groups:
        spread = BAND * np.sqrt(variance)
        axes.vlines(observed, mean - spread, mean + spread, color=color, lw=1.0, alpha=0.35)
        axes.plot(observed, mean, "o", color=color, ms=4, mew=0, label=label)
    everything = np.concatenate([dataset.y, dataset.holdout_y])
    ends = [everything.min(), everything.max()]
    axes.plot(ends, ends, color=MODEL, lw=1.2, label="predicted = observed", zorder=0)
    axes.set_xlabel(f"{dataset.target}, observed")
    axes.set_ylabel(f"{dataset.target}, predicted with 95 % band")
    axes.set_title(f"{dataset.target}: predicted and observed")
    axes.legend(loc="best")
    return figure
