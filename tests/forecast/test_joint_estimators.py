"""What the Gaussian process and the regression estimator promise alike."""

import logging

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from forecast_series import monthly_series
from gluonts.core.component import equals
from gluonts.core.serde import dump_json, load_json
from gluonts.dataset.artificial import constant_dataset
from gluonts.evaluation import Evaluator, backtest_metrics
from gluonts.exceptions import GluonTSDataError, GluonTSHyperparametersError
from gluonts.model.predictor import Predictor
from gluonts.mx.trainer import Trainer

from gluon_linalg.forecast import BLRForecastEstimator, GaussianProcessEstimator

ESTIMATORS = [GaussianProcessEstimator, BLRForecastEstimator]
both = pytest.mark.parametrize("estimator_class", ESTIMATORS, ids=["gp", "blr"])


def trainer(batches=2, epochs=1, hybridize=False, **options):
    return Trainer(
        epochs=epochs,
        num_batches_per_epoch=batches,
        hybridize=hybridize,
        learning_rate=1e-2,
        **options,
    )


def small(estimator_class, **options):
    settings = {
        "freq": "M",
        "prediction_length": 3,
        "context_length": 14,
        "batch_size": 4,
        "num_parallel_samples": 5,
        "trainer": trainer(),
    }
    return estimator_class(**{**settings, **options})


def with_features(dataset, steps):
    """The entries with two categories, two static and two dynamic features known `steps` ahead."""
    random = np.random.RandomState(0)
    return [
        {
            **entry,
            "feat_static_cat": [i % 2, i % 3],
            "feat_static_real": [0.5 * i, 1.0],
            "feat_dynamic_real": random.randn(2, len(entry["target"]) + steps),
        }
        for i, entry in enumerate(dataset)
    ]


FEATURES = {
    "use_feat_static_cat": True,
    "cardinality": [2, 3],
    "use_feat_static_real": True,
    "use_feat_dynamic_real": True,
}


@pytest.mark.parametrize(
    "estimator_class, options",
    [(GaussianProcessEstimator, {"hyperparameters": "embedded"}), (BLRForecastEstimator, {})],
)
def test_accuracy_on_the_constant_dataset_of_gluonts(estimator_class, options):
    information, train, test = constant_dataset()
    estimator = estimator_class.from_hyperparameters(
        freq=information.metadata.freq,
        prediction_length=information.prediction_length,
        num_parallel_samples=2,
        epochs=1,
        learning_rate=1e-2,
        num_batches_per_epoch=25,
        hybridize=True,
        batch_size=8,
        context_length=24,
        use_feat_static_cat=True,
        cardinality=[int(information.metadata.feat_static_cat[0].cardinality)],
        **options,
    )
    metrics, _ = backtest_metrics(test, estimator.train(train), Evaluator(num_workers=0))
    assert metrics["ND"] <= 0.3


@both
def test_representation_and_serialization_of_the_estimator(estimator_class):
    estimator = small(estimator_class, dtype=np.float64, **FEATURES)
    again = load_json(dump_json(estimator))
    assert equals(estimator, again)
    assert repr(again) == repr(estimator)
    assert "context_length=14" in repr(estimator)
    assert again.create_training_network().fields == estimator.create_training_network().fields


@both
@pytest.mark.parametrize("features", [False, True], ids=["plain", "features"])
def test_training_with_missing_values_and_a_reload(estimator_class, features, tmp_path):
    dataset = monthly_series(count=3, length=30)
    for entry in dataset:
        entry["target"][[3, 4, 20, 29]] = np.nan
    dataset = with_features(dataset, 3)
    options = FEATURES if features else {}
    if features and estimator_class is GaussianProcessEstimator:
        options = {**options, "hyperparameters": "embedded"}
    predictor = small(estimator_class, trainer=trainer(hybridize=True), **options).train(dataset)
    forecasts = list(predictor.predict(dataset))
    for entry, forecast in zip(dataset, forecasts):
        assert forecast.samples.shape == (5, 3)
        assert forecast.start_date == pd.Period("2002-07", "M")
        assert forecast.item_id == entry["item_id"]
    predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path)
    assert again == predictor
    for a, b in zip(again.predict(dataset), forecasts):
        np.testing.assert_array_equal(a.samples, b.samples)


@both
def test_static_and_dynamic_features_matter(estimator_class):
    dataset = with_features(monthly_series(count=2, length=30), 3)
    options = dict(FEATURES)
    if estimator_class is GaussianProcessEstimator:
        options["hyperparameters"] = "embedded"
    predictor = small(estimator_class, trainer=trainer(batches=10), **options).train(dataset)
    (first,) = predictor.predict(dataset[:1])
    for name, value in (("feat_static_cat", [1, 0]), ("feat_static_real", [5.0, -3.0])):
        (other,) = predictor.predict([{**dataset[0], name: value}])
        assert not np.allclose(other.samples, first.samples, rtol=1e-6), name
    moved = dataset[0]["feat_dynamic_real"].copy()
    moved[1, -1] += 3.0
    (other,) = predictor.predict([{**dataset[0], "feat_dynamic_real": moved}])
    np.testing.assert_allclose(other.samples[:, :2].mean(), first.samples[:, :2].mean(), rtol=1e-2)
    assert not np.allclose(other.samples[:, 2], first.samples[:, 2], rtol=1e-5)


@both
@pytest.mark.parametrize("freq", ["A", "2M", "W", "D", "H", "15min"])
def test_any_frequency_and_a_single_step(estimator_class, freq):
    random = np.random.RandomState(0)
    dataset = [{"start": pd.Period("2000-01-03", freq), "target": random.randn(60).cumsum()}]
    estimator = estimator_class(
        freq=freq, prediction_length=1, batch_size=2, trainer=trainer(batches=1)
    )
    (forecast,) = estimator.train(dataset).predict(dataset, num_samples=3)
    assert forecast.samples.shape == (3, 1)
    assert forecast.start_date == dataset[0]["start"] + 60
    assert np.isfinite(forecast.samples).all()


ODD = {
    "constant": np.full(40, 7.0),
    "zero": np.zeros(40),
    "all missing": np.full(40, np.nan),
    "of length 1": np.array([3.0]),
    "all but one missing": np.append(np.full(39, np.nan), -2.0),
    "huge": 1e9 + 1e9 * np.random.RandomState(0).randn(40),
    "tiny": 1e-9 * np.random.RandomState(1).randn(40),
    "far away": 1e9 + np.random.RandomState(2).randn(40),
    "negative": -100.0 - np.arange(40.0),
    "a line": np.arange(40.0),
    "an outlier": np.append(np.random.RandomState(3).randn(39), 1e8),
    "a jump": np.repeat([0.0, 1e6], 20),
}


@both
def test_odd_series_have_finite_forecasts(estimator_class, caplog):
    dataset = [
        {"start": pd.Period("2000-01", "M"), "target": target, "item_id": name}
        for name, target in ODD.items()
    ]
    estimator = small(estimator_class, trainer=trainer(batches=20), batch_size=8)
    with caplog.at_level(logging.WARNING):
        predictor = estimator.train(dataset, seed=0)
    assert "NaN loss" not in caplog.text
    forecasts = {f.item_id: f for f in predictor.predict(dataset, num_samples=100)}
    for name, target in ODD.items():
        samples = forecasts[name].samples
        assert np.isfinite(samples).all(), name
        # Of the size of the series, not of another.
        size = np.nanmax(np.abs(target)) if np.isfinite(target).any() else 1.0
        assert np.abs(samples).max() <= 20.0 * (size or 1.0), name
    assert forecasts["negative"].mean.max() < -100.0
    assert forecasts["far away"].samples.std() < 100.0


@both
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_no_failed_batch_in_float32(estimator_class, seed, caplog):
    odd = [{"start": pd.Period("2000-01", "M"), "target": target} for target in ODD.values()]
    for dataset in (odd, monthly_series(count=4, length=60, noise=0.0)):
        mx.random.seed(seed)
        steps = trainer(batches=100, epochs=3, hybridize=True)
        with caplog.at_level(logging.WARNING):
            small(estimator_class, trainer=steps).train(dataset, seed=seed)
        assert "NaN loss" not in caplog.text


@both
def test_windows_hold_context_and_prediction(estimator_class):
    estimator = small(estimator_class, **FEATURES)
    windows = estimator.create_windows(with_features(monthly_series(count=2, length=30), 0))
    shapes = dict(zip(windows.fields, (array.shape for array in windows.batch(0))))
    assert shapes["target"] == shapes["observed"] == (4, 14 + 3)
    # One time feature, age and two dynamic ones.
    assert shapes["features"] == (4, 14 + 3, 1 + 1 + 2)


@both
def test_the_seed_repeats_a_training(estimator_class):
    dataset, results = monthly_series(count=2, length=30), []
    for _ in range(2):
        mx.random.seed(3)
        np.random.seed(3)
        predictor = small(estimator_class).train(dataset, seed=5)
        results.append([forecast.samples for forecast in predictor.predict(dataset)])
    np.testing.assert_array_equal(*results)


@both
def test_validation_and_float64(estimator_class):
    dataset = monthly_series(count=2, length=30)
    estimator = small(estimator_class, dtype=np.float64)
    predictor = estimator.train(dataset, validation_data=dataset)
    assert predictor.dtype == "float64"
    values = predictor.network.collect_params().values()
    assert {np.dtype(parameter.dtype).name for parameter in values} == {"float64"}


@both
def test_training_goes_on_from_a_predictor(estimator_class):
    dataset = monthly_series(count=2, length=30)
    first = small(estimator_class).train(dataset, seed=0)
    untrained = trainer(epochs=0, add_default_callbacks=False)
    estimator = small(estimator_class, trainer=untrained)
    assert estimator.train_from(first, dataset) == first


@both
def test_wrong_settings(estimator_class):
    with pytest.raises(ValueError, match="prediction_length is 0"):
        small(estimator_class, prediction_length=0)
    with pytest.raises(ValueError, match="needs the number of values of each static category"):
        small(estimator_class, use_feat_static_cat=True)
    with pytest.raises(GluonTSHyperparametersError):
        estimator_class.from_hyperparameters(freq="M", prediction_length="many")


@both
def test_wrong_data_name_the_item(estimator_class):
    estimator = small(estimator_class, **FEATURES)
    dataset = with_features(monthly_series(count=2, length=30), 3)
    del dataset[1]["feat_static_real"]
    with pytest.raises(GluonTSDataError, match="'series 1': there is no feat_static_real"):
        estimator.train(dataset)
