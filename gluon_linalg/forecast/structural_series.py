"""The series of a dataset as a structural model wants them: in units of their own changes."""

from dataclasses import dataclass
from typing import Any, List, Optional

import numpy as np
from gluonts.exceptions import GluonTSDataError

from ..fitting.units import without_outliers
from .entry import Entry, dynamic_reals_of, feature_count, label_of, start_of, target_of


@dataclass
class StructuralSeries:
    """One series from its first observation on.

    target (T,): (y - location) / scale, 0 where `observed` (T,), of booleans, is False; covariates:
    (T + h, k) or None; start: the period of the forecast's first step; item_id, info: of the
    entry; name: for errors.
    """

    target: np.ndarray
    observed: np.ndarray
    covariates: Optional[np.ndarray]
    location: float
    scale: float
    start: object
    item_id: Optional[str]
    name: str
    info: Any

    @property
    def count(self) -> int:
        """The number of observations."""
        return int(self.observed.sum())


def read_series(
    entry: Entry,
    index: int,
    freq: str,
    prediction_length: int,
    with_features: bool,
    rows: Optional[List[int]] = None,
    is_robust: bool = False,
) -> StructuralSeries:
    """The `StructuralSeries` of an entry of a GluonTS dataset; index is its place, for errors.

    rows: those of feat_dynamic_real that are the covariates, None for all; is_robust: whether
    outliers have no part in location and scale.

    Raises GluonTSDataError, which names the item.
    """
    label = label_of(entry, index)
    start, values = start_of(entry, freq, label), target_of(entry, label)
    observed = ~np.isnan(values)
    if not observed.any():
        raise GluonTSDataError(
            f"{label}: nothing was observed, all {len(values)} values are missing; leave the item "
            "out."
        )
    first = int(np.argmax(observed))
    covariates = None
    if with_features:
        count = feature_count(entry, "feat_dynamic_real", label)
        steps = len(values) + prediction_length
        covariates = dynamic_reals_of(entry, count, steps, label).T[first:]
        if rows is not None:
            if max(rows) >= count:
                raise GluonTSDataError(
                    f"{label}: feat_dynamic_real has {count} rows, but a regression is on "
                    f"feat_dynamic_real_{max(rows)}."
                )
            covariates = covariates[:, rows]
    forecast_start = start + len(values)
    values, observed = values[first:], observed[first:]
    typical = without_outliers(np.where(observed, values, np.nan)) if is_robust else values
    location, scale = _units(typical[observed & ~np.isnan(typical)], label)
    target = np.where(observed, (values - location) / scale, 0.0)
    return StructuralSeries(
        target,
        observed,
        covariates,
        location,
        scale,
        forecast_start,
        entry.get("item_id"),
        label,
        entry.get("info"),
    )


def _units(values, name):
    """Mean, and root mean square of the changes between observations.

    Where nothing changes the unit is the size of the mean, or 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        location = values.mean()
        changes = np.diff(values)
        scale = np.sqrt(np.mean(changes**2)) if len(changes) else 0.0
        # Changes whose squares underflow, or are rounding of the values, count as none.
        smallest = 1e-12 * np.abs(values).max()
    scale = float(scale if scale > smallest else abs(location) or 1.0)
    if not (np.isfinite(location) and np.isfinite(scale)):
        raise GluonTSDataError(f"{name}: the target is too large, up to {np.abs(values).max():g}.")
    return float(location), scale
