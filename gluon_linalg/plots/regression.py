"""Pictures of regressions: functions of one input, and predictions against observations."""

from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from .style import (
    FAINT,
    HELD_OUT,
    INK,
    LEVELS,
    MODEL,
    Moments,
    bands_named,
    dot_size,
    draw_bands,
    drawn,
    judged,
    legend_row,
    normal_width,
)

GRID_POINTS = 2000
# How far the curve goes on beyond the data, as a share of their range.
MARGIN = 0.06
COLORS = (INK, HELD_OUT)
# What a group of rows is called, their inputs (n,) and targets (n,).
Points = Tuple[str, np.ndarray, np.ndarray]
# What a group is called, observations (n,) and their predictions.
Predicted = Tuple[str, np.ndarray, Moments]


def plot_function(
    predict: Callable[[np.ndarray], Moments],
    groups: Sequence[Points],
    target: str,
    name: str,
    title: Optional[str] = None,
    told: str = "",
    levels: Sequence[float] = LEVELS,
) -> Any:
    """The function above, and below it what it leaves of the data: a figure.

    predict: x (m, 1) -> mean and variance of observations; groups: the rows to train on, and those
    held out, if any; target, name: of y and x; told: how well rows are predicted from others, in
    words, in place of which a hold-out has its own; levels: of the bands, in percent.
    """
    return drawn(draw_function, predict, groups, target, name, title, told, levels)


def plot_agreement(
    target: str, groups: Sequence[Predicted], levels: Sequence[float] = LEVELS
) -> Any:
    """Predicted against observed: a figure. groups: rows to train on, and those held out.

    levels: of the bands that are told of, in percent; rows outside of the widest have bars.
    """
    return drawn(draw_agreement, target, groups, levels)


def plot_calibration(residual: np.ndarray) -> Any:
    """Of standardized residuals (n,), of rows that were left out: a figure."""
    return drawn(_draw_calibration, residual)


def plot_coefficients(names: Sequence[str], moments: Moments) -> Any:
    """Weights with their 95 % intervals: a figure."""
    return drawn(_draw_coefficients, names, moments)


def draw_function(
    pyplot: Any,
    predict: Callable[[np.ndarray], Moments],
    groups: Sequence[Points],
    target: str,
    name: str,
    title: Optional[str] = None,
    told: str = "",
    levels: Sequence[float] = LEVELS,
) -> Any:
    figure = pyplot.figure(figsize=(10, 7), constrained_layout=True)
    grid_spec = figure.add_gridspec(3, 1, height_ratios=[0.22, 3, 1])
    legend, upper = (figure.add_subplot(grid_spec[row]) for row in range(2))
    lower = figure.add_subplot(grid_spec[2], sharex=upper)
    upper.tick_params(labelbottom=False)
    points = np.concatenate([x for _, x, _ in groups])
    grid = grid_of(points)
    mean, variance = predict(grid[:, None])
    for axes, center in ((upper, mean), (lower, np.zeros_like(mean))):
        label = f"{bands_named(levels)} of an observation"
        draw_bands(axes, grid, (center, variance), MODEL, levels, label=label)
        axes.plot(grid, center, color=MODEL, lw=1.2, label="mean")
    found = [predict(x[:, None]) for _, x, _ in groups]
    for (label, x, y), moments, color in zip(groups, found, COLORS):
        dots = {"color": color, "ms": dot_size(len(points)), "mew": 0, "label": label}
        upper.plot(x, y, "o", **dots)
        lower.plot(x, y - moments[0], "o", **dots)
        if label != groups[0][0]:
            told = f"{label}: {judged(y, moments, levels)}"
    # By the data, and not by how wide the band gets where there are none.
    width = normal_width(max(levels))
    ends = [_ends(y, m, width) for (_, _, y), m in zip(groups, found)]
    _limit(upper, np.concatenate(ends))
    _limit(
        lower,
        np.concatenate(
            [_ends(y - m[0], (0.0 * m[0], m[1]), width) for (_, _, y), m in zip(groups, found)]
        ),
    )
    _mark_boundary(groups, (upper, lower))
    lower.set_xlim(grid[0], grid[-1])
    lower.set_xlabel(name)
    lower.set_ylabel("data - mean")
    upper.set_ylabel(target)
    upper.set_title(title or f"{target} by {name}")
    legend_row(legend, [upper])
    # Beside the title there may be no room.
    lower.set_title(
        told, loc="right", fontsize=9, fontweight="normal", pad=6,
        color=HELD_OUT if len(groups) > 1 else INK,
    )  # fmt: skip
    figure.align_ylabels([upper, lower])
    return figure


def draw_agreement(
    pyplot: Any, target: str, groups: Sequence[Predicted], levels: Sequence[float] = LEVELS
) -> Any:
    widest = max(levels)
    figure, axes = pyplot.subplots(figsize=(6.8, 6.8), constrained_layout=True)
    for (label, observed, moments), color in zip(groups, COLORS):
        mean, spread = moments[0], normal_width(widest) * np.sqrt(moments[1])
        outside = np.abs(observed - mean) > spread
        bars = [part[outside] for part in (observed, mean - spread, mean + spread)]
        axes.vlines(*bars, color=color, lw=0.9, alpha=0.5)
        axes.plot(
            observed, mean, "o", color=color, ms=1.2 * dot_size(len(observed)), mew=0, alpha=0.75,
            label=f"{label}: {judged(observed, moments, levels)}",
        )  # fmt: skip
    everything = np.concatenate([np.concatenate([y, m[0]]) for _, y, m in groups])
    low, high = everything.min(), everything.max()
    margin = 0.05 * (high - low) or 1.0
    ends = [low - margin, high + margin]
    axes.plot(ends, ends, color=MODEL, lw=1.2, label="predicted = observed", zorder=0)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel(f"{target}, observed")
    axes.set_ylabel(f"{target}, predicted")
    axes.set_title(f"{target}: predicted and observed", pad=62)
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=9, borderaxespad=0.2,
        title=f"bars: {widest:g} % bands of the rows outside of theirs", title_fontsize=9,
    )  # fmt: skip
    # `alignment` of Matplotlib 3.6.
    legend._legend_box.align = "left"
    return figure


def _draw_calibration(pyplot, residual):
    from scipy.stats import norm

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.6), constrained_layout=True)
    levels = np.linspace(0.01, 0.99, 99)
    inside = np.mean(np.abs(residual) <= norm.ppf(0.5 + 0.5 * levels)[:, None], axis=1)
    left.plot([0, 100], [0, 100], color=FAINT, lw=1.0, label="as promised")
    left.plot(100 * levels, 100 * inside, color=MODEL, lw=1.6, label="observed")
    left.set_xlabel("level of the interval, %")
    left.set_ylabel("observations inside, %")
    left.set_aspect("equal")
    left.set_title("Coverage")
    left.legend(loc="upper left", fontsize=9)
    bins = int(np.clip(len(residual) // 8, 4, 20))
    right.hist(norm.cdf(residual), bins=bins, range=(0, 1), density=True, color=MODEL, alpha=0.5)
    right.axhline(1.0, color=INK, lw=1.0)
    right.set_xlabel("place of the observation in its distribution")
    right.set_ylabel("density")
    right.set_title("Flat if the distributions are right")
    return figure


def _draw_coefficients(pyplot, names, moments):
    count = len(names)
    figure, axes = pyplot.subplots(figsize=(7.5, 1.2 + 0.28 * count), constrained_layout=True)
    places = np.arange(count)[::-1]
    axes.errorbar(
        moments[0],
        places,
        xerr=normal_width(95) * np.sqrt(moments[1]),
        fmt="o",
        color=MODEL,
        ms=4,
        lw=1.2,
    )
    axes.axvline(0.0, color=FAINT, lw=0.8)
    axes.set_ylim(-0.7, count - 0.3)
    axes.set_yticks(places)
    axes.set_yticklabels([str(name)[:40] for name in names])
    axes.set_title("Coefficients with 95 % intervals")
    return figure


def grid_of(points: np.ndarray) -> np.ndarray:
    """Where a curve is computed: evenly, and at the data, so that no dot misses a bend."""
    margin = MARGIN * (points.max() - points.min()) or 1.0
    even = np.linspace(points.min() - margin, points.max() + margin, GRID_POINTS)
    return np.unique(np.concatenate([even, points]))


def _ends(y, moments, width):
    spread = width * np.sqrt(moments[1])
    return np.array(
        [
            f(part)
            for part in (y, moments[0] - spread, moments[0] + spread)
            for f in (np.min, np.max)
        ]
    )


def _limit(axes, values):
    low, high = values.min(), values.max()
    margin = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)


def _mark_boundary(groups, all_axes):
    """A line between data and hold-out, where all of the one is before all of the other."""
    xs: List[np.ndarray] = [x for _, x, _ in groups]
    if len(xs) > 1 and xs[1].min() > xs[0].max():
        for axes in all_axes:
            axes.axvline(0.5 * (xs[1].min() + xs[0].max()), color=HELD_OUT, lw=0.9, ls="--")
