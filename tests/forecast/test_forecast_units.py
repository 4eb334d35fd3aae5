"""The same series and features in other units have the same forecast, in those units."""

import mxnet as mx
import numpy as np
import pytest
from forecast_series import monthly_series
from gluonts.mx.trainer import Trainer

from gluon_linalg.forecast import (
    BLRForecastEstimator,
    DeepStateSpaceEstimator,
    GaussianProcessEstimator,
    PPCAForecastEstimator,
    StructuralPredictor,
)
from gluon_linalg.forecast.features import feature_units

LENGTH, AHEAD = 30, 3
# The unit of the target and where it begins, and the same of the features, in their units.
UNITS = {
    "small": (1e-9, 0.0, 1e9, 0.0),
    "features alone": (1.0, 0.0, 1e3, 0.0),
    "large and far": (1e9, 1e6, 1e-9, 1e6),
}
RBF_OF_FEATURES = {"sum": [{"rbf": {}}, {"rbf": {"columns": ["feat_dynamic_real"]}}]}
FEATURES = {"use_feat_dynamic_real": True, "use_feat_static_real": True}
WINDOWS = {
    "gp": (GaussianProcessEstimator, {"context_length": 14, "hyperparameters": "embedded"}),
    "gp, rbf": (GaussianProcessEstimator, {"context_length": 14, "kernel": RBF_OF_FEATURES}),
    "blr": (BLRForecastEstimator, {"context_length": 14}),
    "ppca": (PPCAForecastEstimator, {"context_length": 14, "num_shapes": 3}),
    "deep state": (DeepStateSpaceEstimator, {"past_length": 14, "num_layers": 1, "num_cells": 5}),
}


def dataset_in(target_unit, target_begin, feature_unit, feature_begin):
    """Series that follow a dynamic feature, and have static ones, all in other units."""
    random, entries = np.random.RandomState(0), []
    for index, entry in enumerate(monthly_series(3, LENGTH)):
        dynamic = random.randn(2, LENGTH + AHEAD)
        target = entry["target"] + 0.5 * dynamic[0, :LENGTH]
        target[index + 4] = np.nan
        static = np.array([0.5 * index - 0.2, 1.0 + index**2])
        entries.append(
            {
                **entry,
                "target": target_unit * (target + target_begin),
                "feat_dynamic_real": feature_unit * (dynamic + feature_begin),
                "feat_static_real": feature_unit * (static + feature_begin),
            }
        )
    return entries


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_with_features(name, dtype):
    """Windows, networks and noise are the same: sample paths differ by the units alone."""
    estimator_class, options = WINDOWS[name]

    def paths(*units):
        entries = dataset_in(*units)
        mx.random.seed(0)
        np.random.seed(0)
        predictor = estimator_class(
            freq="M",
            prediction_length=AHEAD,
            batch_size=4,
            num_parallel_samples=5,
            trainer=Trainer(epochs=1, num_batches_per_epoch=4, hybridize=False, learning_rate=0.02),
            dtype=np.dtype(dtype).type,
            **options,
            **(FEATURES if estimator_class is not PPCAForecastEstimator else {}),
        ).train(entries)
        samples = np.array(
            [f.samples.astype("float64") for f in predictor.predict(entries, seed=3)]
        )
        return samples / units[0] - units[1]

    base = paths(1.0, 0.0, 1.0, 0.0)
    for units in UNITS.values():
        if dtype == "float32" and units[1]:
            # Paths in float32 cannot be far from 0; those of the default dtype=None are in float64.
            units = (1.0, 0.0, *units[2:])
        close = 2e-3 if dtype == "float32" else 1e-6
        np.testing.assert_allclose(paths(*units), base, atol=close)


STRUCTURES = {
    "level": ([{"level": {}}], 1),
    "trend and season": ([{"trend": {}}, {"seasonal": {"period": 4}}], 5),
    "damped trend": ([{"damped_trend": {}}], 1),
    "cycle": ([{"level": {}}, {"cycle": {"period": 5}}], 1),
    "autoregression": ([{"level": {"level_variance": 0}}, {"ar": {"order": 2}}], 1),
}


SLOW = ("cycle", "autoregression")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in STRUCTURES],
)
def test_structural_models_with_a_regression(name):
    """-log p grows by log c for each number that is not taken up by an initial value."""
    components, initial_values = STRUCTURES[name]

    def fitted(*units):
        predictor = StructuralPredictor(
            "M", AHEAD, components, use_feat_dynamic_real=True, forecast="distribution"
        )
        forecasts = list(predictor.predict(dataset_in(*units)[:2]))
        mean = np.array([forecast.mean for forecast in forecasts], dtype="float64")
        likelihoods = np.array([forecast.info["log_likelihood"] for forecast in forecasts])
        return mean / units[0] - units[1], likelihoods

    base, likelihoods = fitted(1.0, 0.0, 1.0, 0.0)
    for units in (UNITS["small"], UNITS["large and far"]):
        mean, found = fitted(*units)
        numbers = LENGTH - 1 - initial_values - 2
        expected = likelihoods - numbers * np.log(units[0]) - 2 * np.log(units[2])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        # GluonTS's distributions are in float32.
        np.testing.assert_allclose(mean, base, atol=0.2 if units[1] else 1e-3)


def test_units_are_those_of_the_training_data():
    entries = dataset_in(1.0, 0.0, 7.0, 2.0)
    values = np.concatenate([entry["feat_dynamic_real"][:, :LENGTH] for entry in entries], axis=1)
    expected = np.stack([values.mean(axis=1), values.std(axis=1)], axis=1)
    np.testing.assert_allclose(feature_units(entries, "feat_dynamic_real", 2), expected, rtol=1e-12)
    constant = [{**entry, "feat_static_real": [0.1, 0.0]} for entry in entries]
    assert feature_units(constant, "feat_static_real", 2) == [[0.1, 0.1], [0.0, 1.0]]


def test_a_training_that_goes_on_keeps_the_units():
    settings = {
        "freq": "M",
        "prediction_length": AHEAD,
        "context_length": 14,
        "use_feat_dynamic_real": True,
        "trainer": Trainer(epochs=1, num_batches_per_epoch=2, hybridize=False),
    }
    first = BLRForecastEstimator(**settings).train(dataset_in(1.0, 0.0, 1.0, 0.0))
    others = dataset_in(1.0, 0.0, 3.0, 1.0)
    again = BLRForecastEstimator(**settings).train_model(others, from_predictor=first)
    assert again.predictor.transform.dynamic_real_units == first.transform.dynamic_real_units
    assert again.transformation.dynamic_real_units == first.transform.dynamic_real_units
