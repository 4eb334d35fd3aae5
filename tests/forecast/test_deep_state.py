"""`DeepStateSpaceEstimator`, after the tests of GluonTS's estimators."""

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from forecast_series import monthly_series
from gluonts.core.serde import dump_json, load_json
from gluonts.dataset.artificial import constant_dataset
from gluonts.evaluation import Evaluator, backtest_metrics
from gluonts.exceptions import GluonTSDataError, GluonTSHyperparametersError
from gluonts.model.predictor import Predictor
from gluonts.mx.distribution.lds import ParameterBounds
from gluonts.mx.trainer import Trainer
from gluonts.mx.trainer.callback import Callback
from gluonts.time_feature import month_of_year

from gluon_linalg.forecast import DeepStateSpaceEstimator


def small_estimator(epochs=1, batches=1, hybridize=True, learning_rate=1e-3, **settings):
    trainer = Trainer(
        epochs=epochs,
        num_batches_per_epoch=batches,
        hybridize=hybridize,
        learning_rate=learning_rate,
    )
    return DeepStateSpaceEstimator(
        **{
            "freq": "M",
            "prediction_length": 3,
            "past_length": 12,
            "harmonics": [1],
            "num_layers": 1,
            "num_cells": 4,
            "batch_size": 4,
            "trainer": trainer,
            **settings,
        }
    )


def paths(predictor, dataset, **options):
    return np.stack([forecast.samples for forecast in predictor.predict(dataset, **options)])


def test_accuracy_on_constants():
    info, train, test = constant_dataset()
    estimator = DeepStateSpaceEstimator.from_hyperparameters(
        freq=info.metadata.freq,
        prediction_length=info.prediction_length,
        past_length=12,
        seasonal_periods=[],
        num_layers=1,
        num_cells=4,
        epochs=1,
        num_batches_per_epoch=10,
        learning_rate=3e-2,
        num_parallel_samples=20,
        ctx="cpu",
    )
    assert estimator.trainer.num_batches_per_epoch == 10
    predictor = estimator.train(train, seed=0)
    metrics, _ = backtest_metrics(test, predictor, evaluator=Evaluator(num_workers=0))
    assert metrics["ND"] <= 0.3


def test_accuracy_on_seasons():
    """Better than the level alone by far: the pattern and the noise are learned."""
    dataset = monthly_series(count=8, length=84, noise=0.05)
    train = [{**entry, "target": entry["target"][:72]} for entry in dataset]
    estimator = small_estimator(
        batches=40,
        learning_rate=2e-2,
        prediction_length=12,
        past_length=24,
        num_cells=8,
        batch_size=8,
        dropout_rate=0.0,
    )
    forecasts = paths(estimator.train(train, seed=0), train)
    truth = np.stack([entry["target"][72:] for entry in dataset])
    error = np.abs(forecasts.mean(axis=1) - truth).mean()
    assert error < 0.15
    inside = (np.quantile(forecasts, 0.05, axis=1) < truth) & (
        truth < np.quantile(forecasts, 0.95, axis=1)
    )
    assert inside.mean() > 0.7
    assert forecasts.std(axis=1).mean() < 0.4


def test_representation():
    estimator = small_estimator(
        time_features=[month_of_year], noise_std_bounds=ParameterBounds(0.1, 1.0)
    )
    again = load_json(dump_json(estimator))
    assert repr(again) == repr(estimator)
    assert again.bounds == estimator.bounds


def test_training_repeats():
    dataset = monthly_series()
    results = []
    for _ in range(2):
        mx.random.seed(3)
        results.append(paths(small_estimator(batches=2).train(dataset, seed=1), dataset))
    np.testing.assert_array_equal(results[0], results[1])


def test_training_goes_on_from_a_predictor_hybridized_or_not():
    dataset = monthly_series()
    start = small_estimator().train(dataset, seed=0)
    still = small_estimator(learning_rate=1e-9).train_from(start, dataset)
    np.testing.assert_allclose(paths(still, dataset), paths(start, dataset), rtol=1e-5)
    results = []
    for hybridize in (True, False):
        np.random.seed(0)
        estimator = small_estimator(
            batches=3, learning_rate=1e-2, hybridize=hybridize, dropout_rate=0.0
        )
        results.append(paths(estimator.train_from(start, dataset), dataset))
    assert not np.allclose(results[0], paths(start, dataset), rtol=1e-2)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4)


def test_validation_data():
    dataset = monthly_series()
    losses = []

    class Losses(Callback):
        def on_validation_epoch_end(self, epoch_no, epoch_loss, training_network, trainer):
            losses.append(epoch_loss)
            return True

    trainer = Trainer(epochs=2, num_batches_per_epoch=1, callbacks=[Losses()])
    small_estimator(trainer=trainer).train(dataset, validation_data=dataset)
    assert len(losses) == 2 and np.isfinite(losses).all()


@pytest.mark.parametrize(
    "cell_type, cell",
    [("lstm", mx.gluon.rnn.LSTM), ("gru", mx.gluon.rnn.GRU), ("mlp", mx.gluon.nn.Dense)],
)
def test_the_network_is_the_one_asked_for(cell_type, cell):
    estimator = small_estimator(
        cell_type=cell_type, num_layers=3, num_cells=5, dropout_rate=0.3, harmonics=[2]
    )
    emitter = estimator.create_training_network().emitter
    layers = list(emitter.network)
    assert [type(layer) for layer in layers[::2]] == [cell] * 3
    assert [layer._rate for layer in layers[1::2]] == [0.3] * 3
    size = "_units" if cell_type == "mlp" else "_hidden_size"
    assert [getattr(layer, size) for layer in layers[::2]] == [5] * 3
    assert estimator.harmonics == [2]


@pytest.mark.parametrize(
    "settings, feature, used",
    [
        ({"use_feat_static_cat": True, "cardinality": [6]}, "cat", True),
        ({"use_feat_dynamic_real": True, "use_feat_static_real": True}, "real", True),
        pytest.param(
            {"use_feat_dynamic_real": True, "cell_type": "mlp"},
            "dynamic",
            True,
            marks=pytest.mark.slow,
        ),
        ({"add_trend": True, "cell_type": "gru"}, "dynamic", False),
    ],
)
def test_features(settings, feature, used, tmp_path):
    """Forecasts depend on the features in use, and on no others."""
    changes = {
        "cat": lambda i: {"feat_static_cat": [i]},
        "real": lambda i: {"feat_static_real": [0.5 * i, 1.0]},
        "dynamic": lambda i: {"feat_dynamic_real": [np.sin(i + np.arange(23.0)), np.ones(23)]},
    }

    def dataset(shift):
        entries = monthly_series(count=4, length=20)
        for i, entry in enumerate(entries):
            for change in changes.values():
                entry.update(change(i))
            entry.update(changes[feature](i + shift))
        return entries

    predictor = small_estimator(batches=2, **settings).train(dataset(0), seed=0)
    plain, changed = (paths(predictor, dataset(shift)) for shift in (0, 1))
    assert np.allclose(plain, changed, rtol=1e-7) != used
    predictor.serialize(tmp_path)
    np.testing.assert_array_equal(paths(Predictor.deserialize(tmp_path), dataset(1)), changed)


def test_one_step_ahead():
    dataset = monthly_series(count=3)
    predictor = small_estimator(prediction_length=1).train(dataset, seed=0)
    assert paths(predictor, dataset).shape == (3, 100, 1)


@pytest.mark.parametrize("freq", ["5min", pytest.param("W-SAT", marks=pytest.mark.slow), "Y"])
def test_frequencies(freq):
    start = pd.Period("2000-01-03", freq)
    dataset = [{"start": start, "target": np.sin(np.arange(20.0))}]
    estimator = small_estimator(freq=freq, harmonics=None, hybridize=False)
    (forecast,) = estimator.train(dataset, seed=0).predict(dataset)
    assert forecast.start_date == start + 20
    assert np.isfinite(forecast.samples).all()


def test_missing_values_in_training_and_in_forecasts():
    dataset = monthly_series(length=30)
    for entry in dataset:
        entry["target"][5:25:3] = np.nan
    predictor = small_estimator(batches=3).train(dataset, seed=0)
    assert np.isfinite(paths(predictor, dataset)).all()


PATTERN = np.sin(np.arange(30.0)) + 0.1 * np.random.RandomState(0).randn(30)
ODD = {
    "constant": np.full(30, 5.0),
    "zero": np.zeros(30),
    "missing": np.full(30, np.nan),
    "missing at the end": np.where(np.arange(30) < 15, PATTERN, np.nan),
    "one step": np.array([3.0]),
    "one missing step": np.array([np.nan]),
    "huge": 1e9 * PATTERN,
    "tiny": 1e-9 * PATTERN,
    "negative": PATTERN - 5.0,
    "high": 1e9 + PATTERN,
    "spike": np.where(np.arange(30) == 25, 1e6, 0.0),
}


def test_odd_series_train_and_have_forecasts():
    dataset = [
        {"start": pd.Period("2000-01", "M"), "target": target, "item_id": name}
        for name, target in ODD.items()
    ]
    estimator = small_estimator(batches=5, batch_size=16, learning_rate=1e-2)
    predictor = estimator.train(dataset, seed=0)
    forecasts = {f.item_id: f.samples for f in predictor.predict(dataset)}
    for name, samples in forecasts.items():
        assert np.isfinite(samples).all(), name
        assert samples.std(axis=0).min() > 0, name
    # Forecasts have the units of their series: one pattern, whatever its scale and its level.
    (plain,) = paths(predictor, [{**dataset[6], "target": PATTERN}])
    scaled = {
        "huge": forecasts["huge"] / 1e9,
        "tiny": forecasts["tiny"] / 1e-9,
        "negative": forecasts["negative"] + 5.0,
        "high": forecasts["high"] - 1e9,
    }
    for index, name in enumerate(ODD):
        if name in scaled:
            entries = [dataset[0]] * index + [{**dataset[0], "target": PATTERN}]
            plain = paths(predictor, entries)[-1]
            np.testing.assert_allclose(scaled[name], plain, atol=1e-5, err_msg=name)


def test_nothing_to_train_on_is_said():
    dataset = [{"start": pd.Period("2000-01", "M"), "target": [np.nan]}]
    with pytest.raises(GluonTSDataError, match="no series with an observation"):
        small_estimator().train(dataset)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"prediction_length": 0}, "prediction_length is 0"),
        ({"past_length": 0}, "context_length is 0"),
        ({"num_cells": 0}, "num_cells is 0"),
        ({"num_parallel_samples": 0}, "num_parallel_samples is 0"),
        ({"dropout_rate": 1.0}, "dropout_rate is 1.0"),
        ({"cell_type": "rnn"}, "cell_type is 'rnn', expected one of"),
        ({"use_feat_static_cat": True}, "cardinality is None"),
        ({"use_feat_static_cat": True, "cardinality": [2], "embedding_dimension": [1, 1]}, "embed"),
        ({"harmonics": [7]}, r"harmonics is \[7\], expected one number for each of the seasons"),
        ({"harmonics": [1, 1]}, r"harmonics is \[1, 1\]"),
        ({"seasonal_periods": [1.0]}, "seasonal_periods has 1.0"),
        ({"noise_std_bounds": ParameterBounds(0.0, 1.0)}, r"noise_std_bounds is \(0.0, 1.0\)"),
        ({"forecast": "quantiles"}, "forecast is 'quantiles', expected one of"),
        ({"freq": "fortnight"}, "fortnight"),
    ],
)
def test_settings_that_make_no_model(settings, message):
    with pytest.raises(ValueError, match=message):
        small_estimator(**settings)


def test_unknown_hyperparameters():
    with pytest.raises(GluonTSHyperparametersError):
        DeepStateSpaceEstimator.from_hyperparameters(freq="M", prediction_length="x")
