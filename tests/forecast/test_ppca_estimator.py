"""PPCAForecastEstimator: its Gaussian, its modes, and series of one shape at any phase."""

import gp_reference as reference
import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from gluonts.mx.trainer import Trainer
from window_checks import assert_conditional, assert_gradient_is_that_of_differences

from gluon_linalg.forecast import PPCAForecastEstimator
from gluon_linalg.forecast.blr_network import BLRForecast, BLRWindowLayer
from gluon_linalg.forecast.ppca_network import WindowShapes
from harness import assert_runs_on_gpu, run_modes
from harness.modes import assert_same

LENGTH, AHEAD = 9, 3


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def model(dtype="float64"):
    result = WindowShapes(LENGTH, 2, prefix="ppca_")
    result.initialize()
    result.cast(dtype)
    result.shapes.set_data(nd(np.random.RandomState(1).randn(LENGTH, 2), dtype))
    return result


def windows(batch=3):
    random = np.random.RandomState(0)
    observed = (random.rand(batch, LENGTH) > 0.3).astype(float)
    return [np.zeros((batch, LENGTH, 1)), random.randn(batch, LENGTH), observed]


def covariance(network):
    time = np.linspace(-1.0, 1.0, LENGTH)
    shapes = network.shapes.data().asnumpy()
    level, trend, noise = (p.value()[0] for p in network.variances.collect_params().values())
    return level + trend * np.outer(time, time) + shapes @ shapes.T + noise * np.eye(LENGTH)


def test_the_loss_is_that_of_one_gaussian():
    network, (features, target, observed) = model(), windows()
    dense = covariance(network)
    expected = []
    for row, mask in zip(target, observed == 1):
        rows = dense[np.ix_(mask, mask)][None], row[mask][None]
        expected += list(reference.negative_log_likelihood(*rows))
    target = np.where(observed == 1, target, np.nan)
    found = BLRWindowLayer(network)(nd(features), nd(target), nd(observed)).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_gradient_is_that_of_differences():
    loss, arrays = BLRWindowLayer(model()), [nd(array) for array in windows()]
    assert_gradient_is_that_of_differences(loss, lambda: loss(*arrays))


def test_all_modes(tmp_path):
    given = windows(2)
    results = run_modes(lambda: BLRWindowLayer(model()), given, "float64", tmp_path)
    for mode, result in results.items():
        assert_same(result, results["imperative"], 1e-12, mode)
    assert_runs_on_gpu(lambda: BLRWindowLayer(model()), given, "float32", tmp_path)
    past = [given[0], *(array[:, :-AHEAD] for array in given[1:]), np.ones((2, 4, AHEAD))]
    assert_runs_on_gpu(lambda: BLRForecast(model(), AHEAD), past, "float32", tmp_path)


def test_the_forecast_is_the_conditional():
    network, (features, target, observed) = model(), windows()
    past = {"target": target[:, :-AHEAD], "observed": observed[:, :-AHEAD]}
    noise = np.random.RandomState(3).randn(3, 5, AHEAD)
    outputs = BLRForecast(network, AHEAD)(nd(features), *map(nd, past.values()), nd(noise))
    dense = np.repeat(covariance(network)[None], 3, axis=0)
    assert_conditional(outputs, dense, past, noise, 1e-10, {"rtol": 1e-7, "atol": 1e-8})


def test_series_of_one_shape_at_any_phase():
    """It learns a period that nobody tells: its error is a fifth of that of the mean or less."""
    random, ahead = np.random.RandomState(0), 6
    time = np.arange(60)
    series = [
        np.sin(2 * np.pi * (time + shift) / 8.5) + 0.5 * np.cos(4 * np.pi * (time + shift) / 8.5)
        for shift in random.uniform(0.0, 8.5, size=12)
    ]
    series = [row + 0.05 * random.randn(60) for row in series]
    entries = [{"start": pd.Period("2000-01", "M"), "target": row[:-ahead]} for row in series]
    mx.random.seed(0)
    estimator = PPCAForecastEstimator(
        freq="M",
        prediction_length=ahead,
        context_length=18,
        num_shapes=6,
        trainer=Trainer(
            epochs=1,
            num_batches_per_epoch=400,
            learning_rate=0.02,
            hybridize=True,
            add_default_callbacks=False,
        ),
    )
    forecasts = list(estimator.train(entries, seed=0).predict(entries))
    held = np.array([row[-ahead:] for row in series])
    errors = np.array([forecast.mean for forecast in forecasts]) - held
    assert np.sqrt(np.mean(errors**2)) < 0.2 * held.std()


@pytest.mark.parametrize("num_shapes", [0, -1])
def test_a_model_without_shapes_is_refused(num_shapes):
    with pytest.raises(ValueError, match="num_shapes is"):
        PPCAForecastEstimator(freq="M", prediction_length=2, num_shapes=num_shapes)
