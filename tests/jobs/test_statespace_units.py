"""A state space job on the same data in other units; starts for likelihoods of several maxima."""

import json

import numpy as np
import pytest
import statsmodels.api as sm
import yaml
from small_statespace_job import JOB, VALUES, columns_of

from gluon_linalg.blocks import structural as s
from gluon_linalg.fitting.structural_starts import structural_starts

COMPONENTS = {
    "level": [{"level": {}}],
    "trend and season": [{"trend": {}}, {"seasonal": {"period": 4}}],
    "damped trend": [{"damped_trend": {}}],
    "semilocal trend": [{"semilocal_trend": {}}],
    "cycle": [{"level": {}}, {"cycle": {"period": 5}}],
    "autoregression": [{"level": {"level_variance": 0}}, {"ar": {"order": 2}}],
    "regression": [{"level": {}}, {"regression": {}}],
    "drifting": [{"level": {"level_variance": 0}}, {"regression": {"drifting": True}}],
}
# How many numbers are taken up by initial values, where it is more than the level.
DIFFUSE = {"trend and season": 5, "semilocal trend": 2, "regression": 2, "drifting": 2}
# The unit of y, where y begins in units of its spread, and unit and beginning of the covariate.
UNITS = {
    "small": (1e-9, 0.0, 1e9, 0.0),
    "large and far": (1e9, 1e6, 1e-9, 1e6),
}


@pytest.fixture
def trained(tmp_path, run, monkeypatch):
    """Trains on the data in other units; returns metrics and forecast."""
    monkeypatch.setattr("gluon_linalg.jobs.statespace.results.plot_model", lambda *_: None)
    monkeypatch.chdir(tmp_path)

    def train(components, units, **model):
        scale, begin, unit, origin = units
        has_covariate = "regression" in components[-1]
        time = np.arange(27)
        covariate = np.round(np.cos(1.3 * time), 6) * unit + origin * unit
        rows = ["year,x,y"]
        for step in time:
            y = repr(float((VALUES[step] + begin) * scale)) if step < 24 else ""
            rows.append(f"{1990 + step},{float(covariate[step])!r},{y}")
        (tmp_path / "table.csv").write_text("\n".join(rows))
        job = {**JOB, "model": {"components": components, **model}}
        job["data"] = {**JOB["data"], "covariates": ["x"] if has_covariate else []}
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
        status, _, err = run("train", "job.yaml", "--overwrite")
        assert status == 0, err
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        return metrics, columns_of(tmp_path / "out" / "forecast.csv")

    return train


# The others are parts of these, or like one of them.
QUICK = {"trend and season", "cycle", "autoregression", "drifting"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in COMPONENTS],
)
def test_the_same_data_in_other_units_give_the_same_model(trained, name):
    plain, forecast = trained(COMPONENTS[name], (1.0, 0.0, 1.0, 0.0))
    diffuse = DIFFUSE.get(name, 1)
    for scale, begin, unit, origin in UNITS.values():
        if name == "drifting":
            # A drifting coefficient of a shifted covariate would move the level: another model.
            origin = 0.0
        other, moved = trained(COMPONENTS[name], (scale, begin, unit, origin))
        coefficients = (name in ("regression", "drifting")) * np.log(unit)
        expected = plain["nlml"]["trained"] + (24 - diffuse) * np.log(scale) + coefficients
        close = 1e-6 if begin else 1e-8
        assert other["nlml"]["trained"] == pytest.approx(expected, abs=close * 24)
        close = 1e-3 if begin else 1e-5
        np.testing.assert_allclose(moved["mean"] / scale - begin, forecast["mean"], rtol=close)
        np.testing.assert_allclose(moved["std"] / scale, forecast["std"], rtol=close)
        if not begin:
            assert abs(other["training"]["iterations"] - plain["training"]["iterations"]) <= 3


def test_the_same_in_float32(trained, run, tmp_path):
    """What is computed is float64, for training, for results, and for the exported model."""
    name = "regression"
    plain, forecast = trained(COMPONENTS[name], (1.0, 0.0, 1.0, 0.0))
    for scale, begin, unit, origin in UNITS.values():
        other, moved = trained(COMPONENTS[name], (scale, begin, unit, origin), dtype="float32")
        shifted = other["nlml"]["trained"] - (24 - 2) * np.log(scale) - np.log(unit)
        assert shifted == pytest.approx(plain["nlml"]["trained"], abs=1e-4)
        np.testing.assert_allclose(moved["mean"] / scale - begin, forecast["mean"], rtol=1e-3)
        np.testing.assert_allclose(moved["std"] / scale, forecast["std"], rtol=1e-3)
        assert run("predict", "out", "--data", "table.csv")[0] == 0
        predicted = columns_of(tmp_path / "out" / "predictions.csv")
        np.testing.assert_allclose(predicted["mean"], moved["mean"], rtol=1e-5)


def test_a_known_level_keeps_the_zero_of_covariates(trained, run, tmp_path):
    """Its prior is that at x = 0: predictions of a float32 model are those of the training."""
    components = [{"level": {"prior": [0.0, 0.5]}}, {"regression": {}}]
    _, forecast = trained(components, (1.0, 0.0, 1.0, 3.0), dtype="float32")
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    predicted = columns_of(tmp_path / "out" / "predictions.csv")
    np.testing.assert_allclose(predicted["mean"], forecast["mean"], rtol=1e-5)
    np.testing.assert_allclose(predicted["std"], forecast["std"], rtol=1e-5)


def test_an_autoregression_that_has_two_maxima(trained, tmp_path, run):
    """US unemployment, a level and an AR(2): from φ = 0 alone the search ends 30 lower."""
    values = sm.datasets.macrodata.load_pandas().data["unemp"].to_numpy("float64")
    rows = ["step,y", *(f"{step},{value!r}" for step, value in enumerate(values))]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    model = {"components": [{"level": {}}, {"ar": {"order": 2}}], "noise_variance": 0}
    data = {"path": "table.csv", "time": "step", "target": "y"}
    job = {**JOB, "data": data, "model": model, "training": {"iterations": 200}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    assert run("train", "job.yaml", "--overwrite")[0] == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    reference = sm.tsa.UnobservedComponents(
        values, "rwalk", autoregressive=2, use_exact_diffuse=True
    )
    best = reference.fit(reference.start_params, method="powell", disp=False, maxiter=2000)
    best = reference.fit(best.params, disp=False)
    least = -best.llf - 0.5 * np.log(2.0 * np.pi)
    assert metrics["nlml"]["trained"] < least + 1e-4


def test_starts_scale_with_the_data():
    components = [s.LocalLinearTrend(), s.Cycle(7.0), s.AutoRegression(2)]
    y = np.sin(np.arange(60.0)) + 0.1 * np.random.RandomState(0).randn(60).cumsum()
    y[7:9] = np.nan
    plain, scaled = (structural_starts(components, [unit * y + shift]) for unit, shift in (
        (1.0, 0.0), (1e-7, 3.0e-5),
    ))  # fmt: skip
    assert len(plain) == len(scaled) > 10
    for one, other in zip(plain, scaled):
        assert one.family == other.family
        for key, value in one.values.items():
            unit = 1e-14 if key[1].endswith("variance") else 1.0
            np.testing.assert_allclose(other.values[key], unit * value, rtol=1e-5)


def test_series_that_say_nothing_have_starts():
    for y in (np.full(5, 3.0), np.array([1.0, np.nan, 2.0]), np.full(4, np.nan), np.zeros(30)):
        for start in structural_starts([s.LocalLevel(), s.Cycle(7.0), s.AutoRegression(3)], [y]):
            for value in start.values.values():
                assert np.isfinite(value).all()
