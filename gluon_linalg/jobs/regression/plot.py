"""The picture of a trained regression."""

from typing import Any, Callable, List, Sequence

import numpy as np

from ...plots.regression import draw_agreement, draw_function
from ...plots.style import Moments, judged
from ..picture import save_picture
from .dataset import Dataset


def plot_model(
    path: str,
    dataset: Dataset,
    title: str,
    predict_new: Callable[[np.ndarray], Moments],
    leave_one_out: Moments,
    label: str,
    levels: Sequence[float],
) -> None:
    """Data, mean and bands for one input; predicted against observed for more.

    title: the kind of model; predict_new: x -> mean, variance of new observations; leave_one_out:
    the same of the training rows, each given all others; label: of these; levels: of the bands.
    """
    target, has_holdout = dataset.target, len(dataset.holdout_y) > 0
    groups: List[Any] = []
    if len(dataset.inputs) > 1:
        groups.append((label, dataset.y, leave_one_out))
        if has_holdout:
            groups.append(("hold-out", dataset.holdout_y, predict_new(dataset.holdout_x)))
        save_picture(path, draw_agreement, target, groups, levels)
        return
    groups.append(("data", dataset.x[:, 0], dataset.y))
    if has_holdout:
        groups.append(("hold-out", dataset.holdout_x[:, 0], dataset.holdout_y))
    (name,) = dataset.inputs
    shown = name + (" (year)" if dataset.dates else "")
    title = f"{target} by {name}: {title}"
    told = f"{label}: {judged(dataset.y, leave_one_out, levels)}"
    save_picture(path, draw_function, predict_new, groups, target, shown, title, told, levels)
