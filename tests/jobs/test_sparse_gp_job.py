"""Sparse Gaussian process jobs: methods, likelihoods, batches, classes of new rows, refusals."""

import csv
import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from scipy import stats
from small_job import changed
from small_statespace_job import columns_of

import gluon_linalg

RANDOM = np.random.default_rng(5)
X = np.sort(RANDOM.uniform(0.0, 6.0, 60))
WAVE = np.sin(1.5 * X)
COLUMNS = {
    "x": X,
    "y": 50.0 + 20.0 * (WAVE + 0.2 * RANDOM.normal(size=60)),
    "count": RANDOM.poisson(np.exp(1.0 + WAVE)),
    "kind": np.where(WAVE + 0.2 * RANDOM.normal(size=60) > 0, "oak", "ash"),
    "grade": np.digitize(WAVE + 0.2 * RANDOM.normal(size=60), [-0.5, 0.5]) + 9,
}
JOB = {
    "task": "gp",
    "data": {"path": "table.csv", "inputs": ["x"], "target": "y", "holdout": {"fraction": 0.25}},
    "model": {
        "kernel": {"rbf": {"lengthscale": 1.0}},
        "method": "svgp",
        "inducing": {"count": 12},
        "dtype": "float64",
    },
    "training": {"optimizer": "adam", "learning_rate": 0.05, "iterations": 150},
    "output": "out",
}


@pytest.fixture
def write_job(workspace):
    rows = zip(*(values.tolist() for values in COLUMNS.values()))
    lines = [",".join(map(str, row)) for row in rows]
    (workspace / "table.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")

    def write(changes=None):
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return "job.yaml"

    return write


def trained(run, workspace, job):
    status, out, err = run("train", job, "--overwrite")
    assert status == 0, err
    return json.loads((workspace / "out" / "metrics.json").read_text()), out


def dense_nlml(x, y, variance, lengthscale, noise):
    matrix = variance * np.exp(-0.5 * np.subtract.outer(x, x) ** 2 / lengthscale**2)
    matrix = matrix + noise * np.eye(len(x))
    return 0.5 * (y @ np.linalg.solve(matrix, y) + np.linalg.slogdet(2 * np.pi * matrix)[1])


def test_sgpr_ends_where_the_exact_process_does(run, write_job, workspace):
    """Of 40 points for 60 rows its bound is the likelihood, of which the dense formula tells."""
    changes = {
        "data.holdout": None,
        "model.method": "sgpr",
        "model.inducing.count": 40,
        "training": {},
    }
    metrics, _ = trained(run, workspace, write_job(changes))
    found = metrics["parameters"]["trained"]
    y = COLUMNS["y"] - COLUMNS["y"].mean()
    values = [found[f"kernel.rbf.{name}"] for name in ("variance", "lengthscale")]
    expected = dense_nlml(X, y, *values, found["noise_variance"])
    assert metrics["nlml"]["trained"] == pytest.approx(expected, rel=1e-5)
    assert metrics["nlml"]["trained"] >= expected - 1e-6
    assert metrics["nlml"]["is_bound"] and "inducing" not in str(metrics["parameters"])
    told = (workspace / "out" / "summary.txt").read_text()
    assert "lower bound:" in told and "AIC, BIC:           none" in told
    assert "numbers that make the bound tight" in told and "inducing.points[" not in told
    matrix = values[0] * np.exp(-0.5 * np.subtract.outer(X, X) ** 2 / values[1] ** 2)
    inverse = np.linalg.inv(matrix + found["noise_variance"] * np.eye(60))
    left_out = np.sqrt(np.mean((inverse @ y / np.diag(inverse)) ** 2))
    assert f"data, each left out once: RMSE {left_out:.4g}" in told
    exact, _ = trained(run, workspace, write_job({**changes, "model.method": "exact"}))
    assert metrics["nlml"]["trained"] == pytest.approx(exact["nlml"]["trained"], rel=1e-4)
    for name, value in exact["parameters"]["trained"].items():
        assert found[name] == pytest.approx(value, rel=0.02), name
    errors = (one["parameters"]["standard_errors"] for one in (metrics, exact))
    for own, theirs in zip(*(each.values() for each in errors)):
        assert own == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("mean", ["zero", "linear"])
def test_a_process_in_time_is_the_exact_one(mean, run, write_job, workspace):
    """The rows in any order; the prediction too."""
    changes = {
        "model": {"kernel": {"sum": [{"matern52": {}}, {"constant": {}}]}, "mean": mean},
        "training": {},
    }
    exact, _ = trained(run, workspace, write_job(changes))
    assert run("predict", "out", "--data", "table.csv", "--output", "exact.csv")[0] == 0
    lines = (workspace / "table.csv").read_text().splitlines()
    held = np.zeros(60, dtype=bool)
    held[np.random.default_rng(0).permutation(60)[:15]] = True
    shuffled = np.arange(1, 61)
    shuffled[~held] = np.random.default_rng(1).permutation(shuffled[~held])
    rows = [lines[0], *(lines[place] for place in shuffled)]
    (workspace / "shuffled.csv").write_text("\n".join(rows) + "\n")
    changes["model"]["method"] = "statespace"
    changes["data.path"] = "shuffled.csv"
    metrics, _ = trained(run, workspace, write_job(changes))
    assert metrics["nlml"]["trained"] == pytest.approx(exact["nlml"]["trained"], rel=1e-6)
    assert metrics["holdout"] == pytest.approx(exact["holdout"], rel=1e-3)
    assert run("predict", "out", "--data", "table.csv", "--output", "own.csv")[0] == 0
    for name in ("mean", "std"):
        own, expected = (columns_of(workspace / f)[name] for f in ("own.csv", "exact.csv"))
        np.testing.assert_allclose(own, expected, rtol=1e-3)


def test_rows_left_out_in_time_are_in_the_order_of_the_file(write_job, workspace):
    from gluon_linalg.jobs.kinds import kind_of
    from gluon_linalg.jobs.reading import read_job

    header, *rows = (workspace / "table.csv").read_text().splitlines()
    (workspace / "table.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    found = {}
    for method in ("exact", "statespace"):
        model = {"kernel": {"matern32": {"lengthscale": 1}}, "method": method}
        job = read_job(write_job({"model": model, "training": {}}))
        kind = kind_of("gp")
        task = kind.task(job, kind.task.read_dataset(job), mx.cpu())
        found[method] = task.leave_one_out(task.predictor())
    for own, expected in zip(*found.values()):
        np.testing.assert_allclose(own, expected, rtol=1e-6)


def test_svgp_with_normal_noise_is_near_the_exact_process(run, write_job, workspace):
    metrics, _ = trained(run, workspace, write_job({"training.iterations": 500}))
    exact = {"model.method": "exact", "training": {}}
    own, _ = trained(run, workspace, write_job(exact))
    assert 0 <= metrics["nlml"]["trained"] - own["nlml"]["trained"] < 3.0
    assert metrics["holdout"]["rmse"] == pytest.approx(own["holdout"]["rmse"], rel=0.1)
    assert metrics["holdout"]["nlpd"] == pytest.approx(own["holdout"]["nlpd"], abs=0.15)


@pytest.mark.parametrize("likelihood", ["student_t", "heteroscedastic"])
def test_numbers_with_other_noise(likelihood, run, write_job, workspace):
    metrics, _ = trained(run, workspace, write_job({"model.likelihood": likelihood}))
    assert metrics["holdout"]["rmse"] < 10.0 < COLUMNS["y"].std()
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]
    path = "likelihood.scale" if likelihood == "student_t" else "log_noise.mean.constant"
    assert path in metrics["parameters"]["trained"]
    # The scale is in units of the file.
    if likelihood == "student_t":
        assert 1.0 < metrics["parameters"]["trained"][path] < 10.0
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    found = columns_of(workspace / "out" / "predictions.csv")
    mean, std = (np.array(found[name], dtype=float) for name in ("mean", "std"))
    assert np.sqrt(np.mean((mean - 50.0 - 20.0 * WAVE) ** 2)) < 8.0
    assert 1.0 < np.median(std) < 12.0


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_counts(likelihood, run, write_job, workspace):
    changes = {
        "data.target": "count",
        "model.likelihood": likelihood,
        "model.mean": "constant",
        "training.iterations": 250,
    }
    metrics, _ = trained(run, workspace, write_job(changes))
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    mean = np.array(columns_of(workspace / "out" / "predictions.csv")["mean"], dtype=float)
    rate = np.exp(1.0 + WAVE)
    assert np.median(np.abs(mean / rate - 1.0)) < 0.35
    assert metrics["holdout"]["nlpd"] < 3.0
    bad = {"data.target": "y", "model.likelihood": likelihood}
    status, _, err = run("train", write_job(bad), "--overwrite")
    assert status != 0 and "is no count; " in err and err.count("\n") <= 1


@pytest.mark.parametrize(
    "likelihood, target, names",
    [
        ("bernoulli", "kind", ["ash", "oak"]),
        ("categorical", "grade", ["9", "10", "11"]),
        ("ordinal", "grade", ["9", "10", "11"]),
    ],
)
def test_classes(likelihood, target, names, run, write_job, workspace):
    """Probabilities of the command, of the exported graph, and figures made of them by hand."""
    changes = {"data.target": target, "model.likelihood": likelihood}
    metrics, out = trained(run, workspace, write_job(changes))
    assert list(metrics["classes"]) == names and "calibration error" in out
    assert metrics["fit"]["accuracy"] > 0.8
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    found = columns_of(workspace / "out" / "predictions.csv")
    table = np.array([found[f"{target}={name}"] for name in names], dtype=float).T
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-4)
    told = [v if isinstance(v, str) else f"{v:.0f}" for v in list(found[target])]
    assert told == [names[k] for k in table.argmax(axis=1)]
    held = np.zeros(60, dtype=bool)
    held[np.random.default_rng(0).permutation(60)[:15]] = True
    labels = np.array([names.index(str(name)) for name in COLUMNS[target].tolist()])
    for rows, told in ((~held, metrics["fit"]), (held, metrics["holdout"])):
        p, own = table[rows], labels[rows]
        assert told["rows"] == rows.sum()
        assert told["accuracy"] == pytest.approx(np.mean(p.argmax(axis=1) == own))
        log_loss = -np.mean(np.log(p[np.arange(len(own)), own]))
        assert told["log_loss"] == pytest.approx(log_loss, rel=1e-5)
        sure, right = p.max(axis=1), p.argmax(axis=1) == own
        bins = np.minimum((10 * sure).astype(int), 9)
        gaps = [(sure - right)[bins == b].sum() for b in range(10)]
        error = np.abs(gaps).sum() / len(own)
        assert told["calibration_error"] == pytest.approx(error, rel=1e-5, abs=1e-9)
    graph = gluon_linalg.load(str(workspace / "out" / "model"))
    offset = json.loads((workspace / "out" / "model-io.json").read_text())["input_offset"]
    x = mx.nd.array((X - offset[0])[None, :, None], dtype="float64")
    np.testing.assert_allclose(graph(x).asnumpy()[0], table, rtol=1e-5, atol=1e-12)


def test_batches_are_an_unbiased_part_of_all(write_job, workspace):
    """The losses of an epoch's batches, on average, each in two shares, are the bound."""
    from gluon_linalg.jobs.kinds import kind_of
    from gluon_linalg.jobs.reading import read_job

    job = read_job(write_job({"data.holdout": None, "training.batch_size": 12}))
    kind = kind_of("gp")
    task = kind.task(job, kind.task.read_dataset(job), mx.cpu())
    random = np.random.RandomState(0)
    mean = task.parameters["variational.mean"]
    mean.set_data(mx.nd.array(random.randn(*mean.shape), dtype="float64"))
    x, y = task.arguments()
    whole = task.layer(x, y).sum().asscalar()
    direct = task.process(x.expand_dims(axis=0), y.expand_dims(axis=0)).asscalar()
    assert whole == pytest.approx(direct, rel=1e-12)
    losses = []
    for iteration in range(5):
        (rows, targets), weight = task.batch(iteration)
        parts = [task.layer(rows[:7], targets[:7]), task.layer(rows[7:], targets[7:])]
        losses.append(weight * sum(part.sum().asscalar() for part in parts))
    assert np.mean(losses) == pytest.approx(whole, rel=1e-10)
    assert np.std(losses) > 0.0


def test_natural_steps_reach_the_best_distribution(run, write_job, workspace):
    """All else as it was, one step of all of the way: the bound of sgpr."""
    fixed = {
        "data.holdout": None,
        "model.kernel": {
            "rbf": {"variance": 300.0, "lengthscale": 1.0, "fixed": ["variance", "lengthscale"]}
        },
        "model.noise_variance": 20.0,
        "model.fixed": ["noise_variance"],
        "model.inducing.trained": True,
    }
    collapsed = {"model.method": "sgpr", "training": {"iterations": 0}, **fixed}
    expected, _ = trained(run, workspace, write_job(collapsed))
    rate = {"training.iterations": 1, "training.learning_rate": 1e-12}
    changes = {**fixed, "model.natural_step": 1.0, **rate}
    metrics, _ = trained(run, workspace, write_job(changes))
    assert metrics["nlml"]["trained"] == pytest.approx(expected["nlml"]["trained"], rel=1e-9)
    status, _, err = run(
        "train", write_job({**changes, "model.inducing.trained": False}), "--overwrite"
    )
    assert status != 0 and "the optimizer has nothing else to train" in err


@pytest.mark.parametrize(
    "likelihood",
    [
        "gaussian",
        pytest.param("student_t", marks=pytest.mark.slow),
        pytest.param("bernoulli", marks=pytest.mark.slow),
    ],
)
def test_natural_steps_of_batches(likelihood, run, write_job, workspace):
    """Lower than the optimizer comes in as many steps; a run that continues is the same."""
    target = "kind" if likelihood == "bernoulli" else "y"
    changes = {
        "data.target": target,
        "model.likelihood": likelihood,
        "training.batch_size": 15,
        "training.iterations": 30,
    }
    plain, _ = trained(run, workspace, write_job(changes))
    changes["model.natural_step"] = 0.3
    metrics, _ = trained(run, workspace, write_job(changes))
    assert metrics["nlml"]["trained"] < plain["nlml"]["trained"]
    assert run("train", write_job({**changes, "training.iterations": 12}), "--overwrite")[0] == 0
    assert run("train", write_job(changes))[0] == 0
    parts = json.loads((workspace / "out" / "metrics.json").read_text())
    assert parts["nlml"]["trained"] == metrics["nlml"]["trained"]


def test_a_run_in_batches_continues(run, write_job, workspace):
    changes = {
        "training.batch_size": 15,
        "training.iterations": 20,
        "model.likelihood": "student_t",
    }
    whole, _ = trained(run, workspace, write_job(changes))
    assert run("train", write_job({**changes, "training.iterations": 10}), "--overwrite")[0] == 0
    assert run("train", write_job(changes))[0] == 0
    parts = json.loads((workspace / "out" / "metrics.json").read_text())
    assert parts["nlml"]["trained"] == whole["nlml"]["trained"]


def test_two_devices_share_the_rows_of_a_batch(run, write_job, workspace):
    changes = {"training.batch_size": 15, "training.iterations": 10}
    one, _ = trained(run, workspace, write_job(changes))
    two, _ = trained(run, workspace, write_job({**changes, "devices": ["cpu(0)", "cpu(1)"]}))
    assert two["context"] == "cpu(0), cpu(1)"
    assert two["nlml"]["trained"] == pytest.approx(one["nlml"]["trained"], rel=1e-9)


REFUSED = {
    "points": ({"model.inducing.count": 46}, "46 inducing points for 45 rows to train on; lower"),
    "exact": (
        {"model.method": "exact", "model.likelihood": "poisson"},
        "poisson needs method: svgp",
    ),
    "batches": ({"model.method": "sgpr", "training.batch_size": 5}, "need model.method: svgp"),
    "large batch": ({"training.batch_size": 50}, "50 for 45 rows to train on; lower it"),
    "classes": (
        {"data.target": "grade", "model.likelihood": "bernoulli"},
        "3 classes; bernoulli takes two",
    ),
    "one class": (
        {"data.path": "one.csv", "data.target": "kind", "model.likelihood": "bernoulli"},
        "column 'kind': all rows have the same name",
    ),
    "two times": (
        {"model.method": "statespace", "data.inputs": ["x", "count"]},
        "2 input columns; method: statespace has one, the time",
    ),
    "no form": (
        {"model.method": "statespace", "model.kernel": {"rational_quadratic": {}}},
        "model.kernel: RationalQuadratic has no state space form",
    ),
    "no noise": ({"model.method": "sgpr", "model.noise_variance": 0}, "with noise; raise it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name, run, write_job, workspace):
    changes, message = REFUSED[name]
    (workspace / "one.csv").write_text("x,kind\n" + "".join(f"{i},oak\n" for i in range(20)))
    status, _, err = run("train", write_job(changes))
    assert status != 0 and message in err and len(err.strip().splitlines()) == 1
    assert not (workspace / "out").exists()


def test_a_constant_target_is_told(run, write_job, workspace):
    (workspace / "flat.csv").write_text("x,y\n" + "".join(f"{i},3\n" for i in range(20)))
    changes = {"data.path": "flat.csv", "training.iterations": 3}
    for likelihood in ("gaussian", "student_t"):
        metrics, _ = trained(run, workspace, write_job({**changes, "model.likelihood": likelihood}))
        assert "column 'y' is constant in the rows to train on" in metrics["warnings"]


def test_kinds_of_new_rows_stream(run, write_job, workspace):
    """A row of an unseen level, and one of none."""
    trained(run, workspace, write_job({"data.target": "kind", "model.likelihood": "bernoulli"}))
    (workspace / "new.csv").write_text("x\n1.0\n1e300\n")
    assert run("predict", "out", "--data", "new.csv")[0] == 0
    with open(workspace / "out" / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    # Far from all rows a class is as probable as the prior says.
    assert float(rows[1]["kind=oak"]) == pytest.approx(stats.norm.cdf(0.0), abs=1e-6)


PRIORS = {
    "kernel.rbf.lengthscale": {"half_normal": {"scale": 3.0}},
    "kernel.rbf.variance": {"log_normal": {"location": 5.0, "scale": 0.7}},
    "noise_variance": {"inverse_gamma": {"shape": 3.0, "scale": 40.0}},
}


@pytest.mark.parametrize("method", ["exact", "sgpr", "svgp"])
def test_priors_are_in_the_loss_in_units_of_the_file(method, run, write_job, workspace):
    """By scipy's densities of the values that metrics.json tells."""
    changes = {"data.holdout": None, "model.method": method, "training": {"iterations": 0}}
    without, _ = trained(run, workspace, write_job(changes))
    metrics, _ = trained(run, workspace, write_job({**changes, "model.priors": PRIORS}))
    found = metrics["parameters"]["initial"]
    expected = -(
        stats.halfnorm(scale=3.0).logpdf(found["kernel.rbf.lengthscale"])
        + stats.lognorm(0.7, scale=np.exp(5.0)).logpdf(found["kernel.rbf.variance"])
        + stats.invgamma(3.0, scale=40.0).logpdf(found["noise_variance"])
    )
    difference = metrics["nlml"]["initial"] - without["nlml"]["initial"]
    assert difference == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("exact", marks=pytest.mark.slow),
        "sgpr",
        pytest.param("svgp", marks=pytest.mark.slow),
    ],
)
def test_starts_are_drawn_from_priors(method, run, write_job, workspace):
    """A period that lengthscales at hand do not lead to."""
    changes = {
        "data.holdout": None,
        "model": {
            "kernel": {"cosine": {"period": 0.7}},
            "method": method,
            "inducing": {"count": 8},
            "priors": {"kernel.cosine.period": {"log_normal": {"location": 1.0, "scale": 0.7}}},
            "restarts": 12,
        },
        "training": {"iterations": 60},
    }
    if method == "svgp":
        changes["model"]["natural_step"] = 1.0
        changes["training"].update(optimizer="adam", learning_rate=0.05)
    metrics, _ = trained(run, workspace, write_job(changes))
    period = metrics["parameters"]["trained"]["kernel.cosine.period"]
    assert period == pytest.approx(2.0 * np.pi / 1.5, rel=0.03)
    changes["model"]["restarts"] = 0
    alone, _ = trained(run, workspace, write_job(changes))
    assert alone["nlml"]["trained"] > metrics["nlml"]["trained"] + 5.0


@pytest.mark.parametrize(
    "model, message",
    [
        ({"natural_step": 0.5}, "natural steps are of method: svgp"),
        ({"natural_step": 0.5, "method": "svgp"}, "natural steps go with a Gluon optimizer"),
        ({"restarts": 3}, "starts are drawn from model.priors"),
        (
            {"priors": {"kernel.rbf.length": {"half_normal": {}}}},
            "no parameter 'kernel.rbf.length'",
        ),
        ({"priors": {"noise_variance": {"gauss": {}}}}, "model.priors.noise_variance.gauss"),
    ],
)
def test_refuses_priors(model, message, run, write_job, workspace):
    changes = {f"model.{name}": value for name, value in model.items()}
    status, _, err = run("train", write_job({"model.method": "exact", "training": {}, **changes}))
    assert status != 0 and message in err and len(err.strip().splitlines()) == 1
