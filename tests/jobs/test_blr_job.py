"""Bayesian linear regression jobs: figures, numbers by hand, predictions, and refusals."""

import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from small_job import ROOT, TABLE, changed
from small_statespace_job import columns_of

import gluon_linalg
from gluon_linalg.jobs.blr.task import LinearRegression
from gluon_linalg.jobs.reading import read_job

JOB = {
    "task": "blr",
    "data": {"path": "table.csv", "inputs": ["x", "z"], "target": "y"},
    "model": {"features": {"linear": {}}, "prior_variance": 2, "noise_variance": 0.25},
    "training": {"iterations": 0},
    "output": "out",
}
MLP = {
    "model.features": {"mlp": {"hidden": [6, 4], "activation": "tanh"}},
    "training.optimizer": "adam",
    "training.iterations": 8,
    "training.learning_rate": 0.02,
}
ROWS = np.array([line.split(",") for line in TABLE.split()[1:]], dtype="float64")


@pytest.fixture
def write_job(workspace):
    def write(changes=None):
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return "job.yaml"

    return write


@pytest.fixture
def train(run, write_job, workspace):
    """Trains JOB with changes at dotted keys; returns the metrics."""

    def train_job(changes=None, *options):
        status, _, err = run("train", write_job(changes), *options)
        assert (status, err) == (0, "")
        folder = (changes or {}).get("output", "out")
        return json.loads((workspace / folder / "metrics.json").read_text())

    return train_job


def posterior(phi, y, prior, noise):
    """Negative log marginal likelihood, and mean and covariance of the weights, by inverses."""
    covariance = phi @ np.diag(prior) @ phi.T + noise * np.eye(len(y))
    nlml = y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1]
    weights_covariance = np.linalg.inv(phi.T @ phi / noise + np.diag(1 / prior))
    return 0.5 * nlml, weights_covariance @ phi.T @ y / noise, weights_covariance


@pytest.mark.pictures
def test_olympic_marathon(run, tmp_path):
    """The figures of the same model in NumPy (tests/blocks/test_blr.py)."""
    job = ROOT / "examples/marathon_blr/job.yaml"
    status, out, err = run("train", job, "--output", tmp_path / "out")
    assert status == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["nlml"]["initial"] == pytest.approx(177.55567, abs=1e-5)
    assert metrics["nlml"]["trained"] == pytest.approx(12.61370, abs=1e-5)
    assert metrics["training"]["converged"] is True
    trained = metrics["parameters"]["trained"]
    assert trained["prior_variance"] == pytest.approx(6.574, abs=1e-3)
    assert trained["noise_variance"] == pytest.approx(0.0525, abs=1e-4)
    assert "NLML 177.5557 -> 12.6137" in out and metrics["holdout"] is None
    assert (tmp_path / "out" / "plot.png").stat().st_size > 20000


SCALINGS = {
    "raw": lambda x: x,
    "center": lambda x: x - x.mean(axis=0),
    "unit": lambda x: (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0)),
    "standardize": lambda x: (x - x.mean(axis=0)) / x.std(axis=0),
}


@pytest.mark.parametrize("scaling, degree", list(zip(SCALINGS, (1, 1, 3, 2))))
def test_numbers_by_hand(train, run, workspace, scaling, degree):
    """Inputs that begin at 0 would not tell a range from a maximum."""
    x, y = ROWS[:, :2] + [3.0, -5.0], ROWS[:, 2]
    rows = "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x.tolist(), y.tolist()))
    (workspace / "table.csv").write_text("x,z,y\n" + rows)
    features = {"linear": {}} if degree == 1 else {"polynomial": {"degree": degree}}
    prior = np.linspace(0.5, 2.0, 1 + 2 * degree)
    metrics = train(
        {
            "data.input_scaling": scaling,
            "data.target_scaling": "standardize",
            "data.holdout": {"last": 3},
            "model.features": features,
            "model.prior_variance": prior.tolist(),
        }
    )
    center, unit = y[:13].mean(), y[:13].std()
    # The hold-out is scaled as the training is.
    ends = SCALINGS[scaling](x[:13])
    slope = (ends[4] - ends[1]) / (x[4] - x[1])
    scaled = ends[1] + slope * (x - x[1])
    phi = np.column_stack([np.ones(16)] + [scaled**power for power in range(1, degree + 1)])
    nlml, mean, covariance = posterior(phi[:13], (y[:13] - center) / unit, prior, 0.25)
    assert metrics["nlml"]["initial"] == pytest.approx(nlml, rel=1e-9)
    assert metrics["parameters"]["trained"]["prior_variance"] == pytest.approx(prior)
    assert run("predict", "out", "--data", "table.csv")[1].startswith("16 predictions of y in")
    table = columns_of(workspace / "out" / "predictions.csv")
    expected = center + unit * phi @ mean
    std = unit * np.sqrt(0.25 + np.einsum("ij,jk,ik->i", phi, covariance, phi))
    np.testing.assert_allclose(table["mean"], expected, rtol=1e-8)
    np.testing.assert_allclose(table["std"], std, rtol=1e-8)
    assert list(table) == ["x", "z", "mean", "std", "lower_95", "upper_95"]
    rmse = np.sqrt(np.mean((y - expected)[13:] ** 2))
    assert metrics["holdout"]["rows"] == 3
    assert metrics["holdout"]["rmse"] == pytest.approx(rmse, rel=1e-8)


@pytest.mark.pictures
def test_training_float32_and_the_picture_of_two_inputs(train, workspace):
    changes = {"model.features": {"polynomial": {"degree": 3}}, "training": ...}
    double = train({**changes, "model.fixed": ["noise_variance"]})
    assert double["nlml"]["trained"] < double["nlml"]["initial"] - 0.5
    trained = double["parameters"]["trained"]
    assert trained["noise_variance"] == pytest.approx(0.25) and trained["prior_variance"] != 2
    single = train({**changes, "model.dtype": "float32", "output": "single"})
    free = train({**changes, "output": "free"})
    assert free["nlml"]["trained"] < double["nlml"]["trained"]
    assert single["nlml"]["trained"] == pytest.approx(free["nlml"]["trained"], rel=1e-4)
    from matplotlib import image

    assert image.imread(workspace / "out" / "plot.png").shape[:2] == (1020, 1020)


@pytest.mark.parametrize("features", [{"polynomial": {"degree": 3}}, MLP["model.features"]])
def test_left_out_rows(write_job, features):
    """Each row predicted by a regression on the others."""
    job = read_job(write_job({"model.features": features, "data.target_scaling": "raw"}))
    dataset = LinearRegression.read_dataset(job)
    task = LinearRegression(job, dataset, mx.cpu())
    phi, y = task.layer.features(task.x).asnumpy()[0], ROWS[:, 2]
    mean, variance = task.leave_one_out(task.predictor())
    mean, variance = mean * task.target_size, variance * task.target_size**2
    for index in range(len(y)):
        others = np.arange(len(y)) != index
        prior = np.full(phi.shape[1], 2.0)
        _, weights, covariance = posterior(phi[others], y[others], prior, 0.25)
        assert mean[index] == pytest.approx(phi[index] @ weights, rel=1e-7, abs=1e-9)
        assert variance[index] == pytest.approx(0.25 + phi[index] @ covariance @ phi[index])


def test_a_network_is_trained_seeded_and_continued(train, run, workspace):
    whole = train({**MLP, "output": "whole"})
    assert whole["nlml"]["trained"] < whole["nlml"]["initial"] - 0.1
    assert set(whole["parameters"]["trained"]) == {"prior_variance", "noise_variance"}
    train({**MLP, "training.iterations": 3})
    before = mx.nd.load(str(workspace / "out" / "checkpoint.params"))
    again = train(MLP)
    assert again["nlml"]["initial"] == whole["nlml"]["initial"]
    assert again["nlml"]["trained"] == pytest.approx(whole["nlml"]["trained"], rel=1e-13)
    after = mx.nd.load(str(workspace / "out" / "checkpoint.params"))
    names = [f"parameter:features.mlp.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")]
    for name in names:
        assert (before[name] - after[name]).abs().max().asscalar() > 1e-3
    other = train({**MLP, "seed": 1, "output": "other"})
    assert other["nlml"]["initial"] != whole["nlml"]["initial"]
    # The network is part of the exported graph.
    description = json.loads((workspace / "out" / "model-io.json").read_text())
    x = (ROWS[:, :2] - description["input_offset"]) / description["input_scale"]
    hidden = x
    for layer in (0, 1):
        weight, bias = (after[names[2 * layer + k]].asnumpy() for k in (0, 1))
        hidden = np.tanh(hidden @ weight.T + bias)
    phi = np.column_stack([np.ones(16), hidden])
    trained = again["parameters"]["trained"]
    prior = np.full(5, trained["prior_variance"])
    y = ROWS[:, 2] - description["target_offset"]
    nlml, weights, _ = posterior(phi, y, prior, trained["noise_variance"])
    assert again["nlml"]["trained"] == pytest.approx(nlml, rel=1e-8)
    mean, _ = gluon_linalg.load("out/model")(mx.nd.array(x[None], dtype="float64"))
    np.testing.assert_allclose(mean.asnumpy()[0], phi @ weights, rtol=1e-6, atol=1e-9)
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    table = columns_of(workspace / "out" / "predictions.csv")
    np.testing.assert_allclose(
        table["mean"], phi @ weights + description["target_offset"], rtol=1e-6, atol=1e-9
    )


def test_constant_columns_and_lbfgs_on_a_network(train, workspace):
    (workspace / "table.csv").write_text("x,z,y\n" + "".join(f"{i},1,3\n" for i in range(6)))
    metrics = train(
        {
            "model.features": MLP["model.features"],
            "model.noise_variance": None,
            "data.target_scaling": "standardize",
            "training.iterations": 2,
        }
    )
    assert metrics["parameters"]["initial"]["noise_variance"] == pytest.approx(1.0)
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]


@pytest.mark.parametrize(
    "changes, line",
    [
        (
            {"data.center_inputs": "auto"},
            "job.yaml: data.center_inputs: unknown key; did you mean 'inputs'?",
        ),
        (
            {"data.input_scaling": "units"},
            "job.yaml: data.input_scaling: 'units': should be 'raw', 'center', 'unit' or "
            "'standardize'",
        ),
        ({"model.features": ...}, "job.yaml: model.features: missing; add this key"),
        (
            {"model.features": {"polynom": {}}},
            "job.yaml: model.features.polynom: unknown key; did you mean 'polynomial'?",
        ),
        (
            {"model.features": {"linear": {}, "mlp": {}}},
            "job.yaml: model.features: expected one kind of features, found linear, mlp; write it "
            "as linear: {}, polynomial: {degree: 3} or mlp: {}",
        ),
        (
            {"model.features": {"polynomial": {"degree": 0}}},
            "job.yaml: model.features.polynomial.degree: '0': should be greater than or equal to 1",
        ),
        (
            {"model.features": {"mlp": {"hidden": []}}},
            "job.yaml: model.features.mlp.hidden: List should have at least 1 item after "
            "validation, not 0",
        ),
        (
            {"model.features": {"mlp": {"hidden": [10, 6000]}}},
            "job.yaml: model.features.mlp: 6001 features; at most 5000 are possible",
        ),
        (
            {"model.prior_variance": [1, 2]},
            "job.yaml: model.prior_variance: 2 values for 3 features; give 1 or 3",
        ),
        (
            {"model.prior_variance": [1, 0, 1]},
            "job.yaml: model.prior_variance.1: '0': expected a positive number",
        ),
        (
            {"model.noise_variance": 0},
            "job.yaml: model.noise_variance: '0': expected a positive number",
        ),
        (
            {"model.fixed": ["noise"]},
            "job.yaml: model.fixed: 'noise' is no parameter to fix; expected one of "
            "prior_variance, noise_variance",
        ),
        ({"task": "blrr"}, "job.yaml: task: 'blrr': unknown task; did you mean 'blr'?"),
    ],
)
def test_wrong_keys_and_values(write_job, refused, changes, line):
    assert refused("train", write_job(changes)) == line


def test_wrong_tables(write_job, refused, workspace):
    huge = {"model.dtype": "float32", "data.input_scaling": "raw"}
    (workspace / "table.csv").write_text("x,z,y\n1,1,1\n1e30,2,3\n4,4,4\n")
    line = refused("train", write_job({**huge, "model.features": {"polynomial": {"degree": 3}}}))
    assert line.endswith(
        "the likelihood of its rows is not a finite number at the initial values; bring the values "
        "in model, and the numbers in the file, nearer to 1"
    )
    (workspace / "table.csv").write_text("x,z,y\n1,1,1\n1e300,2,3\n-1e308,4,4\n")
    line = refused("train", write_job())
    assert line.endswith("the numbers are too large to average; rescale them")
    line = refused("train", write_job({"data.holdout": {"last": 2}}))
    assert line.endswith("1 rows to train on; at least 2 are needed")


def test_far_away_rows_are_not_predicted(train, run, workspace):
    train({"model.features": {"polynomial": {"degree": 20}}})
    (workspace / "new.csv").write_text("x,z\n1e200,1\n")
    files = sorted((workspace / "out").iterdir())
    status, out, err = run("predict", "out", "--data", "new.csv")
    assert (status, out) == (2, "")
    assert err == "new.csv: the inputs are too far away to predict there\n"
    assert sorted((workspace / "out").iterdir()) == files
