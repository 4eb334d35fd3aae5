"""The look of all pictures."""

from typing import Any, Callable, Dict, Sequence, Tuple

import numpy as np

INK = "#1f2933"
MODEL = "#1d6fb8"
HELD_OUT = "#d1495b"
FORECAST = "#c77d0a"
FAINT = "#8a94a0"
# The 97.5 % quantile of the standard normal distribution.
BAND = 1.959963984540054

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


def draw_band(axes: Any, places: Any, moments: Moments, color: str, **look: Any) -> None:
    """The 95 % band of normal distributions."""
    mean, spread = moments[0], BAND * np.sqrt(moments[1])
    axes.fill_between(places, mean - spread, mean + spread, color=color, lw=0, **look)


def judged(observed: np.ndarray, moments: Moments) -> str:
    """RMSE, and the share inside of the 95 % band, in words."""
    residual = np.abs(observed - moments[0])
    inside = np.mean(residual <= BAND * np.sqrt(moments[1]))
    return f"RMSE {np.sqrt(np.mean(residual**2)):.3g}, {inside:.0%} inside the 95 % band"


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
