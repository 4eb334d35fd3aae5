"""Pictures of time series: smoothed and forecast, and what they are made of."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from .style import (
    FAINT,
    FORECAST,
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
)

WIDTH = 10.0
# The heights of panels in inches.
SIGNAL, RECENT, PART, ONE_OF_MANY, LEGEND = 3.2, 2.6, 1.35, 2.0, 0.34
# Of a longer series than this the end is shown once more, so many steps of it at least.
LONG, LEAST_RECENT = 120, 36
# How many series a picture shows, and how many parts of one.
MOST_SERIES, MOST_PARTS = 6, 14


@dataclass
class SeriesPicture:
    """One series, of T steps that were seen and h to come, in original units.

    places: where the T + h steps are on the axis called `time`; y: (T,), NaN where missing; later:
    what was observed after, (n,) with n <= h; signal: its moments at all T + h steps; its
    observations have `noise_variance` more, a number or (T + h,); has_irregular: whether
    what the signal leaves of y is told. components, slopes: by label, of T + h steps; effects:
    of covariates, with whether it is but on or off; residuals: standardized, (T,), NaN where there
    is none; levels: of the bands, in percent.
    """

    target: str
    time: str
    places: Sequence[Any]
    y: np.ndarray
    signal: Moments
    noise_variance: Any
    later: np.ndarray = field(default_factory=lambda: np.zeros(0))
    components: Dict[str, Moments] = field(default_factory=dict)
    slopes: Dict[str, Moments] = field(default_factory=dict)
    effects: Dict[str, Tuple[Moments, bool]] = field(default_factory=dict)
    residuals: np.ndarray = field(default_factory=lambda: np.zeros(0))
    levels: Sequence[float] = LEVELS
    has_irregular: bool = True

    @property
    def count(self) -> int:
        """T"""
        return len(self.y)

    def told(self) -> str:
        """How the hold-out was forecast, in words; nothing without one."""
        later, known = self.later, np.isfinite(self.later)
        if not known.any():
            return ""
        ahead = slice(self.count, self.count + len(later))
        mean, variance = self.signal[0], self.signal[1] + self.noise_variance
        moments = mean[ahead][known], variance[ahead][known]
        return f"hold-out: {judged(later[known], moments, self.levels)}"

    def parts(self) -> List[Tuple[str, Moments, bool]]:
        """(label, moments, whether in steps) of what a panel is for: none that repeats another."""
        own = list(self.components.items())
        if len(own) == 1 and not self.effects:
            own = []
        found = [(label.replace("_", " "), moments, False) for label, moments in own]
        slopes = [
            (label.replace("_", " "), moments, False) for label, moments in self.slopes.items()
        ]
        effects = [(label, *effect) for label, effect in self.effects.items()]
        return [*found[:1], *slopes, *found[1:], *effects][:MOST_PARTS]


def plot_series(picture: SeriesPicture) -> Any:
    """Observations, signal and forecast; below, components, irregular and residuals: a figure."""
    return drawn(draw_series, picture)


def plot_panel(pictures: Dict[str, SeriesPicture]) -> Any:
    """The first of many series by name, without their components: a figure."""
    return drawn(draw_panel, pictures)


def draw_series(pyplot: Any, picture: SeriesPicture) -> Any:
    count, steps = picture.count, len(picture.places) - picture.count
    parts, is_long = picture.parts(), count > LONG
    has_irregular = bool(parts) and np.all(picture.noise_variance > 0) and picture.has_irregular
    below = len(parts) + has_irregular + bool(len(picture.residuals))
    heights = [LEGEND, SIGNAL, *[RECENT] * is_long, *[PART] * below]
    figure, (legend, signal, *rest) = _panels(pyplot, heights, apart=[2] * is_long)
    _draw_signal(signal, picture, 0)
    done = "observed, smoothed and forecast" if steps else "observed and smoothed"
    signal.set_title(f"{picture.target}: {done}")
    _tell(signal, picture)
    if is_long:
        shown = min(max(2 * steps, LEAST_RECENT), count)
        recent = rest.pop(0)
        _draw_signal(recent, picture, count - shown)
        recent.set_title(f"The last {shown} steps" + (" and the forecast" if steps else ""), pad=6)
        _mark_end(recent, picture)
        _limit(recent, picture.places[count - shown :])
        signal.tick_params(labelbottom=True)
    own = [signal, *rest]
    for axes, (label, moments, in_steps) in zip(rest, parts):
        _draw_part(axes, picture, moments, in_steps)
        axes.set_ylabel(label)
    rest = rest[len(parts) :]
    if has_irregular:
        _draw_irregular(rest.pop(0), picture)
    if rest:
        draw_residuals(rest[0], picture.places[:count], picture.residuals)
    for axes in own:
        _mark_end(axes, picture)
    _limit(own[-1], picture.places)
    own[-1].set_xlabel(picture.time)
    legend_row(legend, [signal], 4)
    figure.align_ylabels(own)
    return figure


def draw_panel(pyplot: Any, pictures: Dict[str, SeriesPicture]) -> Any:
    shown = dict(list(pictures.items())[:MOST_SERIES])
    heights = [LEGEND] + [ONE_OF_MANY] * len(shown)
    figure, (legend, *panels) = _panels(pyplot, heights)
    for axes, (name, picture) in zip(panels, shown.items()):
        _draw_signal(axes, picture, 0)
        axes.set_title(name, pad=5)
        _tell(axes, picture)
        _mark_end(axes, picture)
    ends = [place for picture in shown.values() for place in picture.places]
    _limit(panels[-1], sorted(ends))
    panels[-1].set_xlabel(picture.time)
    legend_row(legend, panels, 4)
    figure.align_ylabels(panels)
    return figure


def draw_residuals(axes: Any, places: Sequence[Any], residuals: np.ndarray) -> None:
    """Standardized residuals, of which one in twenty is outside of the lines."""
    axes.vlines(places, 0.0, residuals, color=MODEL, lw=0.8, alpha=0.7)
    size = 0.7 * dot_size(len(residuals))
    axes.plot(places, residuals, "o", color=MODEL, ms=size, mew=0, clip_on=False)
    axes.axhline(0.0, color=INK, lw=0.8)
    for level in (-1.96, 1.96):
        axes.axhline(level, color=FAINT, lw=0.8, ls="--")
    largest = np.nanmax(np.abs(residuals)) if np.isfinite(residuals).any() else 1.0
    axes.set_ylim(-1.15 * max(largest, 2.2), 1.15 * max(largest, 2.2))
    axes.set_ylabel("standardized\nresiduals")


def _panels(pyplot, heights, apart=()):
    """Axes one below the other, the first for the legend; but for those `apart` they share time."""
    figure = pyplot.figure(figsize=(WIDTH, sum(heights) + 0.6), constrained_layout=True)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    panels = [figure.add_subplot(grid[row]) for row in range(2)]
    for row in range(2, len(heights)):
        shared = {} if row in apart else {"sharex": panels[1]}
        panels.append(figure.add_subplot(grid[row], **shared))
    for row, axes in enumerate(panels[1:-1], start=1):
        axes.tick_params(labelbottom=row in apart)
    return figure, panels


def _draw_signal(axes, picture, begin):
    """From step `begin` on: observations, the signal, and the forecast, which goes on with it."""
    count, places, bands = picture.count, picture.places, bands_named(picture.levels)
    noisy = (picture.signal[0], picture.signal[1] + picture.noise_variance)
    seen, later = slice(begin, count), slice(count - 1, None)
    for part, color in ((seen, MODEL), (later, FORECAST))[: 1 + (len(places) > count)]:
        here, is_forecast = places[part], color == FORECAST
        own = [m[part] for m in noisy]
        label = None if is_forecast else f"{bands} of an observation"
        draw_bands(axes, here, own, color, picture.levels, alpha=0.15, label=label)
        if not is_forecast:
            own = [m[part] for m in picture.signal]
            label = f"{bands} of the signal"
            draw_bands(axes, here, own, color, picture.levels, alpha=0.3, label=label)
        axes.plot(here, picture.signal[0][part], color=color, lw=1.2,
                  label="forecast" if is_forecast else "smoothed signal")  # fmt: skip
    dots = {"ms": dot_size(len(places) - begin), "mew": 0, "zorder": 3, "clip_on": False}
    axes.plot(places[seen], picture.y[seen], "o", color=INK, label="observed", **dots)
    missing = [place for place, y in zip(places[seen], picture.y[seen]) if np.isnan(y)]
    if missing:
        axes.plot(
            missing, np.full(len(missing), 0.015), "|", color=HELD_OUT, ms=7, mew=1.2,
            transform=axes.get_xaxis_transform(), label="missing",
        )  # fmt: skip
    if len(picture.later):
        here = places[count : count + len(picture.later)]
        axes.plot(here, picture.later, "o", color=HELD_OUT, label="hold-out", **dots)
    axes.set_ylabel(picture.target)


def _tell(axes, picture):
    """Above the panel, where the title leaves room."""
    axes.set_title(
        picture.told(), loc="right", fontsize=9, fontweight="normal", color=HELD_OUT, pad=5
    )


def _draw_part(axes, picture, moments, in_steps):
    count, look = picture.count, {"step": "mid"} if in_steps else {}
    for part, color in ((slice(0, count), MODEL), (slice(count - 1, None), FORECAST)):
        here, own = picture.places[part], [m[part] for m in moments]
        if len(here) > 1:
            draw_bands(axes, here, own, color, picture.levels, **look)
            axes.plot(
                here, own[0], color=color, lw=1.2, drawstyle="steps-mid" if in_steps else None
            )
    if np.nanmin(moments[0]) < 0 < np.nanmax(moments[0]):
        axes.axhline(0.0, color=FAINT, lw=0.6, zorder=0)


def _draw_irregular(axes, picture):
    count = picture.count
    axes.vlines(
        picture.places[:count], 0.0, picture.y - picture.signal[0][:count], color=MODEL, lw=0.8
    )
    axes.axhline(0.0, color=INK, lw=0.8)
    axes.set_ylabel("irregular")


def _mark_end(axes, picture):
    if len(picture.places) > picture.count:
        place = picture.places[picture.count - 1]
        axes.axvline(place, color=INK, lw=0.8, ls=(0, (4, 4)), alpha=0.6)


def _limit(axes, places):
    """No more than the data: a tick after them would name a time of which nothing is shown.

    Whole numbers, such as years, have no ticks between them.
    """
    axes.set_xlim(places[0], places[-1])
    values = np.asarray(places)
    if values.dtype.kind in "fi" and np.array_equal(values, np.rint(values)):
        axes.xaxis.get_major_locator().set_params(integer=True)
