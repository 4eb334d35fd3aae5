"""Pictures of projections: what components explain, and rows on the first two of them."""

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from .style import FAINT, HELD_OUT, INK, MODEL, dot_size, drawn

# More names than this are no legend, and more rows no table of colours.
MOST_NAMES, MOST_ROWS = 12, 40
# How long the longest arrow of a biplot is, as a share of the farthest row.
ARROW = 0.85


def plot_components(
    ratios: np.ndarray,
    scores: np.ndarray,
    loadings: np.ndarray,
    names: Sequence[str],
    color: Any = None,
    color_name: str = "",
) -> Any:
    """What each of k components explains; beside it the rows on the first two as a biplot.

    ratios: (k,); scores: (n, k); loadings: (d, k), of columns with `names`; color: of each row a
    number or a name, or None.
    """
    return drawn(draw_components, ratios, scores, loadings, names, color, color_name)


def plot_scree(ratios: np.ndarray) -> Any:
    """What each component explains, and all together: a figure."""

    def draw(pyplot: Any) -> Any:
        figure, axes = pyplot.subplots(figsize=(5.5, 4.5), constrained_layout=True)
        _draw_scree(axes, ratios)
        return figure

    return drawn(draw)


def plot_loadings(names: Sequence[str], loadings: np.ndarray) -> Any:
    """The loadings (d, k) of columns with names in colours and numbers: a figure."""

    def draw(pyplot: Any) -> Any:
        size = 1.9 + 0.62 * loadings.shape[1], 1.0 + 0.3 * len(names)
        figure, axes = pyplot.subplots(figsize=size, constrained_layout=True)
        _draw_loadings(axes, names, loadings)
        return figure

    return drawn(draw)


def draw_groups(
    pyplot: Any, scores: np.ndarray, shares: np.ndarray, labels: Sequence[Any], title: str
) -> Any:
    """Rows on the first two directions, or on the only one, coloured by their group."""
    figure, axes = pyplot.subplots(figsize=(7, 6), constrained_layout=True)
    _draw_rows(pyplot, figure, axes, scores, shares, labels, "")
    axes.set_title(title)
    return figure


def draw_components(
    pyplot: Any,
    ratios: np.ndarray,
    scores: np.ndarray,
    loadings: np.ndarray,
    names: Sequence[str],
    color: Any = None,
    color_name: str = "",
) -> Any:
    has_table = len(names) <= MOST_ROWS
    height = max(6.0, 1.0 + 0.3 * len(names)) if has_table else 6.0
    widths = [4.0, 0.5 + 0.55 * len(ratios) + 1.4, 6.4] if has_table else [4.0, 6.4]
    figure, panels = pyplot.subplots(
        1, len(widths), figsize=(sum(widths), height), constrained_layout=True,
        gridspec_kw={"width_ratios": widths},
    )  # fmt: skip
    _draw_scree(panels[0], ratios)
    if has_table:
        _draw_loadings(panels[1], names, loadings)
    _draw_rows(pyplot, figure, panels[-1], scores, ratios, color, color_name)
    if scores.shape[1] > 1:
        _draw_arrows(panels[-1], scores, loadings, names)
    panels[-1].set_title(
        "The rows, and the columns as arrows" if scores.shape[1] > 1 else "The rows"
    )
    return figure


def _draw_scree(axes, ratios):
    numbers = np.arange(1, len(ratios) + 1)
    together = 100.0 * np.cumsum(ratios)
    axes.bar(numbers, 100.0 * ratios, color=MODEL, width=0.7, label="each")
    axes.plot(numbers, together, "o-", color=HELD_OUT, lw=1.2, ms=4, label="together")
    axes.set_ylim(0, 105)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("component")
    axes.set_ylabel("explained variance, %")
    axes.set_title("What they explain")
    axes.legend(loc="upper left" if together[0] < 60 else "center right", fontsize=9)


def _draw_loadings(axes, names, loadings):
    axes.imshow(loadings, cmap="RdBu_r", vmin=-1.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(loadings.shape[1]))
    axes.set_xticklabels(range(1, loadings.shape[1] + 1))
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([str(name)[:24] for name in names])
    for row, own in enumerate(loadings):
        for column, value in enumerate(own):
            ink = "white" if abs(value) > 0.6 else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xlabel("component")
    axes.set_title("Loadings")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _draw_rows(pyplot, figure, axes, scores, ratios, color, color_name):
    """On equal axes, so that distances are those of the data."""
    across, up, labels = _places(scores, ratios)
    size = dot_size(len(scores))
    for label, rows, own in _groups(pyplot, color, len(scores)):
        axes.plot(across[rows], up[rows], "o", color=own, ms=size, mew=0, alpha=0.8, label=label)
    if _is_number(color):
        points = axes.scatter(
            across, up, c=np.asarray(color, float), s=size**2, cmap="viridis", lw=0, zorder=2
        )
        figure.colorbar(points, ax=axes, label=color_name, shrink=0.7)
    elif color is not None and len(axes.get_legend_handles_labels()[1]) <= MOST_NAMES:
        # Beside the rows, which may be anywhere.
        axes.legend(
            title=color_name or None, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0)
        )
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    if scores.shape[1] > 1:
        axes.set_aspect("equal", adjustable="datalim")


def _places(scores: np.ndarray, ratios: np.ndarray) -> Tuple[np.ndarray, ...]:
    first = f"score 1 ({ratios[0]:.1%})"
    if scores.shape[1] > 1:
        return scores[:, 0], scores[:, 1], (first, f"score 2 ({ratios[1]:.1%})")  # type: ignore
    return scores[:, 0], np.arange(1, len(scores) + 1), (first, "row")  # type: ignore


def _groups(pyplot: Any, color: Any, count: int) -> List[Tuple[Optional[str], Any, Any]]:
    """(label, places of the rows, colour) of each group of rows."""
    if color is None or _is_number(color):
        return [(None, slice(None), INK)]
    values = [str(value) for value in color]
    palette = pyplot.get_cmap("tab10")
    names = list(dict.fromkeys(values))
    return [
        (name[:40], np.flatnonzero([value == name for value in values]), palette(k % 10))
        for k, name in enumerate(sorted(names) if len(names) <= MOST_NAMES else names)
    ]


def _is_number(color: Any) -> bool:
    """Whether rows have numbers for colours: more than are names of groups."""
    if color is None:
        return False
    values = np.asarray(color)
    return values.dtype.kind in "fiu" and len(np.unique(values)) > MOST_NAMES


def _draw_arrows(axes, scores, loadings, names):
    lengths = np.hypot(loadings[:, 0], loadings[:, 1])
    farthest = np.abs(scores[:, :2]).max()
    ends = ARROW * farthest / max(lengths.max(), 1e-300) * loadings[:, :2]
    # Short ones tell nothing of these two components.
    shown = np.flatnonzero(lengths >= 0.25 * lengths.max())
    for side, align in ((1.0, "left"), (-1.0, "right")):
        own = [k for k in shown if (ends[k, 0] >= 0) == (side > 0)]
        heights = _apart(ends[own, 1], 0.075 * farthest)
        for k, height in zip(own, heights):
            x, y = ends[k]
            arrow = {"arrowstyle": "->", "color": HELD_OUT, "lw": 1.0}
            axes.annotate("", (x, y), (0.0, 0.0), arrowprops=arrow)
            axes.text(
                x + side * 0.02 * farthest, height, str(names[k])[:24], color=HELD_OUT, fontsize=8,
                ha=align, va="center",
            )  # fmt: skip
    axes.axhline(0.0, color=FAINT, lw=0.6, zorder=0)
    axes.axvline(0.0, color=FAINT, lw=0.6, zorder=0)


def _apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Heights of words that do not cover each other, near those given."""
    found, order = np.array(heights), np.argsort(heights)
    for _ in range(50):
        for below, above in zip(order, order[1:]):
            lacking = gap - (found[above] - found[below])
            if lacking > 0:
                found[below] -= 0.5 * lacking
                found[above] += 0.5 * lacking
    return found
