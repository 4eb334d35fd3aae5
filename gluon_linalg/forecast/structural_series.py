"""The series of a dataset as a structural model wants them: in units of their own changes."""

from dataclasses import dataclass
from typing import Optional

import numpy as np
from gluonts.dataset.util import forecast_start
from gluonts.exceptions import GluonTSDataError


@dataclass
class Series:
    """One series from its first observation on.

    target (T,): (y - location) / scale, 0 where `observed` (T,), of booleans, is False; covariates:
    (T + h, k) or None; start: the period of the forecast's first step; name: for errors.
    """

    target: np.ndarray
    observed: np.ndarray
    covariates: Optional[np.ndarray]
    location: float
    scale: float
    start: object
    item_id: Optional[str]
    name: str

    @property
    def count(self):
        """The number of observations."""
        return int(self.observed.sum())


def read_series(entry, index, prediction_length, with_features):
    """The `Series` of an entry of a GluonTS dataset; index is its place, for errors.

    Raises GluonTSDataError, which names the item.
    """
    item_id = entry.get("item_id")
    name = f"item {index}" if item_id is None else f"item '{item_id}'"
    values = _floats(entry["target"], name, "target")
    if values.ndim != 1:
        raise GluonTSDataError(
            f"{name}: the target has shape {values.shape}, expected one series, (T,)."
        )
    observed = ~np.isnan(values)
    if not observed.any():
        raise GluonTSDataError(
            f"{name}: nothing was observed ({len(values)} values, all missing or none); leave the "
            "item out."
        )
    if np.isinf(values).any():
        raise GluonTSDataError(f"{name}: the target has infinite values; NaN means missing.")
    first = int(np.argmax(observed))
    covariates = None
    if with_features:
        covariates = _covariates(entry, name, len(values) + prediction_length)[first:]
    values, observed = values[first:], observed[first:]
    location, scale = _units(values[observed], name)
    target = np.where(observed, (values - location) / scale, 0.0)
    return Series(
        target, observed, covariates, location, scale, forecast_start(entry), item_id, name
    )


def _covariates(entry, name, length):
    if entry.get("feat_dynamic_real") is None:
        raise GluonTSDataError(
            f"{name}: feat_dynamic_real is missing; it has to be there for every item with "
            "use_feat_dynamic_real=True."
        )
    covariates = _floats(entry["feat_dynamic_real"], name, "feat_dynamic_real")
    if covariates.ndim != 2 or covariates.shape[1] != length:
        raise GluonTSDataError(
            f"{name}: feat_dynamic_real has shape {covariates.shape}, expected (k, {length}): the "
            "steps of the target and those of the forecast."
        )
    if not np.isfinite(covariates).all():
        raise GluonTSDataError(f"{name}: feat_dynamic_real has NaN or infinity.")
    return covariates.T


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


def _floats(values, name, field):
    try:
        return np.asarray(values, dtype="float64")
    except (TypeError, ValueError):
        raise GluonTSDataError(f"{name}: {field} is not an array of numbers.") from None
