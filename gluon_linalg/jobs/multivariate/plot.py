"""The picture of a trained model of several series."""

from typing import Sequence

from ...plots.series import SeriesPicture, draw_panel
from ..picture import save_picture
from .dataset import Dataset
from .estimates import Estimates


def plot_model(path: str, dataset: Dataset, estimates: Estimates, levels: Sequence[float]) -> None:
    """Of the first series observations, smoothed signal and forecast."""
    places = dataset.table.places(0, len(dataset.y) + dataset.steps)
    mean, variance = estimates.signal
    pictures = {
        name: SeriesPicture(
            name,
            dataset.table.times.name,
            places,
            dataset.y[:, number],
            (mean[:, number], variance[:, number]),
            float(estimates.noise[number]),
            dataset.holdout_y[:, number],
            levels=levels,
        )
        for number, name in enumerate(dataset.names)
    }
    save_picture(path, draw_panel, pictures)
