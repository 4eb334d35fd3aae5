"""What a job leaves behind, how it continues, and that its numbers are right."""

import csv
import json
import math

import mxnet as mx
import numpy as np
import pytest
import yaml
from small_job import JOB, TABLE

import gluon_linalg
from gluon_linalg.jobs.config import optimizer_names

FILES = {
    "checkpoint.params",
    "job.resolved.yaml",
    "metrics.json",
    "model-0000.params",
    "model-io.json",
    "model-symbol.json",
    "plot.png",
    "sample.csv",
    "summary.txt",
    "tensorboard",
    "training_curve.csv",
}


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def table_columns():
    rows = [line.split(",") for line in TABLE.split()[1:]]
    return np.array(rows, dtype="float64").T


def dense_nlml(x, y, kernel, noise):
    """By eigenvalues, with nothing of the package."""
    values, vectors = np.linalg.eigh(kernel(x, x) + noise * np.eye(len(x)))
    whitened = vectors.T @ y
    return 0.5 * np.sum(whitened**2 / values + np.log(2 * np.pi * values))


def rbf(variance, lengthscale):
    return lambda x, z: variance * np.exp(-0.5 * ((x[:, None] - z) / lengthscale) ** 2)


def test_files_and_values(run, write_job, workspace):
    status, out, err = run("train", write_job())
    assert (status, err) == (0, "")
    assert {path.name for path in (workspace / "out").iterdir()} == FILES
    metrics = metrics_of(workspace / "out")
    x, _, y = table_columns()
    y = y - y.mean()
    assert metrics["nlml"]["initial"] == pytest.approx(dense_nlml(x, y, rbf(1, 1), 0.1), rel=1e-9)
    trained = metrics["parameters"]["trained"]
    kernel = rbf(trained["kernel.rbf.variance"], trained["kernel.rbf.lengthscale"])
    expected = dense_nlml(x, y, kernel, trained["noise_variance"])
    assert metrics["nlml"]["trained"] == pytest.approx(expected, rel=1e-9)
    assert expected < metrics["nlml"]["initial"]
    initial = {"kernel.rbf.variance": 1, "kernel.rbf.lengthscale": 1, "noise_variance": 0.1}
    assert metrics["parameters"]["initial"] == pytest.approx(initial)
    assert f"NLML {metrics['nlml']['initial']:.4f} -> {metrics['nlml']['trained']:.4f}" in out
    with open(workspace / "out" / "training_curve.csv") as file:
        curve = list(csv.DictReader(file))
    assert float(curve[0]["nlml"]) == metrics["nlml"]["initial"]
    assert float(curve[-1]["nlml"]) == pytest.approx(metrics["nlml"]["trained"])
    assert int(curve[-1]["iteration"]) == metrics["training"]["iterations"]
    assert metrics["training"]["converged"] is True
    assert metrics["versions"]["mxnet"] == mx.__version__


def test_the_resolved_job_is_the_same_job(run, write_job, workspace):
    run("train", write_job())
    resolved = yaml.safe_load((workspace / "out" / "job.resolved.yaml").read_text())
    assert resolved["model"]["mean"] == "zero"
    assert resolved["training"]["checkpoint_every"] == 50
    resolved["output"] = "again"
    (workspace / "again.yaml").write_text(yaml.safe_dump(resolved))
    assert run("train", "again.yaml")[0] == 0
    first, again = metrics_of(workspace / "out"), metrics_of(workspace / "again")
    assert first["nlml"] == again["nlml"]


def test_a_finished_job_says_so_unless_it_is_overwritten(run, write_job, workspace):
    job = write_job()
    run("train", job)
    before = metrics_of(workspace / "out")
    status, out, _ = run("train", job)
    assert status == 0 and "finished before; --overwrite trains it again" in out
    assert metrics_of(workspace / "out") == before
    status, out, _ = run("train", job, "--overwrite")
    assert status == 0 and "finished before" not in out


def test_another_job_or_other_data_are_not_mixed(run, write_job, workspace, refused):
    run("train", write_job())
    changed_model = write_job({"model.noise_variance": 0.2})
    assert "holds the results of another job (model differs)" in refused("train", changed_model)
    job = write_job()
    (workspace / "table.csv").write_text(TABLE.replace("0.25,", "0.26,"))
    assert "(the rows of the data differ)" in refused("train", job)
    (workspace / "out" / "job.resolved.yaml").write_text("task: [")
    assert "(job.resolved.yaml cannot be read)" in refused("train", job)
    assert run("train", job, "--overwrite")[0] == 0


# A state of several arrays, of one, random numbers, and none.
QUICK_OPTIMIZERS = {"adam", "nag", "sgld", "sgd"}


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK_OPTIMIZERS))
        for name in sorted(set(optimizer_names()) - {"lbfgs"})
    ],
)
def test_gluon_optimizers_continue_where_they_stopped(run, write_job, workspace, optimizer):
    """Ten iterations and ten more are the same as twenty."""
    changes = {"training.optimizer": optimizer, "training.learning_rate": 0.01}
    run("train", write_job({**changes, "training.iterations": 20, "output": "whole"}))
    status, _, err = run("train", write_job({**changes, "training.iterations": 10}))
    assert status == 0, err
    assert run("train", write_job({**changes, "training.iterations": 20}))[0] == 0
    whole, parts = metrics_of(workspace / "whole"), metrics_of(workspace / "out")
    assert parts["training"]["iterations"] == 20
    assert parts["nlml"]["initial"] == whole["nlml"]["initial"]
    assert parts["nlml"]["trained"] == whole["nlml"]["trained"]
    with open(workspace / "out" / "training_curve.csv") as file:
        assert [int(row["iteration"]) for row in csv.DictReader(file)] == list(range(21))


def test_a_damaged_checkpoint_is_refused(run, write_job, workspace, refused):
    run("train", write_job())
    checkpoint = workspace / "out" / "checkpoint.params"
    checkpoint.write_bytes(checkpoint.read_bytes()[:200])
    assert "the checkpoint is damaged; train with --overwrite" in refused("train", write_job())


def test_a_step_too_far_is_taken_back(run, write_job, workspace):
    changes = {"training.optimizer": "sgd", "training.learning_rate": 1e9}
    status, _, err = run("train", write_job(changes))
    assert status == 0, err
    nlml = metrics_of(workspace / "out")["nlml"]
    assert math.isfinite(nlml["trained"])


def test_lbfgs_turns_back_at_the_edge_of_the_finite(run, write_job, workspace, monkeypatch):
    """A region without a likelihood is a wall, before which the search turns and goes on."""
    at_edge = {"model.noise_variance": 0.03, "model.fixed": ["noise_variance"], "output": "edge"}
    run("train", write_job(at_edge))
    objective = gluon_linalg.jobs.objective.Objective
    evaluate, refused = objective.evaluate, []

    def evaluate_in_a_half_space(self, iteration=None):
        value = evaluate(self, iteration)
        refused.append(self.task.noise_variance() < 0.03)
        return np.inf if refused[-1] else value

    monkeypatch.setattr(objective, "evaluate", evaluate_in_a_half_space)
    assert run("train", write_job())[0] == 0
    assert any(refused)
    best = metrics_of(workspace / "edge")["nlml"]["trained"]
    assert best < metrics_of(workspace / "out")["nlml"]["trained"] < best + 1.0


def test_fixed_parameters_keep_their_values(run, write_job, workspace):
    changes = {
        "model.kernel": {"rbf": {"lengthscale": 0.7, "fixed": ["lengthscale"]}},
        "model.fixed": ["noise_variance"],
    }
    run("train", write_job(changes))
    trained = metrics_of(workspace / "out")["parameters"]["trained"]
    assert trained["kernel.rbf.lengthscale"] == pytest.approx(0.7, rel=1e-14)
    assert trained["noise_variance"] == pytest.approx(0.1, rel=1e-14)
    assert trained["kernel.rbf.variance"] != pytest.approx(1.0, rel=1e-3)


def test_a_job_with_nothing_to_train(run, write_job, workspace):
    fixed = ["variance", "lengthscale"]
    changes = {"model.kernel.rbf.fixed": fixed, "model.fixed": ["noise_variance"]}
    assert run("train", write_job(changes))[0] == 0
    metrics = metrics_of(workspace / "out")
    assert metrics["nlml"]["initial"] == metrics["nlml"]["trained"]
    assert metrics["training"]["message"] == "no parameter is trained"


EVERY_KERNEL = {
    "sum": [
        {"product": [{"rbf": {"columns": ["x"]}}, {"periodic": {"columns": ["x"], "period": 2}}]},
        {"scaled": {"variance": 0.5, "kernel": {"matern12": {}}}},
        {"matern32": {"lengthscale": [1, 2]}},
        {"matern52": {}},
        {"rational_quadratic": {}},
        {"cosine": {"period": [5, 7]}},
        {"linear": {"variance": [0.1, 0.2]}},
        {"polynomial": {"degree": 2, "variance": 0.01}},
        {"constant": {}},
        {"white": {"variance": 0.01}},
    ]
}

# Those that a network bends, and those of more than a formula of two points.
FURTHER_KERNELS = {
    "sum": [
        {"arc_cosine": {"order": 2, "variance": 0.1}},
        {"matern72": {"lengthscale": 2}},
        {"powered_exponential": {"exponent": 1.5, "lengthscale": 2}},
        {"spectral_mixture": {"columns": ["x"], "components": 2, "lengthscale": 3}},
        {
            "change_point": {
                "column": "x",
                "before": {"gibbs": {"lengthscale": 1}},
                "after": {"rbf": {"lengthscale": 1}},
            }
        },
        {"deep": {"kernel": {"rbf": {"lengthscale": 1}}, "hidden": [3, 2]}},
        {"product": [{"rbf": {"lengthscale": 1}}, {"categorical": {"columns": ["z"]}}]},
    ]
}


# Every pair of two of the three is among them; of the quick ones, each alone.
@pytest.mark.parametrize(
    "mean, dtype, optimizer",
    [
        ("zero", "float32", "lbfgs"),
        pytest.param("zero", "float64", "adam", marks=pytest.mark.slow),
        ("constant", "float32", "adam"),
        pytest.param("constant", "float64", "lbfgs", marks=pytest.mark.slow),
        pytest.param("linear", "float32", "adam", marks=pytest.mark.slow),
        ("linear", "float64", "lbfgs"),
    ],
)
def test_every_kernel_trains_in_both_dtypes(run, write_job, workspace, mean, dtype, optimizer):
    changes = {
        "data.inputs": ["x", "z"],
        "data.holdout": {"fraction": 0.2},
        "model.kernel": EVERY_KERNEL,
        "model.mean": mean,
        "model.dtype": dtype,
        "training.optimizer": optimizer,
        "training.iterations": 3,
    }
    status, _, err = run("train", write_job(changes))
    assert status == 0, err
    metrics = metrics_of(workspace / "out")
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]
    assert metrics["rows"] == 13 and metrics["holdout"]["rows"] == 3
    assert run("predict", "out", "--data", "table.csv")[0] == 0


@pytest.mark.parametrize("dtype, optimizer", [("float32", "lbfgs"), ("float64", "adam")])
def test_further_kernels_train(run, write_job, workspace, dtype, optimizer):
    changes = {
        "data.inputs": ["x", "z"],
        "data.holdout": {"fraction": 0.2},
        "data.center_inputs": "always",
        "model.kernel": FURTHER_KERNELS,
        "model.dtype": dtype,
        "training.optimizer": optimizer,
        "training.iterations": 3,
    }
    status, _, err = run("train", write_job(changes))
    assert status == 0, err
    metrics = metrics_of(workspace / "out")
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]
    told = metrics["parameters"]["trained"]
    assert len(told["kernel.sum.6.product.1.categorical.factor"]) == 5
    # In the unit of the file, whatever the model sees.
    assert 1.0 < metrics["parameters"]["initial"]["kernel.sum.4.change_point.location"] < 3.0
    assert not any("network" in path for path in told)
    stored = (workspace / "out" / "checkpoint.params").read_bytes()
    assert stored.count(b"parameter:network.") == 8
    assert run("predict", "out", "--data", "table.csv")[0] == 0


def test_holdout_metrics_are_those_of_the_conditional_normal(run, write_job, workspace):
    fixed = {
        "model.kernel.rbf.fixed": ["variance", "lengthscale"],
        "model.fixed": ["noise_variance"],
    }
    run("train", write_job({**fixed, "data.holdout": {"last": 4}}))
    x, _, y = table_columns()
    kernel, center = rbf(1, 1), y[:12].mean()
    gain = kernel(x[12:], x[:12]) @ np.linalg.inv(kernel(x[:12], x[:12]) + 0.1 * np.eye(12))
    mean = gain @ (y[:12] - center) + center
    variance = np.diag(kernel(x[12:], x[12:]) - gain @ kernel(x[:12], x[12:])) + 0.1
    residual = y[12:] - mean
    holdout = metrics_of(workspace / "out")["holdout"]
    assert holdout["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-9)
    density = 0.5 * (np.log(2 * np.pi * variance) + residual**2 / variance)
    assert holdout["nlpd"] == pytest.approx(density.mean(), rel=1e-9)
    inside = np.abs(residual) <= 1.959963984540054 * np.sqrt(variance)
    assert holdout["coverage_95"] == inside.mean()


def test_units_do_not_change_what_is_predicted(run, write_job, workspace):
    """Years in float32, standardized target: the predictions are those of float64, raw inputs."""
    rows = [(1990 + i / 12, math.sin(i) * 100 + 5000) for i in range(24)]
    (workspace / "table.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in rows))
    fixed = {
        "model.kernel.rbf.fixed": ["variance", "lengthscale"],
        "model.fixed": ["noise_variance"],
    }
    common = {**fixed, "model.kernel.rbf.lengthscale": 0.3, "data.target_scaling": "standardize"}
    predictions = {}
    for dtype in ("float32", "float64"):
        assert run("train", write_job({**common, "model.dtype": dtype, "output": dtype}))[0] == 0
        assert run("predict", dtype, "--data", "table.csv")[0] == 0
        with open(workspace / dtype / "predictions.csv") as file:
            predictions[dtype] = [
                [float(row[k]) for k in ("mean", "std", "lower_95", "upper_95")]
                for row in csv.DictReader(file)
            ]
    description = json.loads((workspace / "float32" / "model-io.json").read_text())
    assert description["input_offset"] != [0.0]
    np.testing.assert_allclose(predictions["float32"], predictions["float64"], rtol=2e-5)
    mean, std, lower, upper = np.array(predictions["float64"]).T
    x, y = np.array(rows).T
    kernel = rbf(1, 0.3)(x, x)
    gain = kernel @ np.linalg.inv(kernel + 0.1 * np.eye(24))
    np.testing.assert_allclose(mean, gain @ (y - y.mean()) + y.mean())
    np.testing.assert_allclose((std / y.std()) ** 2, np.diag(kernel - gain @ kernel) + 0.1)
    np.testing.assert_allclose(upper - mean, 1.959963984540054 * std)
    np.testing.assert_allclose(mean - lower, 1.959963984540054 * std)


def test_a_constant_target_has_a_scale_of_one(run, write_job, workspace):
    """Standardizing it divides by nothing: the prediction is the constant, its deviation finite."""
    (workspace / "table.csv").write_text("x,y\n1,2\n2,2\n3,2\n4,2\n")
    job = write_job({"data.target_scaling": "standardize", "training.iterations": 5})
    assert run("train", job)[0] == 0
    assert run("predict", JOB["output"], "--data", "table.csv")[0] == 0
    with open(workspace / JOB["output"] / "predictions.csv") as file:
        for row in csv.DictReader(file):
            assert float(row["mean"]) == 2.0
            assert 0.0 <= float(row["std"]) < math.inf


@pytest.mark.parametrize("changes", [{"model.mean": "linear"}, {"model.kernel": {"linear": {}}}])
def test_zero_has_a_meaning_for_a_model_only_if_the_job_says_so(run, write_job, workspace, changes):
    """Else x = 0 of straight lines is at the mean of the data, wherever the file has it."""
    run("train", write_job(changes))
    description = json.loads((workspace / "out" / "model-io.json").read_text())
    assert description["input_offset"] == [1.875]
    never = {"data.center_inputs": "never", "model.dtype": "float32", "output": "never"}
    run("train", write_job({**changes, **never}))
    description = json.loads((workspace / "never" / "model-io.json").read_text())
    assert description["input_offset"] == [0.0]


def test_the_exported_model_needs_no_job(run, write_job, workspace):
    run("train", write_job())
    run("predict", "out", "--data", "table.csv")
    description = json.loads((workspace / "out" / "model-io.json").read_text())
    model = gluon_linalg.load("out/model")
    x = table_columns()[0].reshape(1, -1, 1)
    mean, variance = model(mx.nd.array(x, dtype=description["dtype"]))
    with open(workspace / "out" / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose(
        [float(row["mean"]) for row in rows], mean.asnumpy()[0] + description["target_offset"]
    )
    noise_variance = metrics_of(workspace / "out")["parameters"]["trained"]["noise_variance"]
    np.testing.assert_allclose(
        [float(row["std"]) ** 2 for row in rows],
        variance.asnumpy()[0] + noise_variance,
    )


def test_dates_are_decimal_years(run, write_job, workspace):
    lines = ["when,y", "1958-03,1", "1958-04-01,2", "1959-12-16,3"]
    (workspace / "table.csv").write_text("\n".join(lines))
    assert run("train", write_job({"data.inputs": ["when"]}))[0] == 0
    run("predict", "out", "--data", "table.csv")
    assert (workspace / "out" / "predictions.csv").read_text().startswith("when,mean,std")
    table = gluon_linalg.jobs.data.read_table("table.csv", ["when"], ["when"])
    assert table.columns["when"].tolist() == [
        1958 + 3 / 12,
        1958 + 4 / 12,
        1959 + (12 + 15 / 31) / 12,
    ]


def test_json_jobs(run, workspace):
    (workspace / "job.json").write_text(json.dumps(JOB))
    assert run("train", "job.json")[0] == 0


@pytest.mark.pictures
def test_the_picture_is_a_picture(run, write_job, workspace):
    from matplotlib import image

    for inputs in (["x"], ["x", "z"]):
        job = write_job({"data.inputs": inputs, "data.holdout": {"last": 4}})
        run("train", job, "--overwrite")
        pixels = image.imread(workspace / "out" / "plot.png")
        assert min(pixels.shape[:2]) > 500
        # Blue for the model, red for the hold-out.
        blue, red = pixels[..., 2] - pixels[..., 0], pixels[..., 0] - pixels[..., 2]
        assert (blue > 0.4).sum() > 100 and (red > 0.3).sum() > 20
