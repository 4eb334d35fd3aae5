"""BLRForecastEstimator: accuracy on seasons, trends and known influences."""

import numpy as np
import pytest
from forecast_series import monthly_series
from gluonts.mx.trainer import Trainer

from gluon_linalg.forecast import BLRForecastEstimator


def train_and_forecast(dataset, future, batches=60, **options):
    """The last `future` values of each entry and their forecasts from those before."""
    known = [{**entry, "target": entry["target"][:-future]} for entry in dataset]
    estimator = BLRForecastEstimator(
        freq="M",
        prediction_length=future,
        batch_size=8,
        trainer=Trainer(epochs=1, num_batches_per_epoch=batches, learning_rate=0.03),
        **options,
    )
    forecasts = estimator.train(known, seed=0).predict(known, num_samples=200)
    return [(entry["target"][-future:], forecast) for entry, forecast in zip(dataset, forecasts)]


def test_accuracy_on_a_season_with_a_trend():
    dataset = monthly_series(count=4, length=72, noise=0.1)
    for i, entry in enumerate(dataset):
        entry["target"] += 0.05 * (i - 1) * np.arange(72)
    pairs = train_and_forecast(dataset, 12, context_length=36)
    errors = [np.abs(forecast.mean - truth).mean() for truth, forecast in pairs]
    # The least possible is 0.08, the mean of |N(0, 0.1²)|; the season has 0.64.
    assert np.mean(errors) < 0.16
    inside = [
        (forecast.quantile(0.05) < truth) & (truth < forecast.quantile(0.95))
        for truth, forecast in pairs
    ]
    assert 0.75 <= np.mean(inside) <= 1.0


def test_known_influences_are_forecast():
    random, dataset = np.random.RandomState(0), monthly_series(count=4, length=60, noise=0.05)
    for i, entry in enumerate(dataset):
        influence = random.randn(60)
        entry["feat_dynamic_real"] = influence[None]
        entry["target"] = entry["target"] + (i + 1.0) * influence
    pairs = train_and_forecast(dataset, 6, context_length=30, use_feat_dynamic_real=True)
    for i, (truth, forecast) in enumerate(pairs):
        assert np.abs(forecast.mean - truth).mean() < 0.15 * (i + 1.0)


def test_wrong_settings():
    def build(**options):
        return BLRForecastEstimator(freq="M", prediction_length=3, **options)

    with pytest.raises(ValueError, match="num_features is 0, expected integers from 1 on."):
        build(num_features=0)
    with pytest.raises(ValueError, match="harmonics is 0"):
        build(harmonics=0)
    with pytest.raises(ValueError, match="hidden_layers is 0"):
        build(hidden_layers=[])
    with pytest.raises(ValueError, match="change_points is -1"):
        build(change_points=-1)
