"""The task `statespace`: its figures, files, forecasts and restarts."""

import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from scipy.stats import multivariate_normal
from small_job import changed
from small_statespace_job import JOB, PRICES, TABLE, VALUES, columns_of
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg
from gluon_linalg.jobs import state as state_module

FILES = {
    "checkpoint.params",
    "forecast.csv",
    "job.resolved.yaml",
    "metrics.json",
    "model-0000.params",
    "model-io.json",
    "model-symbol.json",
    "stream-symbol.json",
    "stream-0000.params",
    "plot.png",
    "sample.csv",
    "residuals.csv",
    "summary.txt",
    "smoothed.csv",
    "tensorboard",
    "training_curve.csv",
}
BAND = 1.959963984540054


@pytest.fixture
def train(run, workspace):
    """Trains JOB with changes at dotted keys; returns the metrics."""
    (workspace / "table.csv").write_text(TABLE)

    def train_job(changes=None, *options):
        job = changed(JOB, changes or {})
        (workspace / "job.yaml").write_text(yaml.safe_dump(job))
        status, _, err = run("train", "job.yaml", *options)
        assert status == 0, err
        return json.loads((workspace / job["output"] / "metrics.json").read_text())

    return train_job


def test_files_and_values(train, workspace):
    metrics = train()
    assert {path.name for path in (workspace / "out").iterdir()} == FILES
    trained = metrics["parameters"]["trained"]
    y = np.array([round(value, 4) for value in VALUES])
    reference = UnobservedComponents(y, "llevel", use_exact_diffuse=True)
    parameters = [trained["noise_variance"], trained["components.0.level.level_variance"]]
    expected = -reference.loglike(parameters) - 0.5 * np.log(2 * np.pi)
    assert metrics["nlml"]["trained"] == pytest.approx(expected, rel=1e-8)
    best = reference.fit(parameters, disp=0)
    assert metrics["nlml"]["trained"] <= -best.llf - 0.5 * np.log(2 * np.pi) + 1e-6
    assert metrics["rows"] == 24 and metrics["training"]["converged"] is True
    # The best of several starts: shares of the mean squared change.
    change = np.mean(np.diff(y) ** 2)
    initial = {"noise_variance": 0.5 * change, "components.0.level.level_variance": 0.01 * change}
    assert metrics["parameters"]["initial"] == pytest.approx(initial)
    curve = columns_of(workspace / "out" / "training_curve.csv")
    assert curve["nlml"][0] == metrics["nlml"]["initial"]
    result = reference.smooth(parameters)
    smoothed = columns_of(workspace / "out" / "smoothed.csv")
    assert list(smoothed) == ["year", "observed", "signal", "signal_std", "level", "level_std"]
    assert smoothed["year"].tolist() == list(range(1990, 2014))
    np.testing.assert_array_equal(smoothed["observed"], y)
    for name in ("signal", "level"):
        np.testing.assert_allclose(smoothed[name], result.smoothed_state[0], rtol=1e-8)
        variance = result.smoothed_state_cov[0, 0]
        np.testing.assert_allclose(smoothed[f"{name}_std"] ** 2, variance, rtol=1e-7)
    forecast = columns_of(workspace / "out" / "forecast.csv")
    assert list(forecast) == ["year", "mean", "std", "lower_95", "upper_95"]
    assert forecast["year"].tolist() == [2014, 2015, 2016]
    future = result.get_forecast(3)
    np.testing.assert_allclose(forecast["mean"], future.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(forecast["std"], future.se_mean, rtol=1e-8)
    np.testing.assert_allclose(forecast["upper_95"] - forecast["mean"], BAND * forecast["std"])
    np.testing.assert_allclose(forecast["mean"] - forecast["lower_95"], BAND * forecast["std"])


def test_absent_and_empty_observations_are_the_same(train, workspace):
    lines = TABLE.splitlines()
    fixed = {"training.iterations": 0, "data.step": 1}
    results = []
    for kind in ("absent", "empty"):
        changed_lines = list(lines)
        for row in (20, 5):
            if kind == "absent":
                del changed_lines[row]
            else:
                changed_lines[row] = ",".join(changed_lines[row].split(",")[:2]) + ","
        (workspace / "table.csv").write_text("\n".join(changed_lines))
        results.append(train({**fixed, "output": kind}))
        smoothed = columns_of(workspace / kind / "smoothed.csv")
        assert np.flatnonzero(np.isnan(smoothed["observed"])).tolist() == [4, 19]
        assert smoothed["year"].tolist() == list(range(1990, 2014))
    assert results[0]["nlml"] == results[1]["nlml"] and results[0]["rows"] == 22
    y = np.array([round(value, 4) for value in VALUES])
    y[[4, 19]] = np.nan
    variance = results[0]["parameters"]["initial"]["noise_variance"]
    reference = UnobservedComponents(y, "llevel", use_exact_diffuse=True)
    expected = -reference.loglike([variance, variance]) - 0.5 * np.log(2 * np.pi)
    assert results[0]["nlml"]["initial"] == pytest.approx(expected, rel=1e-8)


COMPONENTS = [
    {"seasonal": {"period": 4}},
    {"seasonal": {"period": 5.5, "form": "trigonometric", "harmonics": 1, "seasonal_variance": 0}},
    {"cycle": {"period": 7, "fixed": ["period"]}},
    {"ar": {"order": 2, "coefficients": [0.5, -0.2]}},
    {"regression": {"drifting": True}},
]


@pytest.mark.parametrize(
    "trend, more",
    [
        ("damped_trend", {"model.dtype": "float32"}),
        ("semilocal_trend", {"model.method": "parallel", "training.optimizer": "adam"}),
    ],
)
def test_all_components_train(train, run, workspace, trend, more):
    table = TABLE + "".join(f"{2014 + i},{PRICES[24 + i]},\n" for i in range(2))
    (workspace / "table.csv").write_text(table)
    metrics = train(
        {
            "data.covariates": ["price"],
            "data.target_scaling": "standardize",
            "data.holdout": {"last": 3},
            "model.components": [{trend: {"damping": 0.8}}, *COMPONENTS],
            "forecast.steps": 5,
            "training.iterations": 2,
            **more,
        }
    )
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]
    assert metrics["holdout"]["rows"] == 3 and metrics["rows"] == 21
    trained = metrics["parameters"]["trained"]
    assert trained["components.3.cycle.period"] == pytest.approx(7, rel=1e-6)
    assert metrics["parameters"]["initial"]["components.4.ar.coefficients"] == pytest.approx(
        [0.5, -0.2], rel=1e-5
    )
    assert "components.2.seasonal.seasonal_variance" not in trained
    assert set(metrics["coefficients"]) == {"price"}
    smoothed = columns_of(workspace / "out" / "smoothed.csv")
    labels = [trend, "seasonal", "seasonal_2", "cycle", "ar", "regression"]
    assert list(smoothed)[4:] == [name for label in labels for name in (label, f"{label}_std")]
    total = sum(smoothed[label] for label in labels)
    np.testing.assert_allclose(total, smoothed["signal"], rtol=1e-5)
    effect = metrics["coefficients"]["price"]["mean"] * PRICES[20]
    assert effect == pytest.approx(smoothed["regression"][-1], rel=1e-5)
    forecast = columns_of(workspace / "out" / "forecast.csv")
    residual = np.round(VALUES[21:], 4) - forecast["mean"][:3]
    assert metrics["holdout"]["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)))
    # The exported forecaster of the training rows gives the forecast of the job.
    (workspace / "new.csv").write_text("\n".join(table.splitlines()[:22]) + "\n" + "".join(
        f"{2011 + i},{PRICES[21 + i]},\n" for i in range(5)
    ))  # fmt: skip
    assert run("predict", "out", "--data", "new.csv")[0] == 0
    for name, column in columns_of(workspace / "out" / "predictions.csv").items():
        np.testing.assert_allclose(column, forecast[name], rtol=1e-5)


def test_regression_coefficients_are_those_of_least_squares(train, workspace):
    """A constant level with a constant effect: generalized least squares, by hand."""
    future = "".join(f"{2014 + i},{PRICES[24 + i]},\n" for i in range(3))
    (workspace / "table.csv").write_text(TABLE + future)
    metrics = train(
        {
            "data.covariates": ["price"],
            "model.components": [{"level": {"level_variance": 0}}, {"regression": {}}],
            "model.noise_variance": 2.0,
            "training.iterations": 0,
        }
    )
    design = np.column_stack([np.ones(24), PRICES[:24]])
    y = np.array([round(value, 4) for value in VALUES])
    gram = np.linalg.inv(design.T @ design)
    expected = gram @ design.T @ y
    # The integral of the likelihood over level and effect.
    residual = y - design @ expected
    nlml = 0.5 * (22 * np.log(4 * np.pi) - np.linalg.slogdet(gram)[1] + residual @ residual / 2.0)
    assert metrics["nlml"]["initial"] == pytest.approx(nlml, rel=1e-7)
    price = metrics["coefficients"]["price"]
    assert price["mean"] == pytest.approx(expected[1], rel=1e-6)
    assert price["std"] == pytest.approx(np.sqrt(2.0 * gram[1, 1]), rel=1e-6)
    later = np.column_stack([np.ones(3), PRICES[24:27]])
    forecast = columns_of(workspace / "out" / "forecast.csv")
    np.testing.assert_allclose(forecast["mean"], later @ expected, rtol=1e-7)
    variance = 2.0 + np.einsum("ti,ij,tj->t", later, 2.0 * gram, later)
    np.testing.assert_allclose(forecast["std"] ** 2, variance, rtol=1e-6)


def test_a_known_prior_and_a_label(train, workspace):
    """Against the Gaussian that all of it is, in units of the centred target."""
    level = {"level_variance": 0.5, "prior": [1, 2], "label": "base", "fixed": ["level_variance"]}
    components = [{"level": level}]
    noise = {"model.noise_variance": 0.25, "model.fixed": ["noise_variance"]}
    metrics = train({"model.components": components, **noise})
    y, times = np.array([round(value, 4) for value in VALUES]), np.arange(len(VALUES))
    states = 4.0 + 0.5 * np.minimum(times[:, None], times)
    gaussian = multivariate_normal(np.ones(len(y)), states + 0.25 * np.eye(len(y)))
    assert metrics["nlml"]["trained"] == pytest.approx(-gaussian.logpdf(y - y.mean()), rel=1e-9)
    smoothed = columns_of(workspace / "out" / "smoothed.csv")
    assert list(smoothed)[4:] == ["base", "base_std"]
    rest = np.linalg.solve(gaussian.cov, y - y.mean() - 1.0)
    np.testing.assert_allclose(smoothed["base"], y.mean() + 1.0 + states @ rest, rtol=1e-9)


@pytest.mark.pictures
@pytest.mark.parametrize("series", [None, "region"])
def test_no_forecast_needs_no_covariates_of_the_future(train, run, refused, workspace, series):
    """The fit is that of a job that knows them; the exported model forecasts a step."""
    future = "".join(f"{2014 + i},{PRICES[24 + i]},\n" for i in range(3))
    known = {"data.covariates": ["price"], "data.step": 1, "data.series": series}
    known["model.components"] = [{"level": {}}, {"regression": {}}]

    def write(text):
        if series is not None:
            header, *rows = text.splitlines()
            names = (("a", rows), ("b", rows))
            rows = [f"{name},{row}" for name, own in names for row in own]
            text = "\n".join([f"region,{header}", *rows, ""])
        (workspace / "table.csv").write_text(text)

    write(TABLE + future)
    expected = train({**known, "output": "whole"})
    write(TABLE)
    metrics = train({**known, "forecast.steps": 0})
    assert metrics["nlml"] == pytest.approx(expected["nlml"], rel=1e-9)
    effects = [found["coefficients"] for found in (metrics, expected)]
    if series is not None:
        effects = [found["b"] for found in effects]
    assert effects[0]["price"] == pytest.approx(effects[1]["price"], rel=1e-9)
    smoothed = [columns_of(workspace / name / "smoothed.csv") for name in ("out", "whole")]
    np.testing.assert_allclose(smoothed[0]["signal"], smoothed[1]["signal"], rtol=1e-9)
    header = (workspace / "whole" / "forecast.csv").read_text().splitlines()[0]
    assert (workspace / "out" / "forecast.csv").read_text() == header + "\n"
    assert (workspace / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")
    # What follows the series, for as many steps as the exported model has.
    assert "needs their covariates" in refused("predict", "out", "--data", "table.csv")
    write(TABLE + future)
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    found = columns_of(workspace / "out" / "predictions.csv")
    first = columns_of(workspace / "whole" / "forecast.csv")
    assert set(found["year"].tolist()) == {2014}
    for name in ("mean", "std"):
        np.testing.assert_allclose(found[name], first[name][::3], rtol=1e-9)


def test_the_hold_out_is_forecast_and_judged(train, workspace):
    train({"training.iterations": 0, "data.holdout": {"last": 5}, "forecast": ...})
    lines = TABLE.splitlines()
    (workspace / "table.csv").write_text("\n".join(lines[:20]))
    metrics = json.loads((workspace / "out" / "metrics.json").read_text())
    variance = metrics["parameters"]["trained"]["noise_variance"]
    level = [{"level": {"level_variance": variance}}]
    train(
        {
            "training.iterations": 0,
            "model": {"components": level, "noise_variance": variance},
            "forecast.steps": 5,
            "output": "shorter",
        }
    )
    forecast = columns_of(workspace / "out" / "forecast.csv")
    shorter = columns_of(workspace / "shorter" / "forecast.csv")
    for name, column in forecast.items():
        np.testing.assert_allclose(column, shorter[name], rtol=1e-9)
    y = np.array([round(value, 4) for value in VALUES[19:]])
    residual, std = y - forecast["mean"], forecast["std"]
    holdout = metrics["holdout"]
    assert holdout["rows"] == 5
    assert holdout["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)))
    density = 0.5 * np.log(2 * np.pi * std**2) + 0.5 * (residual / std) ** 2
    assert holdout["nlpd"] == pytest.approx(density.mean())
    assert holdout["coverage_95"] == np.mean(np.abs(residual) <= BAND * std)


def test_units_of_the_target_change_no_forecast(train, workspace):
    variance = float(np.var([round(value, 4) for value in VALUES]))
    forecasts = {}
    for scaling, unit in (("raw", 1.0), ("standardize", variance)):
        level = [{"level": {"level_variance": 0.5 / unit}}]
        train(
            {
                "data.target_scaling": scaling,
                "model": {"components": level, "noise_variance": 1.5 / unit},
                "training.iterations": 0,
                "output": scaling,
            }
        )
        forecasts[scaling] = columns_of(workspace / scaling / "forecast.csv")
        smoothed = columns_of(workspace / scaling / "smoothed.csv")
        np.testing.assert_allclose(smoothed["level"], smoothed["signal"])
        assert abs(smoothed["level"].mean() - np.mean(VALUES)) < 0.1
    again = columns_of(workspace / "raw" / "smoothed.csv")
    for name, column in smoothed.items():
        np.testing.assert_allclose(again[name], column, rtol=1e-8)
    for name, column in forecasts["raw"].items():
        np.testing.assert_allclose(forecasts["standardize"][name], column, rtol=1e-8)


def test_predict_continues_a_new_series(train, run, workspace):
    """Only the parameters are those of the training; another step or length is no matter."""
    metrics = train({"training.iterations": 0})
    variance = metrics["parameters"]["trained"]["noise_variance"]
    values = [3.0, 4.5, np.nan, 6.0, 5.0]
    rows = "".join(f"{1900 + i},{'' if v != v else v}\n" for i, v in enumerate(values))
    (workspace / "new.csv").write_text("year,y\n" + rows + "1905,\n")
    status, out, err = run("predict", "out", "--data", "new.csv", "--output", "later.csv")
    assert status == 0, err
    assert out == "3 predictions of y in later.csv\n"
    later = columns_of(workspace / "later.csv")
    assert later["year"].tolist() == [1905, 1906, 1907]
    reference = UnobservedComponents(np.array(values), "llevel", use_exact_diffuse=True)
    expected = reference.smooth([variance, variance]).get_forecast(3)
    np.testing.assert_allclose(later["mean"], expected.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(later["std"], expected.se_mean, rtol=1e-8)


def test_the_exported_model_needs_no_job(train, workspace):
    train({"training.iterations": 0})
    description = json.loads((workspace / "out" / "model-io.json").read_text())
    assert list(description["graph_inputs"]) == ["data0", "data1"]
    model = gluon_linalg.load("out/model")
    y = np.array([[round(value, 4) for value in VALUES]]) - description["target_offset"]
    y = mx.nd.array(y, dtype=description["dtype"])
    mean, variance = model(y, mx.nd.ones_like(y))
    forecast = columns_of(workspace / "out" / "forecast.csv")
    np.testing.assert_allclose(mean.asnumpy()[0] + description["target_offset"], forecast["mean"])
    np.testing.assert_allclose(np.sqrt(variance.asnumpy()[0]), forecast["std"])


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_interrupted_job_continues(train, run, workspace, monkeypatch, optimizer):
    changes = {"training.optimizer": optimizer, "training.checkpoint_every": 2}
    changes["training.iterations"] = 100 if optimizer == "lbfgs" else 9
    whole = train({**changes, "output": "whole"})
    advance = state_module.TrainingState.advance

    def advance_and_die(self, loss):
        advance(self, loss)
        if self.iteration == 5:
            raise RuntimeError("killed")

    monkeypatch.setattr(state_module.TrainingState, "advance", advance_and_die)
    with pytest.raises(RuntimeError, match="killed"):
        train(changes)
    monkeypatch.setattr(state_module.TrainingState, "advance", advance)
    assert not (workspace / "out" / "metrics.json").exists()
    metrics = train(changes)
    exact = optimizer != "lbfgs"
    assert metrics["nlml"]["initial"] == whole["nlml"]["initial"]
    expected = pytest.approx(whole["nlml"]["trained"], rel=1e-13 if exact else 1e-9)
    assert metrics["nlml"]["trained"] == expected
    for path, value in whole["parameters"]["trained"].items():
        close = pytest.approx(value, rel=1e-12 if exact else 1e-3)
        assert metrics["parameters"]["trained"][path] == close
    if exact:
        assert metrics["training"]["iterations"] == 9
    status, out, _ = run("train", "job.yaml")
    assert status == 0 and "finished before" in out


def test_other_data_and_another_task_are_not_mixed(train, refused, workspace):
    train({"training.iterations": 0})
    (workspace / "table.csv").write_text(TABLE.replace("1990,", "1989.9,"))
    assert "(the rows of the data differ)" in refused("train", "job.yaml")
    gp = {"kernel": {"rbf": {}}}
    job = {**JOB, "task": "gp", "data": {"path": "table.csv", "inputs": ["year"], "target": "y"}}
    del job["forecast"]
    (workspace / "job.yaml").write_text(yaml.safe_dump({**job, "model": gp}))
    assert "holds the results of another job (task differs)" in refused("train", "job.yaml")


@pytest.mark.pictures
def test_the_picture_has_a_panel_for_each_component(train, workspace):
    from matplotlib import image

    components = [{"level": {}}, {"seasonal": {"period": 4}}]
    changes = {"model.components": components, "training.iterations": 0}
    train({**changes, "data.holdout": {"last": 3}})
    pixels = image.imread(workspace / "out" / "plot.png")
    height, width = pixels.shape[:2]
    # Versions of Matplotlib round the height differently.
    assert width == 1500 and abs(height - 1430) <= 1
    # Blue for what is smoothed, red for the hold-out, orange for the forecast.
    red, green, blue = (pixels[..., channel] for channel in range(3))
    assert ((red - blue > 0.3) & (green < blue)).sum() > 20
    for panel in (slice(0, 540), slice(540, 765), slice(765, 1110)):
        assert (blue - red > 0.4)[panel].sum() > 100
        assert ((red - blue > 0.5) & (green > blue + 0.2))[panel].sum() > 50
