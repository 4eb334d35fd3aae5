"""A series of a GluonTS dataset as arrays: made once, before any window is cut from it."""

from collections import namedtuple
from typing import List, Optional

import numpy as np
import pandas as pd
from gluonts.core.component import validated
from gluonts.exceptions import GluonTSDataError
from gluonts.time_feature import TimeFeature

from .frequency import period_of

# Arrays over the T steps of a series and, if it is too short, `padding` unobserved steps before
# them; features and phases may go on beyond its end.
Series = namedtuple(
    "Series",
    [
        "label",  # how messages name the item
        "item_id",  # None if there is none
        "forecast_start",  # the period after the last step
        "static_categories",  # (c,)
        "static_reals",  # (s,)
        "features",  # (padding + T [+ h], k), known in the future
        "phases",  # (padding + T [+ h], q), position in each season, in [0, 1)
        "target",  # (padding + T,), float64, 0 where missing
        "observed",  # (padding + T,), bool
    ],
)


class SeriesTransform:
    """Data entries of GluonTS, dicts with `start` and `target`, as `Series` of arrays.

    features are, in this order, the time features of the frequency, the age log10(2 + t) and
    `feat_dynamic_real`; phases are (n mod period) / period of the step number n since 1970, which
    all series share. What is not in use is one column of zeros: `static_categories` without
    categories, `static_reals` without reals, `phases` without periods.

    freq: a pandas frequency. seasonal_periods: in steps, any numbers from 2 on. cardinality: of
    each static category, None without; static_reals and dynamic_reals: the number of columns of
    these features. scaling: whether windows are centred and scaled (`windows.location_and_scale`).
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
    ) -> None:
        self.freq = freq
        self.time_features = time_features
        self.seasonal_periods = seasonal_periods or []
        self.cardinality = cardinality
        self.static_reals = static_reals
        self.dynamic_reals = dynamic_reals
        self.scaling = scaling
        self._freqstr = period_of(freq).freqstr

    def __call__(self, entry, index, length, future=0):
        """The `Series` of an entry, the `index`-th of its dataset, of `length` steps or more.

        Its known features reach `future` steps beyond the target. GluonTSDataError names the item.
        """
        label = label_of(entry, index)
        start, target = self._start(entry, label), _target(entry, label)
        padding = max(0, length - len(target))
        steps = len(target) + future
        periods = pd.period_range(start - padding, periods=padding + steps, freq=start.freq)
        age = np.log10(2.0 + np.maximum(0, np.arange(-padding, steps)))
        known = [feature(periods) for feature in self.time_features] + [age]
        dynamic = self._dynamic_reals(entry, steps, label)
        known += list(np.pad(dynamic, ((0, 0), (padding, 0))))
        target = np.pad(target, (padding, 0), constant_values=np.nan)
        return Series(
            label,
            entry.get("item_id"),
            start + (len(target) - padding),
            self._static_categories(entry, label),
            self._static_reals(entry, label),
            np.stack(known, axis=1),
            self._phases(periods),
            np.nan_to_num(target),
            ~np.isnan(target),
        )

    def example(self, length):
        """An entry of `length` known steps, with zeros for all features."""
        return {
            "start": period_of(self.freq),
            "target": np.ones(1),
            "feat_static_cat": np.zeros(len(self.cardinality or [])),
            "feat_static_real": np.zeros(self.static_reals),
            "feat_dynamic_real": np.zeros((self.dynamic_reals, length)),
        }

    def _start(self, entry, label):
        start = entry.get("start")
        if not isinstance(start, pd.Period):
            raise GluonTSDataError(
                f"{label}: start is {start!r}, expected a pandas.Period: pass the data through "
                f"gluonts.dataset.pandas or ListDataset(..., freq={self.freq!r})."
            )
        if start.freqstr != self._freqstr:
            raise GluonTSDataError(
                f"{label}: its frequency is {start.freqstr}, but the estimator's is {self.freq}."
            )
        return start

    def _phases(self, periods):
        if not self.seasonal_periods:
            return np.zeros((len(periods), 1))
        # The numbers of periods that are n base units long are n apart.
        steps = periods.asi8 / periods.freq.n
        return np.stack([steps % period / period for period in self.seasonal_periods], axis=1)

    def _static_categories(self, entry, label):
        if self.cardinality is None:
            return np.zeros(1)
        values = _row(entry, "feat_static_cat", len(self.cardinality), label)
        for value, cardinality in zip(values, self.cardinality):
            if not 0 <= value < cardinality or value != int(value):
                raise GluonTSDataError(
                    f"{label}: feat_static_cat has {value:g}, expected an integer from 0 to "
                    f"{cardinality - 1}: its cardinality is {cardinality}."
                )
        return values

    def _static_reals(self, entry, label):
        if not self.static_reals:
            return np.zeros(1)
        return _row(entry, "feat_static_real", self.static_reals, label)

    def _dynamic_reals(self, entry, steps, label):
        if not self.dynamic_reals:
            return np.zeros((0, steps))
        values = _numbers(entry, "feat_dynamic_real", label)
        if values.ndim != 2 or len(values) != self.dynamic_reals or values.shape[1] < steps:
            raise GluonTSDataError(
                f"{label}: feat_dynamic_real has shape {values.shape}, expected "
                f"({self.dynamic_reals}, {steps}) or longer: it must be known at all these steps."
            )
        return _finite(values[:, :steps], "feat_dynamic_real", label)


def label_of(entry, index):
    """How messages name an item: by its item_id, or by its place in the dataset."""
    return f"item {index if entry.get('item_id') is None else entry['item_id']!r}"


def feature_count(entry, name, label):
    """The number of rows of a feature of an entry; GluonTSDataError if there are none."""
    count = len(np.atleast_1d(_numbers(entry, name, label)))
    if not count:
        raise GluonTSDataError(f"{label}: {name} is empty.")
    return count


def _target(entry, label):
    target = _numbers(entry, "target", label)
    if target.ndim != 1 or not len(target):
        raise GluonTSDataError(
            f"{label}: target has shape {target.shape}, expected one value or more in one axis."
        )
    if np.isinf(target).any():
        raise GluonTSDataError(
            f"{label}: target has infinity at step {np.flatnonzero(np.isinf(target))[0]}; write "
            "NaN for what is missing."
        )
    return target


def _row(entry, name, size, label):
    values = np.atleast_1d(_numbers(entry, name, label))
    if values.shape != (size,):
        raise GluonTSDataError(
            f"{label}: {name} has shape {values.shape}, expected {size} numbers."
        )
    return _finite(values, name, label)


def _numbers(entry, name, label):
    if entry.get(name) is None:
        raise GluonTSDataError(f"{label}: there is no {name}.")
    try:
        return np.asarray(entry[name], dtype="float64")
    except (TypeError, ValueError):
        raise GluonTSDataError(f"{label}: {name} is not an array of numbers.") from None


def _finite(values, name, label):
    if not np.isfinite(values).all():
        raise GluonTSDataError(f"{label}: {name} has NaN or infinity; only target may have NaN.")
    return values
