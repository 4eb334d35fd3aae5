"""What jobs tell: standard errors, coefficients, tests of residuals, bands of several levels."""

import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from matplotlib.text import Text
from scipy import stats
from small_job import JOB, changed
from small_statespace_job import JOB as SERIES_JOB
from small_statespace_job import PANEL_JOB, columns_of, panel_rows, panel_table
from small_statespace_job import TABLE as SERIES
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg as gl
from gluon_linalg import structural
from gluon_linalg.jobs import picture
from gluon_linalg.plots.style import drawn


@pytest.fixture
def train(workspace, run):
    def train_job(job, changes=None, table=None):
        if table is not None:
            (workspace / "table.csv").write_text(table)
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(job, changes or {})))
        status, out, err = run("train", "job.yaml", "--overwrite")
        assert (status, err) == (0, ""), err
        folder = workspace / "out"
        return (
            json.loads((folder / "metrics.json").read_text()),
            (folder / "summary.txt").read_text(),
            out,
        )

    return train_job


def values_of(table, name):
    rows = [line.split(",") for line in table.split()]
    place = rows[0].index(name)
    return np.array([float(row[place]) for row in rows[1:]])


def test_a_series_has_standard_errors_tests_and_the_optimum_of_fit(train, workspace):
    changes = {
        "data.covariates": ["price"],
        "model.components": [{"level": {}}, {"regression": {}}],
        "forecast.steps": 0,
    }
    metrics, summary, _ = train(SERIES_JOB, changes, SERIES)
    y, price = values_of(SERIES, "y"), values_of(SERIES, "price")
    found = metrics["parameters"]
    values = [
        found["trained"]["noise_variance"],
        found["trained"]["components.0.level.level_variance"],
    ]
    theirs = UnobservedComponents(
        y, "llevel", exog=price, mle_regression=False, use_exact_diffuse=True
    ).smooth(values, cov_type="approx")
    assert found["standard_errors"]["noise_variance"] == pytest.approx(theirs.bse[0], rel=1e-2)
    own = metrics["coefficients"]["price"]
    coefficient = theirs.smoother_results.smoothed_state[1, -1]
    error = np.sqrt(theirs.smoother_results.smoothed_state_cov[1, 1, -1])
    assert (own["mean"], own["std"]) == pytest.approx((coefficient, error), rel=1e-5)
    assert own["z"] == pytest.approx(coefficient / error, rel=1e-5)
    ljung_box, jarque_bera, _ = metrics["residual_tests"]
    lags = (len(y) - 2) // 5
    statistic, p = theirs.test_serial_correlation("ljungbox", lags=[lags])[0, :, 0]
    assert ljung_box == {
        "test": f"Ljung-Box Q({lags})",
        "statistic": pytest.approx(statistic, rel=1e-4),
        "p": pytest.approx(p, rel=1e-4),
    }
    assert f"{jarque_bera['statistic']:.5g}" in summary and "std. error" in summary
    residuals = columns_of(workspace / "out" / "residuals.csv")
    expected = theirs.filter_results.standardized_forecasts_error[0]
    np.testing.assert_allclose(residuals["standardized_residual"][2:], expected[2:], atol=1e-5)
    assert np.isnan(residuals["standardized_residual"][0])

    layer = gl.StructuralModel(structural.LocalLevel(0.1) + structural.Regression(1))
    layer.initialize()
    layer.cast("float64")
    result = gl.fit(layer, y, price[:, None])
    assert result.loss == pytest.approx(metrics["nlml"]["trained"], abs=1e-6)
    assert result.parameters["noise_variance"] == pytest.approx(values[0], rel=1e-3)


def test_the_tests_of_a_panel_are_of_each_series(train):
    table = panel_table([row for row in panel_rows() if row[3] is not None])
    metrics, summary, _ = train(PANEL_JOB, {"training.iterations": 1}, table)
    assert set(metrics["residual_tests"]) == {"east", "north", "west"}
    assert summary.count("Jarque-Bera") == 3 and "\nnorth" in summary


def test_a_process_has_standard_errors_and_bands_of_the_levels(train, workspace, run):
    changes = {"levels": [50, 95], "data.holdout": {"last": 4}}
    metrics, summary, out = train(JOB, changes)
    assert set(metrics["holdout"]) >= {"coverage_50", "coverage_95"}
    assert "inside the 50 % band" in out and "each left out once: RMSE" in summary
    (workspace / "new.csv").write_text("x\n0.3\n9.0\n")
    run("predict", "out", "--data", "new.csv")
    table = columns_of(workspace / "out" / "predictions.csv")
    assert list(table) == ["x", "mean", "std", "lower_50", "upper_50", "lower_95", "upper_95"]
    for level in (50, 95):
        width = stats.norm.ppf(0.5 + level / 200) * table["std"]
        np.testing.assert_allclose(table[f"upper_{level}"] - table["mean"], width)
        np.testing.assert_allclose(table["mean"] - table[f"lower_{level}"], width)


@pytest.mark.parametrize("job, table", [(JOB, None), (SERIES_JOB, SERIES)], ids=["gp", "series"])
def test_pictures_have_bands_of_the_levels(train, job, table, monkeypatch):
    figures = []

    def kept(*arguments):
        figures.append(drawn(*arguments))
        return figures[-1]

    monkeypatch.setattr(picture, "drawn", kept)
    train(job, {"levels": [50, 80]}, table)
    (figure,) = figures
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert "50 and 80 % bands of an observation" in texts
    assert not any("95" in text for text in texts if "band" in text)


@pytest.mark.parametrize("levels", [[], [95, 95], [0], [100]])
def test_levels_that_are_none_are_refused(refused, write_job, levels):
    assert "levels" in refused("train", write_job({"levels": levels}))


def test_a_process_has_the_optimum_of_fit(train, workspace):
    metrics, summary, _ = train(JOB, {"data.target_scaling": "raw"})
    table = (workspace / "table.csv").read_text()
    layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1)
    layer.initialize()
    layer.cast("float64")
    result = gl.fit(layer, values_of(table, "x")[:, None], values_of(table, "y"))
    assert result.loss == pytest.approx(metrics["nlml"]["trained"], abs=1e-6)
    # By another search in other units, the same curvature.
    own = {estimate.name: estimate.standard_error for estimate in result.estimates()}
    told = metrics["parameters"]["standard_errors"]
    for theirs, ours in (("kernel.rbf.lengthscale", "kernel.lengthscale"), ("noise_variance",) * 2):
        assert told[theirs] == pytest.approx(own[ours], rel=1e-2)
    assert "kernel.rbf.lengthscale" in summary


def test_a_linear_regression_tells_coefficients_in_units_of_the_file(train, workspace):
    changes = {"task": "blr", "data.inputs": ["x", "z"], "model": {"features": {"linear": {}}}}
    metrics, summary, out = train(JOB, changes)
    table = (workspace / "table.csv").read_text()
    x = np.c_[values_of(table, "x"), values_of(table, "z")]
    y = values_of(table, "y")
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    phi = np.c_[np.ones(len(y)), scaled]
    found = metrics["parameters"]["trained"]
    noise, prior = found["noise_variance"], found["prior_variance"]
    covariance = np.linalg.inv(phi.T @ phi / noise + np.eye(3) / prior)
    weights = covariance @ phi.T @ (y - y.mean()) / noise
    told = metrics["coefficients"]
    assert list(told) == ["1", "x", "z"]
    for k, name in enumerate("xz", start=1):
        scale = x[:, k - 1].std()
        deviation = np.sqrt(covariance[k, k]) / scale
        assert told[name]["mean"] == pytest.approx(weights[k] / scale, rel=1e-6)
        assert told[name]["std"] == pytest.approx(deviation, rel=1e-6)
        assert told[name]["z"] == pytest.approx(weights[k] / scale / deviation, rel=1e-6)
    # The mean at the file's zero of both columns.
    zero = np.r_[1.0, -x.mean(axis=0) / x.std(axis=0)]
    assert told["1"]["mean"] == pytest.approx(zero @ weights + y.mean(), rel=1e-6)
    assert told["1"]["std"] == pytest.approx(np.sqrt(zero @ covariance @ zero), rel=1e-6)
    assert f"coefficient of x = {told['x']['mean']:.6g}" in out and "upper_95" in summary

    layer = gl.BLRLikelihoodLayer(1.0, 0.1)
    layer.initialize()
    layer.cast("float64")
    result = gl.fit(layer, phi, y - y.mean())
    assert result.loss == pytest.approx(metrics["nlml"]["trained"], abs=1e-6)


def test_powers_have_names_and_a_network_none(train):
    features = {"polynomial": {"degree": 2}}
    changes = {"task": "blr", "data.inputs": ["x", "z"], "model": {"features": features}}
    metrics, _, _ = train(JOB, changes)
    assert list(metrics["coefficients"]) == ["1", "x", "z", "x^2", "z^2"]
    changes["model"] = {"features": {"mlp": {"hidden": [2]}}}
    changes["training.iterations"] = 2
    metrics, _, _ = train(JOB, changes)
    assert "coefficients" not in metrics


def test_components_are_told_and_rows_coloured(train, workspace, monkeypatch):
    rows = np.random.RandomState(0).normal(size=(20, 3)) @ np.diag([3.0, 2.0, 1.0])
    table = "a,b,c,kind\n" + "".join(
        ",".join(map(repr, row)) + f",{'ox' if k % 2 else 'cow'}\n"
        for k, row in enumerate(rows.tolist())
    )
    shown = []
    monkeypatch.setattr("gluon_linalg.jobs.pca.task.save_picture", lambda *a: shown.append(a))
    job = {
        "task": "pca",
        "data": {"path": "table.csv", "columns": ["a", "b", "c"], "color": "kind"},
        "model": {"components": 2},
        "output": "out",
    }
    metrics, summary, _ = train(job, table=table)
    assert list(shown[0][-2][:2]) == ["cow", "ox"] and shown[0][-1] == "kind"
    assert "loading" in summary and "component 2" in summary
    # Probabilistic PCA at the optimum of the search.
    layer = gl.PPCALikelihoodLayer(2)
    layer.initialize()
    layer.cast("float64")
    layer.fit(rows)
    start = layer(mx.nd.array(rows[None], dtype="float64")).asscalar()
    result = gl.fit(layer, rows, iterations=50)
    assert result.loss == pytest.approx(start, abs=1e-6)
    assert result.loss == pytest.approx(metrics["probabilistic"]["nll"], abs=1e-6)
