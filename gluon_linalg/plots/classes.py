"""The picture of a classifier: how sure it is and how often right, and what it takes for what."""

from typing import Any, List, Sequence, Tuple

import numpy as np

from .style import HELD_OUT, INK, MODEL

# More names than this have no place beside a table.
MOST_NAMES = 12
# What a group of rows is called, their probabilities (n, C) and the numbers of their classes (n,).
Judged = Tuple[str, np.ndarray, np.ndarray]
# Of bins of rows (k,): the probability of the most probable class, the share of it, their number.
Curve = Tuple[np.ndarray, np.ndarray, np.ndarray]


def draw_classes(
    pyplot: Any, target: str, classes: List[str], judged: Sequence[Judged], curves: Sequence[Curve]
) -> Any:
    """How sure a model is and how often right, and which classes it takes for which.

    judged: the rows to train on, and the hold-out if there is one, which the table is then of;
    curves: the calibration of each.
    """
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5), constrained_layout=True)
    _draw_calibration(left, [name for name, _, _ in judged], curves)
    name, probabilities, labels = judged[-1]
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    if len(classes) <= MOST_NAMES:
        ticks = range(len(classes))
        right.set_xticks(ticks, [c[:20] for c in classes], rotation=45, ha="right")
        right.set_yticks(ticks, [c[:20] for c in classes])
        for row in ticks:
            for column in ticks:
                color = "white" if shares[row, column] > 0.5 else INK
                text = str(counts[row, column])
                right.text(column, row, text, ha="center", va="center", color=color)
    right.set_xlabel(f"{target}, predicted")
    right.set_ylabel(f"{target}, observed")
    right.set_title(f"Decisions: {name}, {np.trace(counts) / max(counts.sum(), 1):.1%} right")
    return figure


def _draw_calibration(axes, names, curves):
    axes.plot([0, 1], [0, 1], color=MODEL, lw=1.2, label="as often right as said", zorder=0)
    for name, (said, right, counts), color in zip(names, curves, (INK, HELD_OUT)):
        error = 1.96 * np.sqrt(right * (1.0 - right) / counts)
        axes.errorbar(
            said, right, error, fmt="o-", color=color, ms=5, lw=1.2, elinewidth=0.8, label=name
        )
    axes.set_xlim(0.0, 1.02)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("probability of the most probable class")
    axes.set_ylabel("share of rows that are of it")
    axes.set_title("Calibration")
    axes.legend(loc="upper left")
