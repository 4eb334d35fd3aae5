"""The figures of the example jobs of the task `statespace`, and those of another program."""

import json

import numpy as np
import pytest
import yaml
from small_job import ROOT, changed
from small_statespace_job import columns_of
from statsmodels.tsa.statespace.structural import UnobservedComponents


def test_nile(run, tmp_path):
    """Durbin & Koopman 2012, section 2.10.3: 15099 and 1469.1."""
    status, out, err = run("train", ROOT / "examples/nile/job.yaml", "--output", tmp_path / "out")
    assert status == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["rows"] == 100 and metrics["holdout"] is None
    trained = metrics["parameters"]["trained"]
    assert trained["noise_variance"] == pytest.approx(15098.5, abs=0.1)
    assert trained["components.0.level.level_variance"] == pytest.approx(1469.2, abs=0.1)
    assert metrics["nlml"]["trained"] == pytest.approx(632.545625, abs=1e-5)
    assert "NLML" in out and "noise_variance = 15098.5" in out
    forecast = columns_of(tmp_path / "out" / "forecast.csv")
    assert forecast["year"].tolist() == list(range(1971, 1981))
    # The same section: the forecast of a local level is its last filtered value.
    assert forecast["mean"] == pytest.approx(798.37, abs=0.01)


def test_carbon_dioxide(run, tmp_path):
    """One likelihood, where the fit of another program ends: its parameters, its numbers."""
    text = (ROOT / "examples/co2_structural/job.yaml").read_text()
    job = changed(
        yaml.safe_load(text),
        {
            "data.path": str(ROOT / "examples/data/co2_monthly.csv"),
            "model.components": [
                {"trend": {"level_variance": 0.02701, "slope_variance": 4.353e-6}},
                {"seasonal": {"period": 12, "form": "trigonometric", "seasonal_variance": 3.2e-5}},
            ],
            "model.noise_variance": 0.03074,
            "training.iterations": 0,
            "output": str(tmp_path / "out"),
        },
    )
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    status, _, err = run("train", tmp_path / "job.yaml")
    assert status == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    smoothed = columns_of(tmp_path / "out" / "smoothed.csv")
    forecast = columns_of(tmp_path / "out" / "forecast.csv")
    y = smoothed["observed"]
    assert len(y) == 466 and metrics["rows"] == 461
    assert smoothed["date"][3] == "1958-06" and np.isnan(y[3])
    assert forecast["date"][0] == "1997-01" and len(forecast["date"]) == 60
    reference = UnobservedComponents(
        y - np.nanmean(y), "lltrend", freq_seasonal=[{"period": 12}], use_exact_diffuse=True
    )
    parameters = [0.03074, 0.02701, 4.353e-6, 3.2e-5]
    constant = 13 * 0.5 * np.log(2 * np.pi)
    expected = -reference.loglike(parameters) - constant
    assert metrics["nlml"]["trained"] == pytest.approx(expected, rel=1e-8)
    result = reference.smooth(parameters)
    trend = result.smoothed_state[0] + np.nanmean(y)
    # The state is (level, slope, γ_1, γ*_1, ..., γ_6); its γ_j make up the pattern.
    waves = np.arange(2, 13, 2)
    seasonal = result.smoothed_state[waves].sum(axis=0)
    seasonal_variance = result.smoothed_state_cov[np.ix_(waves, waves)].sum(axis=(0, 1))
    assert smoothed["trend"] == pytest.approx(trend, abs=1e-7)
    assert smoothed["trend_std"] ** 2 == pytest.approx(result.smoothed_state_cov[0, 0], rel=1e-6)
    assert smoothed["seasonal"] == pytest.approx(seasonal, abs=1e-7)
    assert smoothed["seasonal_std"] ** 2 == pytest.approx(seasonal_variance, rel=1e-6)
    assert smoothed["signal"] == pytest.approx(trend + seasonal, abs=1e-7)
    future = result.get_forecast(60)
    assert forecast["mean"] == pytest.approx(future.predicted_mean + np.nanmean(y), abs=1e-7)
    assert forecast["std"] == pytest.approx(future.se_mean, rel=1e-7)
    assert metrics["holdout"]["rows"] == 60 and metrics["holdout"]["rmse"] < 1.1
