"""The figures of the example jobs of the task `statespace`, and those of another program."""

import importlib.util
import json

import numpy as np
import pytest
import yaml
from matplotlib import image
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


def firms(path):
    """The rows of the table of firms by name, (20, 3): investment, value and capital."""
    table = columns_of(path)
    rows = np.column_stack([table[name] for name in ("invest", "value", "capital")])
    return {name: rows[np.array(table["firm"]) == name] for name in sorted(set(table["firm"]))}


@pytest.mark.pictures
def test_investment_of_firms(run, tmp_path):
    """Eleven series with common variances: the sum of what another program says of each."""
    status, out, err = run("train", ROOT / "examples/panel/job.yaml", "--output", tmp_path / "out")
    assert status == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["series"] == 11 and metrics["rows"] == 187
    assert metrics["nlml"]["trained"] == pytest.approx(297.932, abs=1e-3)
    trained = metrics["parameters"]["trained"]
    level, noise = trained["components.0.level.level_variance"], trained["noise_variance"]
    assert level == pytest.approx(0.397, abs=1e-3) and noise == pytest.approx(0.143, abs=1e-3)
    assert metrics["holdout"]["nlpd"] == pytest.approx(4.438, abs=1e-3)
    assert metrics["holdout"]["coverage_95"] == 31 / 33
    assert metrics["holdout"]["worst"]["series"] == "General Motors"
    expected = 0.0
    for rows in firms(ROOT / "examples/data/grunfeld.csv").values():
        y, covariates = rows[:17, 0], rows[:17, 1:]
        units = covariates.std(axis=0)
        reference = UnobservedComponents(
            (y - y.mean()) / y.std(), "llevel", exog=covariates / units, mle_regression=False,
            use_exact_diffuse=True,
        )  # fmt: skip
        expected -= reference.loglike([noise, level])
        # Three diffuse states, two of them in other units than here.
        expected += np.log(units).sum() - 3 * 0.5 * np.log(2 * np.pi)
    assert metrics["nlml"]["trained"] == pytest.approx(expected, rel=1e-7)
    # The picture has a panel for each of the first six.
    pixels = image.imread(tmp_path / "out" / "plot.png")
    assert pixels.shape[:2] == (1941, 1500)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    for number in range(6):
        series = slice(number * 307 + 90, number * 307 + 380)
        assert (blue - red > 0.4)[series].sum() > 100
        assert ((red - blue > 0.5) & (green > blue + 0.2))[series].sum() > 50
        assert ((red - blue > 0.3) & (green < blue))[series].sum() > 20


@pytest.mark.slow
def test_investment_of_each_firm_by_itself(run, tmp_path):
    """What the comment of the example says of eleven jobs."""
    job = yaml.safe_load((ROOT / "examples/panel/job.yaml").read_text())
    densities, inside, vanished = [], 0.0, 0
    for name, rows in firms(ROOT / "examples/data/grunfeld.csv").items():
        years = zip(range(1935, 1955), *rows.T.tolist())
        lines = ["year,invest,value,capital", *(",".join(map(str, year)) for year in years)]
        (tmp_path / "table.csv").write_text("\n".join(lines))
        own = changed(
            job,
            {"data.path": "table.csv", "data.series": ..., "output": str(tmp_path / name)},
        )
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(own))
        status, _, err = run("train", tmp_path / "job.yaml")
        assert status == 0, err
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        densities.append(metrics["holdout"]["nlpd"])
        inside += 3 * metrics["holdout"]["coverage_95"]
        vanished += min(metrics["parameters"]["trained"].values()) < 1e-6
    assert np.mean(densities) == pytest.approx(4.83, abs=0.01)
    assert round(inside) == 30 and vanished == 9


def test_the_table_of_firms_is_that_of_its_script(tmp_path):
    path = ROOT / "examples/panel/make_data.py"
    specification = importlib.util.spec_from_file_location("make_data", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.main(tmp_path / "table.csv")
    expected = (ROOT / "examples/data/grunfeld.csv").read_text()
    assert (tmp_path / "table.csv").read_text() == expected
