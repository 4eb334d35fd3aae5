"""StructuralPredictor with noise of heavy tails, and of ARIMA processes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gluon_linalg as gl
from gluon_linalg import structural
from gluon_linalg.forecast import StructuralPredictor

DATA = Path(__file__).resolve().parents[1] / "data"
START = pd.Period("1949-01", freq="M")


def forecast(y, components, steps=3, **options):
    predictor = StructuralPredictor(
        "M", steps, components=components, forecast="distribution", **options
    )
    return next(iter(predictor.predict([{"start": START, "target": y}])))


def moments(found):
    return found.mean, found.distribution.stddev.asnumpy()


@pytest.mark.slow
def test_outliers_have_no_size():
    random = np.random.RandomState(0)
    y = np.cumsum(0.3 * random.randn(60)) + random.randn(60)
    options = {"noise": "student_t", "degrees_of_freedom": 4.0, "fixed": ["degrees_of_freedom"]}
    found = []
    for sizes in ((1e3, -1e3), (1e8, -1e6), (np.nan, np.nan)):
        seen = y.copy()
        seen[[20, 41]] = sizes
        found.append(forecast(seen, [{"level": {}}], **options))
    right = found[-1]
    for a, b in zip(*map(moments, found[:2])):
        np.testing.assert_allclose(a, b, rtol=2e-3)
    np.testing.assert_allclose(found[0].mean, right.mean, atol=0.1 * moments(right)[1][0])
    assert found[0].info["parameters"]["degrees_of_freedom"] == pytest.approx(4.0)
    # Each alone is the model that one series is fitted by.
    model = structural.RobustStructuralModel(structural.LocalLevel(), 1.0)
    model.degrees_of_freedom.grad_req = "null"
    model.initialize()
    model.cast("float64")
    mask = np.isfinite(seen).astype(float)
    result = gl.fit(model, np.nan_to_num(seen), mask=mask)
    # A bound on the likelihood, of which `log_likelihood` is none.
    assert right.info["log_likelihood"] == pytest.approx(-result.loss, abs=2e-3)
    noise = right.info["parameters"]["noise_variance"]
    assert noise == pytest.approx(model.noise_variance.value()[0], rel=0.02)


def test_the_airline_model():
    """R's arima: log likelihood 244.70, and its coefficients."""
    y = np.log(np.genfromtxt(DATA / "airline.csv", delimiter=",").reshape(-1))
    arima = {"order": [0, 1, 1], "seasonal_order": [0, 1, 1], "period": 12}
    found = forecast(y, [{"arima": arima}], steps=12, noise_variance=0)
    assert found.info["log_likelihood"] == pytest.approx(244.70, abs=0.01)
    parameters = found.info["parameters"]
    assert parameters["arima.ma"] == pytest.approx(-0.4018, abs=2e-3)
    assert parameters["arima.seasonal_ma"] == pytest.approx(-0.5569, abs=2e-3)
    # R's predict(arima(log(AirPassengers), c(0, 1, 1), list(order = c(0, 1, 1)))).
    np.testing.assert_allclose(found.mean[0], 6.110186, atol=2e-3)
    np.testing.assert_allclose(moments(found)[1][0], 0.03671562, rtol=0.01)


def test_numbers_for_initial_states_have_no_heavy_tails():
    with pytest.raises(ValueError, match="noise: student_t has no components with numbers for"):
        StructuralPredictor("M", 2, [{"level": {"prior": [0, 1]}}], noise="student_t")
