"""The picture of a discriminant analysis."""

import numpy as np

from ..picture import save_picture
from .dataset import Dataset

# More names than this are no legend.
MOST_NAMES = 12


def plot_classes(path: str, dataset: Dataset, shares: np.ndarray, scores: np.ndarray) -> None:
    """The rows on the first two directions, or on the only one, coloured by their class."""
    save_picture(path, lambda pyplot: _draw(pyplot, dataset, shares, scores))


def _draw(pyplot, dataset, shares, scores):
    figure, axes = pyplot.subplots(figsize=(7, 5), constrained_layout=True)
    size = np.clip(60.0 / np.sqrt(len(scores)), 1.8, 5.0)
    has_two = scores.shape[1] > 1
    for number, name in enumerate(dataset.classes):
        rows = np.flatnonzero(dataset.labels == number)
        up = scores[rows, 1] if has_two else rows + 1
        colour = pyplot.get_cmap("tab10")(number % 10)
        axes.plot(
            scores[rows, 0], up, "o", color=colour, ms=size, mew=0, alpha=0.8, label=name[:40]
        )
    axes.set_xlabel(f"score 1 ({shares[0]:.1%})")
    axes.set_ylabel(f"score 2 ({shares[1]:.1%})" if has_two else "row")
    axes.set_title(f"What tells the classes of {dataset.target} apart")
    if len(dataset.classes) <= MOST_NAMES:
        axes.legend()
    return figure
