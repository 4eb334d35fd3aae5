"""The picture of a trained state space model."""

from typing import Sequence

from ...plots.series import SeriesPicture, draw_panel, draw_series
from ..picture import save_picture
from .dataset import Dataset, Member
from .estimates import Estimates


def plot_model(
    path: str, dataset: Dataset, estimates: Sequence[Estimates], levels: Sequence[float]
) -> None:
    """Observations, signal, forecast and components; of many series the first, without these."""
    pictures = {
        member.name: _picture(dataset, member, own, levels)
        for member, own in zip(dataset.members, estimates)
    }
    if dataset.series is None:
        save_picture(path, draw_series, pictures[None])
    else:
        save_picture(path, draw_panel, pictures)


def _picture(
    dataset: Dataset, member: Member, estimates: Estimates, levels: Sequence[float]
) -> SeriesPicture:
    return SeriesPicture(
        dataset.target,
        member.series.times.name,
        member.series.places(0, len(member.y) + dataset.steps),
        member.y,
        estimates.signal if estimates.expected is None else estimates.expected,
        estimates.noise_variance,
        member.holdout_y,
        {k: own for k, own in estimates.components.items() if k not in estimates.parts.regressions},
        estimates.parts.slopes,
        estimates.parts.effects,
        estimates.innovations.standardized[:, 0],
        levels,
        estimates.expected is None,
    )
