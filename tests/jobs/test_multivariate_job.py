"""Jobs of several series: numbers against statsmodels and dense normals, predictions, refusals."""

import json

import numpy as np
import pytest
import yaml
from small_job import ROOT, changed
from small_statespace_job import columns_of
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from statsmodels.tsa.statespace.varmax import VARMAX

STEPS, AHEAD = 40, 3
JOB = {
    "task": "multivariate",
    "data": {
        "path": "table.csv",
        "time": "year",
        "step": 1,
        "targets": ["a", "b"],
        "target_scaling": "raw",
    },
    "model": {"process": {"varma": {"order": [1, 0]}}},
    "forecast": {"steps": AHEAD},
    "training": {"iterations": 5},
    "output": "out",
}
FACTORS = {"data.targets": ["a", "b", "q"], "model": {"process": {"factors": {"order": 2}}}}
LINEAR = {
    "model": {"process": {"linear": {"states": 1, "mean": False}}},
    "training": {"optimizer": "em", "iterations": 8},
}


def series():
    """Two that follow each other, one that is seen in every third step, and what moves them."""
    random = np.random.RandomState(5)
    x = random.randn(STEPS + AHEAD)
    factor = np.zeros(STEPS)
    for t in range(1, STEPS):
        factor[t] = 0.7 * factor[t - 1] + random.randn()
    y = np.outer(factor, [1.0, -0.6, 0.8]) + 0.5 * random.randn(STEPS, 3)
    y[:, 0] += 2.0 + 1.5 * x[:STEPS]
    y[7, 1] = y[8, :2] = np.nan
    y[np.arange(STEPS) % 3 != 2, 2] = np.nan
    return np.round(y, 4), np.round(x, 4)


def table(y, x):
    rows = ["year,a,b,q,x"]
    for t, price in enumerate(x):
        cells = ["" if np.isnan(v) else f"{v}" for v in (y[t] if t < STEPS else [np.nan] * 3)]
        rows.append(",".join([str(1950 + t), *cells, str(price)]))
    return "\n".join(rows) + "\n"


@pytest.fixture
def write(workspace):
    def write_job(changes=None):
        (workspace / "table.csv").write_text(table(*series()))
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return "job.yaml"

    return write_job


@pytest.fixture
def train(run, write, workspace):
    def run_job(changes=None):
        status, _, err = run("train", write(changes), "--overwrite")
        assert (status, err) == (0, "")
        return json.loads((workspace / "out" / "metrics.json").read_text())

    return run_job


def of_series(path, name, column):
    columns = columns_of(path)
    return np.array([v for s, v in zip(columns["series"], columns[column]) if s == name])


@pytest.mark.filterwarnings("ignore:Estimation of VARMA")
def test_a_vector_autoregression_with_covariates(train, workspace, run):
    metrics = train({"data.covariates": ["x"]})
    found, (y, x) = metrics["parameters"]["trained"], series()
    # The effect is of the covariate at the size of 1.
    effects = np.ravel(found["varma.effects"])
    location, scale = x[:STEPS].mean(), x[:STEPS].std()
    moved = np.outer((x - location) / scale, effects) + found["varma.mean"]
    reference = VARMAX(y[:, :2] - moved[:STEPS], order=(1, 0), trend="n")
    reference.ssm.tolerance = 0
    factor = np.linalg.cholesky(np.array(found["varma.innovation_covariance"]))
    parameters = np.concatenate([np.ravel(found["varma.ar"]), factor[np.tril_indices(2)]])
    assert metrics["nlml"]["trained"] == pytest.approx(-reference.loglike(parameters), rel=1e-9)
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]
    assert metrics["effects"]["a"]["x"] == pytest.approx(effects[0] / scale, rel=1e-12)
    ahead = reference.smooth(parameters).get_forecast(AHEAD)
    for number, name in enumerate("ab"):
        mean, std = (of_series("out/forecast.csv", name, key) for key in ("mean", "std"))
        np.testing.assert_allclose(
            mean, ahead.predicted_mean[:, number] + moved[STEPS:, number], rtol=1e-8
        )
        np.testing.assert_allclose(std, ahead.se_mean[:, number], rtol=1e-8)
    # Of the training, whose steps are the rows but those that follow.
    right = reference.smooth(parameters).filter_results.standardized_forecasts_error
    for number, name in enumerate("ab"):
        found = of_series("out/residuals.csv", name, "standardized_residual")
        known = ~np.isnan(found)
        whole = ~np.isnan(y[:, :2]).any(axis=1)
        assert (known == ~np.isnan(y[:, number])).all()
        np.testing.assert_allclose(found[whole], right[number, whole], atol=1e-8)
    assert metrics["residual_tests"]["a"][1]["test"] == "Jarque-Bera"
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    for name in ("mean", "std"):
        own, other = (columns_of(f"out/{file}.csv")[name] for file in ("forecast", "predictions"))
        np.testing.assert_allclose(own, other, rtol=1e-10)


def test_factors_of_several_frequencies(train):
    """Where all are of one frequency statsmodels has the likelihood; the third joins them."""
    metrics = train({**FACTORS, "data.target_scaling": "standardize", "data.targets": ["a", "b"]})
    found, y = metrics["parameters"]["trained"], series()[0][:, :2]
    reference = DynamicFactor(
        (y - np.nanmean(y, axis=0)) / np.nanstd(y, axis=0) - found["factors.mean"],
        k_factors=1,
        factor_order=2,
    )
    reference.ssm.tolerance = 0
    parts = ("loadings", "error_variance", "ar")
    parameters = np.concatenate([np.ravel(found[f"factors.{part}"]) for part in parts])
    assert metrics["nlml"]["trained"] == pytest.approx(-reference.loglike(parameters), rel=1e-9)
    several = train({**FACTORS, "data.every": {"q": 3}})
    assert several["rows"] == metrics["rows"] + STEPS // 3
    states = columns_of("out/states.csv")
    assert {"year", "factor 1", "factor 1_std", "error lag 2 of q"} <= set(states)
    # The signal of the slow series is known at its own steps, and open between them.
    spread = of_series("out/smoothed.csv", "q", "signal_std")
    assert spread[5::3].max() < spread[3::3].min()


def dense_likelihood(y, matrices):
    """Minus the log density of what was observed of y (T, 2), one state."""
    a, h, q, r, m, p = matrices
    steps = np.arange(len(y))
    variances = [p]
    for _ in steps[1:]:
        variances.append(a**2 * variances[-1] + q)
    gaps = np.abs(steps[:, None] - steps)
    states = a**gaps * np.array(variances)[np.minimum(steps[:, None], steps)]
    covariance = np.kron(states, np.outer(h, h)) + np.kron(np.eye(len(y)), np.diag(r))
    rest = (y - np.outer(a**steps * m, h)).ravel()
    seen = ~np.isnan(rest)
    covariance, rest = covariance[np.ix_(seen, seen)], rest[seen]
    value = np.linalg.slogdet(2 * np.pi * covariance)[1] + rest @ np.linalg.solve(covariance, rest)
    return 0.5 * value


def test_expectation_maximization(train):
    metrics = train(LINEAR)
    assert metrics["training"]["optimizer"] == "em"
    curve = columns_of("out/training_curve.csv")["nlml"]
    assert len(curve) == 9 and (np.diff(curve) < 0).all()
    names = ("transition", "emission", "process_covariance", "observation_variance")
    found = metrics["parameters"]["trained"]
    values = [np.ravel(found[f"linear.{n}"]) for n in (*names, "prior_mean", "prior_covariance")]
    a, h, q, r, m, p = (v if len(v) > 1 else v[0] for v in values)
    expected = dense_likelihood(series()[0][:, :2], (a, h, q, r, m, p))
    assert metrics["nlml"]["trained"] == pytest.approx(expected, rel=1e-10)
    # What it settles the size of the states by is kept.
    assert found["linear.process_covariance"] == 1.0
    assert found["linear.prior_covariance"] == pytest.approx(5.0)


def test_common_trends(train):
    """A covariance of rank 1 stays one, and its level is what both series follow."""
    level = {"level": {"level_variance": 0.5}}
    metrics = train({"model": {"process": {"related": {
        "components": [level], "rank": {"level_variance": 1}}}}})  # fmt: skip
    covariance = np.array(metrics["parameters"]["trained"]["related.level_covariance"])
    assert abs(np.linalg.det(covariance)) < 1e-12 * covariance.max() ** 2
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]


@pytest.mark.slow
@pytest.mark.pictures
def test_the_economy(run, tmp_path):
    """The example; its table is that of the data of statsmodels."""
    out = tmp_path / "out"
    assert run("train", ROOT / "examples/economy/job.yaml", "--output", out)[0] == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["rows"] == 435 and metrics["nlml"]["trained"] < 524
    assert (out / "plot.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"data.every": {"b": 3}, **FACTORS, "data.targets": ["a", "b"]},
            "table.csv: column 'b': the observations at 1950 and 1951 do not lie on steps 3 apart, "
            "as data.every says",
        ),
        ({"data.every": {"b": 3}}, "data.every: varma has one frequency; only factors has"),
        ({"data.every": {"c": 3}}, "every has 'c', which is not one of data.targets"),
        (
            {"model": {"process": {"factors": {"count": 2}}}},
            "model.process.factors: 2 factors of 2 series are not identified",
        ),
        ({"model": {"process": {"varma": {"order": [9, 9]}}}}, "77 observations to train on for"),
        ({"data.holdout": {"last": 39}, "forecast": {}}, "column 'a': 1 observations to train on"),
        ({"training": {"optimizer": "em"}}, "training.optimizer: em is for process: linear"),
        ({"model": {"process": {}}}, "expected one process, found none; write one of varma"),
        (
            {"model": {"process": {"related": {"components": [{"arima": {"order": [1, 0, 0]}}]}}}},
            "model.process.related: arima is for one series alone",
        ),
        (
            {"model": {"process": {"linear": {"states": 2, "transition": [[1]]}}}},
            "model.process.linear: transition is not of 2 x 2 numbers",
        ),
        (
            {"model": {"process": {"related": {"components": [{"seasonal": {"period": 1}}]}}}},
            "seasonal.period: '1': should be greater than or equal to 2",
        ),
        ({"data.targets": ["a", "a"]}, "the column 'a' has two parts to play"),
        ({"data.targets": ["a"]}, "data.targets: List should have at least 2 items"),
    ],
)
def test_refusals(refused, write, changes, message):
    assert message in refused("train", write(changes))


def test_what_is_never_seen_is_named(refused, write, workspace):
    job = write({"model": {"process": {"related": {"components": [{"seasonal": {"period": 4}}]}}}})
    y, x = series()
    y[1::4, 1] = np.nan
    y[::4, 1] = np.nan
    (workspace / "table.csv").write_text(table(y, x))
    assert "leave open seasonal: state 1 of b; each series" in refused("train", job)
