"""A series of a GluonTS dataset as arrays: made once, before any window is cut from it."""

from typing import Any, Dict, Iterable, List, NamedTuple, Optional

import numpy as np
import pandas as pd
from gluonts.core.component import validated
from gluonts.time_feature import TimeFeature

from ..fitting.units import mean_and_deviation, size
from .entry import (
    Entry,
    dynamic_reals_of,
    label_of,
    start_of,
    static_categories_of,
    static_reals_of,
    target_of,
)
from .frequency import period_of


class WindowSeries(NamedTuple):
    """Arrays over the T steps of a series and, if it is too short, unobserved steps before them.

    Features and phases may go on beyond its end: `padding` + T [+ h] steps. label: how messages
    name the item; item_id: None if there is none; info: whatever the entry tells of itself, None
    if nothing; forecast_start: the period after the last step; static_categories: (c,);
    static_reals: (s,); features: (padding + T [+ h], k), known in the future; phases: (padding + T
    [+ h], q), the position in each season, in [0, 1); target: (padding + T,), float64, 0 where
    missing; observed: (padding + T,), bool.
    """

    label: str
    item_id: Any
    info: Any
    forecast_start: pd.Period
    static_categories: np.ndarray
    static_reals: np.ndarray
    features: np.ndarray
    phases: np.ndarray
    target: np.ndarray
    observed: np.ndarray


class SeriesTransform:
    """Data entries of GluonTS, dicts with `start` and `target`, as `WindowSeries` of arrays.

    features are, in this order, the time features of the frequency, the age log10(2 + t) and
    `feat_dynamic_real`; phases are (n mod period) / period of the step number n since 1970, which
    all series share. What is not in use is one column of zeros: `static_categories` without
    categories, `static_reals` without reals, `phases` without periods.

    freq: a pandas frequency. seasonal_periods: in steps, any numbers from 2 on. cardinality: of
    each static category, None without; static_reals and dynamic_reals: the number of columns of
    these features. scaling: whether windows are centred and scaled (`windows.location_and_scale`).
    static_real_units, dynamic_real_units: (location, scale) of each of these columns, in which the
    networks see them (`feature_units`); default: they see them as they are.
    """

    @validated()
    def __init__(
        self,
        freq: str,
        time_features: List[TimeFeature],
        seasonal_periods: Optional[List[float]] = None,
        cardinality: Optional[List[int]] = None,
        static_reals: int = 0,
        dynamic_reals: int = 0,
        scaling: bool = True,
        static_real_units: Optional[List[List[float]]] = None,
        dynamic_real_units: Optional[List[List[float]]] = None,
    ) -> None:
        self.freq = freq
        self.time_features = time_features
        self.seasonal_periods = seasonal_periods or []
        self.cardinality = cardinality
        self.static_reals = static_reals
        self.dynamic_reals = dynamic_reals
        self.scaling = scaling
        self.static_real_units = static_real_units
        self.dynamic_real_units = dynamic_real_units

    def __call__(self, entry: Entry, index: int, length: int, future: int = 0) -> WindowSeries:
        """The `WindowSeries` of an entry, the `index`-th of its dataset, of `length` steps or more.

        Its known features reach `future` steps beyond the target. GluonTSDataError names the item.
        """
        label = label_of(entry, index)
        start, target = start_of(entry, self.freq, label), target_of(entry, label)
        padding = max(0, length - len(target))
        steps = len(target) + future
        periods = pd.period_range(start - padding, periods=padding + steps, freq=start.freq)
        age = np.log10(2.0 + np.maximum(0, np.arange(-padding, steps)))
        known = [feature(periods) for feature in self.time_features] + [age]
        dynamic = self._dynamic_reals(entry, steps, label)
        known += list(np.pad(dynamic, ((0, 0), (padding, 0))))
        target = np.pad(target, (padding, 0), constant_values=np.nan)
        return WindowSeries(
            label,
            entry.get("item_id"),
            entry.get("info"),
            start + (len(target) - padding),
            self._static_categories(entry, label),
            self._static_reals(entry, label),
            np.stack(known, axis=1),
            self._phases(periods),
            np.nan_to_num(target),
            ~np.isnan(target),
        )

    def example(self, length: int) -> Dict[str, Any]:
        """An entry of `length` known steps, with features in the middle of their values."""
        static = _middle(self.static_real_units, self.static_reals)
        dynamic = _middle(self.dynamic_real_units, self.dynamic_reals)
        return {
            "start": period_of(self.freq),
            "target": np.ones(1),
            "feat_static_cat": np.zeros(len(self.cardinality or [])),
            "feat_static_real": static,
            "feat_dynamic_real": np.repeat(dynamic[:, None], length, axis=1),
        }

    def _phases(self, periods):
        if not self.seasonal_periods:
            return np.zeros((len(periods), 1))
        # The numbers of periods that are n base units long are n apart.
        steps = periods.asi8 / periods.freq.n
        return np.stack([steps % period / period for period in self.seasonal_periods], axis=1)

    def _static_categories(self, entry, label):
        if self.cardinality is None:
            return np.zeros(1)
        return static_categories_of(entry, self.cardinality, label)

    def _static_reals(self, entry, label):
        if not self.static_reals:
            return np.zeros(1)
        values = static_reals_of(entry, self.static_reals, label)
        return _in_units(values, self.static_real_units)

    def _dynamic_reals(self, entry, steps, label):
        if not self.dynamic_reals:
            return np.zeros((0, steps))
        values = dynamic_reals_of(entry, self.dynamic_reals, steps, label)
        return _in_units(values, self.dynamic_real_units)


def feature_units(dataset: Iterable[Entry], name: str, count: int) -> List[List[float]]:
    """[mean, standard deviation] of each of `count` columns of a feature over a whole dataset.

    Where all values of a column are equal, its scale is their magnitude, or 1. name:
    'feat_static_real' or 'feat_dynamic_real'. Raises GluonTSDataError, which names the item.
    """
    rows = []
    for index, entry in enumerate(dataset):
        label = label_of(entry, index)
        if name == "feat_static_real":
            rows.append(static_reals_of(entry, count, label)[None, :])
        else:
            steps = len(target_of(entry, label))
            rows.append(dynamic_reals_of(entry, count, steps, label).T)
    values = np.concatenate(rows)
    mean, deviation = mean_and_deviation(values)
    return np.stack([mean, size(deviation, values)], axis=1).tolist()


def _middle(units, count):
    """The locations of `count` columns, 0 without units."""
    return np.zeros(count) if units is None else np.array(units)[:, 0]


def _in_units(values, units):
    """Features (c,) or (c, T), each column with its location and scale."""
    if units is None:
        return values
    location, scale = np.reshape(np.transpose(units), (2, -1) + (1,) * (values.ndim - 1))
    return (values - location) / scale
