"""Pictures of jobs, as files; `gluon_linalg.plots` draws them."""

from typing import Any, Callable

from ..plots.style import drawn
from .files import replacing


def save_picture(path: str, draw: Callable[..., Any], *arguments: Any) -> None:
    """Saves the figure that draw(pyplot, ...) returns, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = drawn(draw, *arguments)
    try:
        with replacing(path) as trial:
            figure.savefig(trial, dpi=150, format="png")
    finally:
        pyplot.close(figure)
