"""Series as arrays, and the windows cut from them."""

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from forecast_series import monthly_series
from gluonts.core.serde import dump_json, load_json
from gluonts.exceptions import GluonTSDataError
from gluonts.time_feature import hour_of_day, month_of_year

from gluon_linalg.forecast import SeriesTransform, TrainingWindows, frequency
from gluon_linalg.forecast.estimator import TrainingBatches
from gluon_linalg.forecast.windows import FIELDS, location_and_scale


def transform(**settings):
    return SeriesTransform(**{"freq": "M", "time_features": [month_of_year], **settings})


def test_known_features_reach_beyond_a_series_and_before_a_short_one():
    entry = {"start": pd.Period("2000-03", "M"), "target": [1.0, np.nan, 3.0]}
    series = transform(seasonal_periods=[12.0])(entry, 0, length=5, future=2)
    months = np.array([1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(series.features[:, 0], (months - 1) / 11 - 0.5)
    np.testing.assert_allclose(series.features[:, 1], np.log10([2, 2, 2, 3, 4, 5, 6]))
    np.testing.assert_allclose(series.phases[:, 0], (months - 1) / 12)
    assert series.forecast_start == pd.Period("2000-06", "M")
    np.testing.assert_array_equal(series.target, [0, 0, 1, 0, 3])
    np.testing.assert_array_equal(series.observed, [False, False, True, False, True])


def test_phases_of_multiples_and_of_periods_that_are_no_whole_number():
    entry = {"start": pd.Period("1970-01-01 04:00", "2h"), "target": np.ones(6)}
    periods = transform(freq="2h", time_features=[hour_of_day], seasonal_periods=[12.0, 2.5])
    phases = periods(entry, 0, length=1).phases
    np.testing.assert_allclose(phases[:, 0], (2 + np.arange(6)) / 12)
    np.testing.assert_allclose(phases[:, 1], ((2 + np.arange(6)) % 2.5) / 2.5)


def test_dynamic_and_static_features():
    entry = {
        "start": pd.Period("2000-01", "M"),
        "target": [1.0, 2.0],
        "feat_dynamic_real": [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]],
        "feat_static_real": [0.5],
        "feat_static_cat": [2, 0],
    }
    full = transform(cardinality=[3, 1], static_reals=1, dynamic_reals=2)
    series = full(entry, 0, length=3, future=1)
    np.testing.assert_array_equal(series.features[:, 2:], [[0, 0], [3, 6], [4, 7], [5, 8]])
    np.testing.assert_array_equal(series.static_categories, [2, 0])
    np.testing.assert_array_equal(series.static_reals, [0.5])
    again = load_json(dump_json(full))(entry, 0, length=3, future=1)
    np.testing.assert_array_equal(again.features, series.features)


GOOD = {"start": pd.Period("2000-01", "M"), "target": [1.0, 2.0]}


@pytest.mark.parametrize(
    "changes, settings, message",
    [
        ({"start": "2000-01"}, {}, "item 3: start is '2000-01', expected a pandas.Period"),
        ({"start": pd.Period("2000-01-01", "D")}, {}, "item 3: its frequency is D"),
        ({"target": []}, {}, "item 3: target has shape"),
        ({"target": [[1.0]]}, {}, "item 3: target has shape"),
        ({"target": ["a"]}, {}, "item 3: target is not an array of numbers"),
        ({"target": None, "item_id": "x"}, {}, "item 'x': there is no target"),
        ({"target": [1.0, np.inf]}, {}, "item 3: target has infinity at step 1"),
        ({}, {"cardinality": [2]}, "item 3: there is no feat_static_cat"),
        ({"feat_static_cat": [2]}, {"cardinality": [2]}, "item 3: feat_static_cat has 2"),
        ({"feat_static_cat": [0.5]}, {"cardinality": [2]}, "item 3: feat_static_cat has 0.5"),
        ({"feat_static_cat": [0, 0]}, {"cardinality": [2]}, "item 3: feat_static_cat has shape"),
        ({"feat_static_real": [np.nan]}, {"static_reals": 1}, "item 3: feat_static_real has NaN"),
        ({"feat_dynamic_real": [[1.0]]}, {"dynamic_reals": 1}, "expected \\(1, 2\\) or longer"),
    ],
)
def test_what_is_wrong_with_an_item_is_said_with_its_name(changes, settings, message):
    with pytest.raises(GluonTSDataError, match=message):
        transform(**settings)({**GOOD, **changes}, 3, length=4)


def test_a_batch_depends_on_seed_and_number_alone():
    dataset = monthly_series()
    windows = TrainingWindows(dataset, transform(), FIELDS, length=24, batch_size=7, seed=5)
    late = windows.batch(9)
    windows.batch(0)
    again = TrainingWindows(dataset, transform(), FIELDS, length=24, batch_size=7, seed=5)
    for array, same in zip(late, again.batch(9)):
        np.testing.assert_array_equal(array, same)
    other = TrainingWindows(dataset, transform(), FIELDS, length=24, batch_size=7, seed=6)
    assert not np.array_equal(late[2], other.batch(9)[2])
    assert not np.array_equal(late[2], windows.batch(10)[2])


def test_windows_are_stretches_of_the_series():
    length, steps = 10, 31
    target = np.arange(float(steps)) ** 2
    target[[3, 4, 30]] = np.nan
    dataset = [{"start": pd.Period("2000-01", "M"), "target": target}]
    fields = ("features", "target", "observed")
    windows = TrainingWindows(dataset, transform(), fields, length, batch_size=200)
    features, scaled, observed = windows.batch(0)
    begins = (np.round(10 ** features[:, 0, 1]) - 2).astype(int)
    assert set(begins) == set(range(steps - length + 1))
    for begin, row, seen in zip(begins, scaled, observed):
        expected = target[begin : begin + length]
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(seen, known)
        centred = expected[known] - expected[known].mean()
        np.testing.assert_allclose(row[known], centred / np.abs(centred).mean(), atol=1e-12)
        np.testing.assert_array_equal(row[~known], 0.0)


def test_every_window_has_an_observation():
    target = np.full(50, np.nan)
    target[20] = 1.0
    dataset = [
        {"start": pd.Period("2000-01", "M"), "target": target},
        {"start": pd.Period("2000-01", "M"), "target": np.full(9, np.nan)},
        {"start": pd.Period("2000-01", "M"), "target": [2.0]},
    ]
    windows = TrainingWindows(dataset, transform(), ("observed",), length=6, batch_size=100)
    assert len(windows) == 2
    assert windows.batch(0)[0].sum(axis=1).min() == 1.0


def test_nothing_to_train_on():
    dataset = [{"start": pd.Period("2000-01", "M"), "target": [np.nan]}]
    for series in (dataset, []):
        with pytest.raises(GluonTSDataError, match="no series with an observation"):
            TrainingWindows(series, transform(), FIELDS, length=6, batch_size=2)


def test_epochs_go_on_where_the_last_one_ended():
    windows = TrainingWindows(monthly_series(), transform(), ("target",), 24, batch_size=3)
    batches = TrainingBatches(windows, mx.cpu(), "float32")
    seen = [next(iter(batches))["target"] for _ in range(2)]
    for iteration, found in enumerate(seen):
        np.testing.assert_allclose(found.asnumpy(), windows.batch(iteration)[0], rtol=1e-6)


def test_last_windows():
    dataset = monthly_series(count=5, length=30)
    windows = TrainingWindows(dataset, transform(), ("features",), length=7, batch_size=2)
    batches = list(windows.last_batches())
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    np.testing.assert_allclose(batches[2][0][0, -1, 1], np.log10(2 + 29))


@pytest.mark.parametrize(
    "values, location, scale",
    [
        ([1.0, 3.0], 2.0, 1.0),
        ([-1e9, -3e9], -2e9, 1e9),
        ([1e-9, 3e-9], 2e-9, 1e-9),
        ([0.3, 0.3, 0.3], 0.3, 0.1),
        ([-7.0], -7.0, 7.0),
        ([0.0, 0.0], 0.0, 0.5),
        ([], 0.0, 1.0),
        ([1e9, 1e9 + 2.0], 1e9 + 1.0, 1.0),
    ],
)
def test_location_and_scale(values, location, scale):
    np.testing.assert_allclose(location_and_scale(np.array(values)), (location, scale), rtol=1e-12)


@pytest.mark.parametrize(
    "freq, length, periods, cycle",
    [
        ("M", 48, [12.0], 12),
        (pd.offsets.MonthEnd().freqstr, 48, [12.0], 12),
        ("3M", 48, [4.0], 4),
        ("Q", 16, [4.0], 4),
        (pd.offsets.YearEnd().freqstr, 16, [], 4),
        ("W-SUN", 208, [365.25 / 7], 52),
        ("D", 124, [7.0], 31),
        ("D", 730, [7.0], 31),
        ("D", 731, [7.0, 365.25], 31),
        ("B", 88, [5.0], 22),
        ("h", 672, [24.0, 168.0], 168),
        ("2H", 336, [12.0, 84.0], 84),
        ("5min", 672, [12.0, 288.0], 168),
        ("S", 672, [60.0], 168),
        ("ms", 16, [], 4),
    ],
)
def test_what_a_frequency_says(freq, length, periods, cycle):
    assert frequency.seasonal_periods(freq, length) == pytest.approx(periods)
    assert frequency.cycle_length(freq) == cycle
    index = pd.period_range(frequency.period_of(freq), periods=3)
    assert all(feature(index).shape == (3,) for feature in frequency.time_features(freq))
