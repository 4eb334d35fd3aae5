"""State space jobs of counts and events."""

import json

import numpy as np
import pytest
import yaml
from scipy import stats
from small_job import changed
from small_statespace_job import columns_of

STEPS = 40
JOB = {
    "task": "statespace",
    "data": {"path": "table.csv", "target": "y", "holdout": {"last": 4}},
    "model": {"components": [{"level": {}}], "likelihood": "poisson"},
    "output": "out",
}


def counts():
    random = np.random.RandomState(2)
    y = random.poisson(np.exp(1.2 + np.cumsum(0.25 * random.randn(STEPS)))).astype(float)
    y[7] = np.nan
    return y


def write(workspace, y, changes=None):
    cells = ["" if np.isnan(value) else f"{value:g}" for value in y]
    rows = [f"{step},{cell}" for step, cell in enumerate(cells)]
    (workspace / "table.csv").write_text("\n".join(["t,y", *rows]) + "\n")
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))


def mode(y, variance):
    """The last signal, and its variance, of a random walk without a beginning: dense Newton."""
    difference = np.diff(np.eye(len(y)), axis=0)
    inverse, f = difference.T @ difference / variance, np.log(np.nanmean(y)) * np.ones(len(y))
    seen, known = ~np.isnan(y), np.nan_to_num(y)
    for _ in range(100):
        information = inverse + np.diag(seen * np.exp(f))
        f = f + 0.5 * np.linalg.solve(information, seen * (known - np.exp(f)) - inverse @ f)
    return f[-1], np.linalg.inv(information)[-1, -1]


@pytest.mark.slow
def test_counts(run, workspace):
    """Moments and quantiles of Poisson counts of a log-normal rate; `predict` has them too."""
    y = counts()
    write(workspace, y)
    status, _, err = run("train", "job.yaml")
    assert status == 0, err
    metrics = json.loads((workspace / "out" / "metrics.json").read_text())
    variance = metrics["parameters"]["trained"]["components.0.level.level_variance"]
    last, spread = mode(y[:-4], variance)
    table, draws = columns_of("out/forecast.csv"), stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    density = []
    for step in range(4):
        rate = np.exp(last + np.sqrt(spread + (step + 1) * variance) * draws)
        assert table["mean"][step] == pytest.approx(rate.mean(), rel=1e-3)
        assert table["std"][step] == pytest.approx(np.sqrt(rate.mean() + rate.var()), rel=1e-2)
        below = stats.poisson.cdf(np.arange(200)[:, None], rate).mean(axis=1)
        assert table["lower_95"][step] == np.argmax(below >= 0.025)
        assert table["upper_95"][step] == np.argmax(below >= 0.975)
        density.append(np.log(stats.poisson.pmf(y[-4 + step], rate).mean()))
    assert metrics["holdout"]["nlpd"] == pytest.approx(-np.mean(density), rel=1e-3)
    smoothed = columns_of("out/smoothed.csv")
    assert smoothed["signal"][-1] == pytest.approx(last, rel=1e-6)
    assert smoothed["expected"][-1] == pytest.approx(np.exp(last + spread / 2), rel=1e-6)
    write(workspace, y[:-4])
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    found = columns_of("out/predictions.csv")
    for name in ("mean", "std", "lower_95", "upper_95"):
        np.testing.assert_allclose(found[name], table[name], rtol=1e-5)
    assert not (workspace / "out" / "stream-symbol.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["negative_binomial", "bernoulli"])
def test_other_likelihoods(run, workspace, likelihood):
    y = counts() if likelihood == "negative_binomial" else 1.0 * (counts() > 3)
    write(workspace, y, {"model.likelihood": likelihood})
    status, _, err = run("train", "job.yaml")
    assert status == 0, err
    table = columns_of("out/forecast.csv")
    assert ("lower_95" in table) == (likelihood == "negative_binomial")
    assert (np.array(table["mean"]) > 0).all()


@pytest.mark.parametrize(
    "changes, y, message",
    [
        ({}, [1, 2.5, 3, 1, 2, 2, 1], "2.5 at 2: poisson takes whole numbers from 0 on"),
        ({}, [0] * 9, "all observations to train on are 0"),
        ({"model.likelihood": "bernoulli"}, [1, 0, 2, 1, 0, 1, 1], "bernoulli takes 0 and 1"),
        ({"model.noise_variance": 1.0}, [1, 2], "poisson has no noise beside it"),
        ({"model.dispersion": 1.0}, [1, 2], "dispersion belongs to likelihood: negative_binomial"),
    ],
)
def test_refusals(refused, workspace, changes, y, message):
    write(workspace, np.array(y, float), changes)
    assert message in refused("train", "job.yaml")
