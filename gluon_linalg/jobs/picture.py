"""The look of all pictures."""

from typing import Any, Callable

from .files import replacing

INK = "#1f2933"
MODEL = "#1d6fb8"
HELD_OUT = "#d1495b"

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


def save_picture(path: str, draw: Callable[[Any], Any]) -> None:
    """Saves the figure that draw(pyplot) returns, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {key: value for key, value in STYLE.items() if key in matplotlib.rcParams}
    with pyplot.rc_context(style):
        figure = draw(pyplot)
        try:
            with replacing(path) as trial:
                figure.savefig(trial, dpi=150, format="png")
        finally:
            pyplot.close(figure)
