"""The look of all pictures."""

from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

INK = "#1f2933"
MODEL = "#1d6fb8"
HELD_OUT = "#d1495b"
FORECAST = "#c77d0a"
FAINT = "#8a94a0"
# Of bands, in percent.
LEVELS = (95,)
# More shares than these are no sentence: of more levels the greatest is told.
MOST_TOLD = 3

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    # A column may be called $x^2: its name is no formula.
    "text.parse_math": False,
}

# Mean and variance, (n,) each.
Moments = Tuple[np.ndarray, np.ndarray]


def drawn(draw: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """The figure that draw(pyplot, ...) returns, in the look of all pictures."""
    import matplotlib
    from matplotlib import pyplot

    # Older versions do not know all of it.
    style = {key: value for key, value in STYLE.items() if key in matplotlib.rcParams}
    with pyplot.rc_context(style):
        return draw(pyplot, *arguments, **keywords)


def dot_size(count: int) -> float:
    """Of one of so many dots."""
    return float(np.clip(60.0 / np.sqrt(max(count, 1)), 1.8, 5.0))


def draw_bands(
    axes: Any,
    places: Any,
    moments: Moments,
    color: str,
    levels: Sequence[float] = LEVELS,
    alpha: float = 0.25,
    label: Optional[str] = None,
    **look: Any,
) -> None:
    """The bands of normal distributions, of levels in percent: the narrower, the darker."""
    mean, deviation = moments[0], np.sqrt(moments[1])
    each = alpha * 2.0 / (1.0 + len(levels))
    for level in sorted(levels, reverse=True):
        spread = normal_width(level) * deviation
        axes.fill_between(
            places, mean - spread, mean + spread, color=color, alpha=each, lw=0, label=label, **look
        )
        label = None


def bands_named(levels: Sequence[float]) -> str:
    """80 and 95 % bands"""
    *others, last = (f"{level:g}" for level in sorted(levels))
    return f"{', '.join(others)} and {last} % bands" if others else f"{last} % band"


def judged(observed: np.ndarray, moments: Moments, levels: Sequence[float] = LEVELS) -> str:
    """RMSE, and the shares inside of the bands in their order, in words."""
    residual, deviation = np.abs(observed - moments[0]), np.sqrt(moments[1])
    levels = sorted(levels)
    if len(levels) > MOST_TOLD:
        levels = levels[-1:]
    shares = (np.mean(residual <= normal_width(level) * deviation) for level in levels)
    *others, last = (f"{share:.0%}" for share in shares)
    inside = f"{', '.join(others)} and {last}" if others else last
    return f"RMSE {np.sqrt(np.mean(residual**2)):.3g}, {inside} inside the {bands_named(levels)}"


def normal_width(level: float) -> float:
    """How many standard deviations the band of a level in percent reaches from the mean."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + checked_level(level) / 200.0))


def checked_level(level: float) -> float:
    """A level in percent; ValueError for what is none."""
    if not 0.0 < level < 100.0:
        raise ValueError(f"levels: {level!r} is no percentage between 0 and 100, such as 95.")
    return level


def legend_row(axes: Any, panels: Sequence[Any], columns: int = 5) -> None:
    """The labels of all panels, each once, in axes of their own: no curve is behind them."""
    axes.axis("off")
    found: Dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels()):
            found.setdefault(label, handle)
    axes.legend(
        found.values(), found, loc="center left", ncol=columns, fontsize=9, borderaxespad=0.0,
        handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
