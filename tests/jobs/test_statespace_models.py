"""State space jobs with noise of heavy tails, and of ARIMA processes."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_job import changed
from small_statespace_job import columns_of

ROOT = Path(__file__).resolve().parents[1]
STEPS, PLACES = 60, [20, 41]
JOB = {
    "task": "statespace",
    "data": {"path": "table.csv", "target": "y"},
    "model": {
        "components": [{"level": {}}],
        "noise": "student_t",
        "degrees_of_freedom": 4,
        "fixed": ["degrees_of_freedom"],
    },
    "forecast": {"steps": 3},
    "output": "out",
}


def series():
    random = np.random.RandomState(0)
    return 50.0 + np.cumsum(0.3 * random.randn(STEPS)) + random.randn(STEPS)


@pytest.fixture
def train(run, workspace):
    def run_job(y, changes=None):
        cells = ["" if np.isnan(value) else f"{value:.6f}" for value in y]
        (workspace / "table.csv").write_text("\n".join(["y", *cells]) + "\n")
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        status, _, err = run("train", "job.yaml", "--overwrite")
        assert status == 0, err
        return json.loads((workspace / "out" / "metrics.json").read_text())

    return run_job


@pytest.mark.slow
def test_outliers_have_no_size(train, workspace, run):
    """How far they are off changes nothing, and forecasts are near those without the two rows."""
    found = {}
    for size in (1e3, 1e8, np.nan):
        y = series()
        y[PLACES] = y[PLACES] + [size, -size]
        metrics = train(y)
        table = columns_of("out/forecast.csv")
        found[size] = metrics["parameters"]["trained"], table["mean"], table["std"]
    for a, b in zip(*(own[1:] for own in list(found.values())[:2])):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    (first, mean, std), (second, *_), (_, right, _) = found.values()
    for path, value in first.items():
        assert second[path] == pytest.approx(value, rel=1e-3), path
    np.testing.assert_allclose(mean, right, atol=0.1 * std[0])
    # The variance of Student's t with four degrees of freedom is twice its squared scale.
    assert std[0] ** 2 > 2.0 * first["noise_variance"] + first["components.0.level.level_variance"]
    # The graph that was exported finds the weights itself.
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    for name in ("mean", "std"):
        own, other = (columns_of(f"out/{file}.csv")[name] for file in ("forecast", "predictions"))
        np.testing.assert_allclose(own, other, rtol=1e-9)
    assert not (workspace / "out" / "stream-symbol.json").exists()


def test_the_airline_model(train):
    """R's arima: -0.4018, -0.5569, log likelihood 244.70."""
    y = np.log(np.genfromtxt(ROOT / "data/airline.csv", delimiter=",").reshape(-1))
    arima = {"order": [0, 1, 1], "seasonal_order": [0, 1, 1], "period": 12}
    metrics = train(
        y, {"model": {"components": [{"arima": arima}], "noise_variance": 0}, "output": "out"}
    )
    found = metrics["parameters"]["trained"]
    assert found["components.0.arima.ma"] == pytest.approx(-0.4018, abs=2e-4)
    assert found["components.0.arima.seasonal_ma"] == pytest.approx(-0.5569, abs=2e-4)
    assert metrics["nlml"]["trained"] == pytest.approx(-244.70, abs=0.01)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model.noise_variance": 0}, "model: student_t has no noise_variance: 0"),
        ({"model.noise": "gaussian"}, "degrees_of_freedom belongs to noise: student_t"),
        (
            {"model.degrees_of_freedom": 2},
            "model.degrees_of_freedom: '2': should be greater than 2",
        ),
        ({"model.degrees_of_freedom": None}, "degrees_of_freedom is fixed, but has no value"),
        ({"model.noise": "cauchy"}, "model.noise: 'cauchy'"),
    ],
)
def test_refusals(refused, workspace, changes, message):
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes)))
    assert message in refused("train", "job.yaml")
