"""The picture of a principal component analysis."""

import numpy as np

from ..picture import HELD_OUT, INK, MODEL, save_picture


def plot_components(path: str, ratios: np.ndarray, scores: np.ndarray) -> None:
    """What each component explains; beside it the rows on the first two, or on the only one."""
    save_picture(path, lambda pyplot: _draw(pyplot, ratios, scores))


def _draw(pyplot, ratios, scores):
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5), constrained_layout=True)
    numbers = np.arange(1, len(ratios) + 1)
    left.bar(numbers, 100.0 * ratios, color=MODEL, width=0.7, label="each")
    left.plot(
        numbers, 100.0 * np.cumsum(ratios), "o-", color=HELD_OUT, lw=1.2, ms=4, label="together"
    )
    left.set_ylim(0, 105)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set_xlabel("component")
    left.set_ylabel("explained variance, %")
    left.set_title("What the components explain")
    left.legend(loc="center right")
    size = np.clip(60.0 / np.sqrt(len(scores)), 1.8, 5.0)
    first = f"score 1 ({ratios[0]:.1%})"
    if scores.shape[1] > 1:
        across, up, title = scores[:, 0], scores[:, 1], "The rows on the first two components"
        labels = first, f"score 2 ({ratios[1]:.1%})"
    else:
        across, up, title = np.arange(1, len(scores) + 1), scores[:, 0], "The rows"
        labels = "row", first
    right.plot(across, up, "o", color=INK, ms=size, mew=0, alpha=0.8)
    right.set_xlabel(labels[0])
    right.set_ylabel(labels[1])
    right.set_title(title)
    return figure
