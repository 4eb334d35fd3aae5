"""The fields of an entry of a GluonTS dataset, or a GluonTSDataError that names the item."""

from typing import Any, Mapping, Sequence

import numpy as np
import pandas as pd
from gluonts.exceptions import GluonTSDataError

from .frequency import period_of

# What a dataset of GluonTS is iterated over.
Entry = Mapping[str, Any]


def label_of(entry: Entry, index: int) -> str:
    """How messages name an item: by its item_id, or by its place in the dataset."""
    return f"item {index if entry.get('item_id') is None else entry['item_id']!r}"


def start_of(entry: Entry, freq: str, label: str) -> pd.Period:
    """The period of the first step, of the frequency `freq`."""
    start, expected = entry.get("start"), period_of(freq)
    if not isinstance(start, pd.Period):
        raise GluonTSDataError(
            f"{label}: start is {start!r}, expected a pandas.Period: pass the data through "
            f"gluonts.dataset.pandas or ListDataset(..., freq={freq!r})."
        )
    if start.freqstr != expected.freqstr:
        raise GluonTSDataError(f"{label}: its frequency is {start.freqstr}, expected {freq}.")
    return start


def target_of(entry: Entry, label: str) -> np.ndarray:
    """(T,), T >= 1, NaN where missing."""
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


def static_categories_of(entry: Entry, cardinality: Sequence[int], label: str) -> np.ndarray:
    """One of the values 0, ..., c - 1 for each c of `cardinality`."""
    values = _row(entry, "feat_static_cat", len(cardinality), label)
    for value, count in zip(values, cardinality):
        if not 0 <= value < count or value != int(value):
            raise GluonTSDataError(
                f"{label}: feat_static_cat has {value:g}, expected an integer from 0 to "
                f"{count - 1}: its cardinality is {count}."
            )
    return values


def static_reals_of(entry: Entry, count: int, label: str) -> np.ndarray:
    """(count,)"""
    return _row(entry, "feat_static_real", count, label)


def dynamic_reals_of(entry: Entry, count: int, steps: int, label: str) -> np.ndarray:
    """(count, steps): what is known of the steps of the target, and of those after it."""
    values = _numbers(entry, "feat_dynamic_real", label)
    if values.ndim != 2 or len(values) != count or values.shape[1] < steps:
        raise GluonTSDataError(
            f"{label}: feat_dynamic_real has shape {values.shape}, expected ({count}, {steps}) or "
            "longer: it must be known at all these steps."
        )
    return _finite(values[:, :steps], "feat_dynamic_real", label)


def feature_count(entry: Entry, name: str, label: str) -> int:
    """The number of rows of a feature of an entry; GluonTSDataError if there are none."""
    count = len(np.atleast_1d(_numbers(entry, name, label)))
    if not count:
        raise GluonTSDataError(f"{label}: {name} is empty.")
    return count


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
