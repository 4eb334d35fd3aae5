"""Jobs of several targets: dense NumPy formulas, empty cells, methods, predictions, refusals."""

import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from scipy import stats
from small_job import changed
from small_statespace_job import columns_of
from test_sparse_gp_job import COLUMNS, JOB, X, trained

import gluon_linalg
from gluon_linalg.jobs.gp.plot_several import _panels
from gluon_linalg.plots.style import drawn


@pytest.fixture
def write_job(workspace):
    rows = zip(*(values.tolist() for values in COLUMNS.values()))
    lines = [",".join(map(str, row)) for row in rows]
    (workspace / "table.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")

    def write(changes=None):
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return "job.yaml"

    return write


def several(run, write_job, workspace, changes, empty=None):
    """The metrics of a job of two targets in very different units, and the table.

    empty: the cells of the targets that are, (60, 2), NaN in the table that is returned.
    """
    wave = np.sin(1.5 * X)
    random = np.random.default_rng(8)
    a = 50.0 + 20.0 * (wave + 0.1 * random.normal(size=60))
    b = 1e-3 * (np.cos(X) - wave + 0.1 * random.normal(size=60))
    y = np.stack([a, b], axis=1)
    if empty is not None:
        y[empty] = np.nan
    cells = np.where(np.isnan(y), "", y.astype("U32")).tolist()
    lines = [f"{x!r},{one},{two}" for x, (one, two) in zip(X.tolist(), cells)]
    (workspace / "two.csv").write_text("\n".join(["x,a,b", *lines]) + "\n")
    common = {
        "data.path": "two.csv",
        "data.target": ["a", "b"],
        "model.method": "exact",
        "training": {},
    }
    metrics, out = trained(run, workspace, write_job({**common, **changes}))
    return metrics, out, y


def test_the_picture_tells_what_was_held_out_and_has_bars_for_what_is_outside():
    x = np.stack([np.arange(40.0), np.ones(40)], axis=1)
    y = np.stack([np.arange(40.0), -np.arange(40.0)], axis=1)
    y[3, 0] = y[35, 1] = np.nan

    class Data:
        target, inputs, dates = ["a", "b"], ["x", "z"], []
        holdout_x, holdout_y = x[30:], y[30:]

    Data.x, Data.y = x[:30], y[:30]

    def predict(x):
        mean = np.stack([x[:, 0], -x[:, 0] + 9.0 * (x[:, 0] == 2.0)], axis=1)
        return mean, np.ones_like(mean)

    figure = drawn(_panels, Data, "a process", predict, (80, 95))
    first, second, _ = figure.axes
    told = "hold-out: RMSE 0\n100% and 100% inside the 80 and 95 % bands"
    assert [axes.get_title(loc="right") for axes in (first, second)] == [told, told]
    bars = [len(lines.get_segments()) for axes in (first, second) for lines in axes.collections]
    assert bars == [0, 0, 1, 0]


def test_several_targets_are_one_process(run, write_job, workspace):
    """NLML and predictions by the dense formula at the trained values, and as many figures."""
    changes = {"model.coregionalization.rank": 2, "model.mean": "linear"}
    metrics, out, y = several(run, write_job, workspace, changes)
    found = metrics["parameters"]["trained"]
    held = np.zeros(60, dtype=bool)
    held[np.random.default_rng(0).permutation(60)[:15]] = True
    mixing = np.reshape(found["coregionalization.mixing"], (2, 2))
    matrix = mixing @ mixing.T + np.diag(found["coregionalization.kappa"])
    noise = np.array(found["noise_variance"])
    centred = y - y[~held].mean(axis=0)
    description = json.loads((workspace / "out" / "model-io.json").read_text())
    seen = X - description["input_offset"][0]
    shift = seen[:, None] * np.array(found["mean.weight"]) + found["mean.bias"]

    def covariance(x, z):
        apart = np.subtract.outer(x, z) / found["kernel.rbf.lengthscale"]
        own = found["kernel.rbf.variance"] * np.exp(-0.5 * apart**2)
        return np.kron(matrix, own)

    dense = covariance(X[~held], X[~held]) + np.kron(np.diag(noise), np.eye(45))
    residual = (centred - shift)[~held].T.reshape(-1)
    scale = np.kron(1.0 / np.sqrt(noise), np.ones(45))
    white = dense * scale[:, None] * scale
    expected = stats.multivariate_normal.logpdf(residual * scale, np.zeros(90), white)
    expected += np.log(scale).sum()
    assert metrics["nlml"]["trained"] == pytest.approx(-expected, rel=1e-6)
    assert run("predict", "out", "--data", "two.csv")[0] == 0
    table = columns_of(workspace / "out" / "predictions.csv")
    ahead = covariance(X, X[~held]) * scale
    mean = (ahead @ np.linalg.solve(white, residual * scale)).reshape(2, 60).T
    mean = mean + shift + y[~held].mean(axis=0)
    spread = np.diag(covariance(X, X) - ahead @ np.linalg.solve(white, ahead.T)).reshape(2, 60).T
    std = np.sqrt(spread + noise)
    for k, name in enumerate(("a", "b")):
        size = y[:, k].std()
        own = np.array(table[f"{name}_mean"], float)
        np.testing.assert_allclose(own, mean[:, k], atol=1e-5 * size)
        np.testing.assert_allclose(np.array(table[f"{name}_std"], float), std[:, k], rtol=1e-4)
        told = metrics["holdout"][name]
        rmse = np.sqrt(np.mean((y - mean)[held, k] ** 2))
        assert told["rmse"] == pytest.approx(rmse, rel=1e-4) and f"{name}, hold-out of 15" in out
    graph = gluon_linalg.load(str(workspace / "out" / "model"))
    x = mx.nd.array(seen[None, :, None], dtype="float64")
    exported = graph(x)[0].asnumpy()[0] * description["target_scale"]
    exported = exported + description["target_offset"]
    np.testing.assert_allclose(exported, mean, atol=1e-5 * y.std(axis=0).max())


def test_targets_that_are_independent(run, write_job, workspace):
    """Without mixing, and with fixed hyperparameters, the sum of two jobs of one target."""
    fixed = {
        "model.kernel": {"rbf": {"variance": 1.0, "lengthscale": 1.0}},
        "data.target_scaling": "standardize",
        "model.noise_variance": 0.05,
        "training": {"iterations": 0},
    }
    metrics, _, _ = several(
        run,
        write_job,
        workspace,
        {**fixed, "model.coregionalization.rank": 0, "data.holdout": None},
    )
    total = 0.0
    for name in ("a", "b"):
        changes = {"data.path": "two.csv", "data.target": name, "model.method": "exact"}
        changes = {**fixed, **changes, "data.holdout": None}
        total += trained(run, workspace, write_job(changes))[0]["nlml"]["trained"]
    assert metrics["nlml"]["trained"] == pytest.approx(total, rel=1e-9)


EMPTY = np.random.default_rng(3).uniform(size=(60, 2)) < 0.3
EMPTY[7] = True
FIXED = {
    "data.holdout": {"last": 12},
    "data.target_scaling": "standardize",
    "model.kernel": {"rbf": {"variance": 1.0, "lengthscale": 1.0}},
    "model.noise_variance": 0.05,
    "training": {"iterations": 0},
}


def matrix_of(found, path="coregionalization", rank=2):
    mixing = np.reshape(found[f"{path}.mixing"], (2, rank))
    return mixing @ mixing.T + np.diag(found[f"{path}.kappa"])


def dense(found, y, new, terms, standardized=True):
    """The NLML of what is filled in, and mean and variance of new observations (m, 2).

    y: (n, 2) at the first rows of X, NaN where a cell is empty; terms: (lengthscale, matrix) of
    kernels of variance 1. Parameters and NLML are in units of deviations, or of the table.
    """
    offset, spread = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
    unit = np.ones(2) if standardized else spread
    terms = [(lengthscale, matrix / np.outer(unit, unit)) for lengthscale, matrix in terms]
    scaled, x = (y - offset) / spread, X[: len(y)]
    rows = np.argwhere(~np.isnan(y.T))

    def covariance(x, a, z, b):
        apart = np.subtract.outer(x, z)
        parts = (np.exp(-0.5 * (apart / s) ** 2) * m[np.ix_(a, b)] for s, m in terms)
        return sum(parts)

    at, label = x[rows[:, 1]], rows[:, 0]
    noise = np.array(found["noise_variance"]) / unit**2
    own = covariance(at, label, at, label) + np.diag(noise[label])
    values = scaled.T[rows[:, 0], rows[:, 1]]
    nlml = -stats.multivariate_normal.logpdf(values, np.zeros(len(values)), own)
    nlml += np.log(unit)[label].sum()
    moments = []
    for a in range(2):
        ahead = covariance(new, np.full(len(new), a), at, label)
        mean = ahead @ np.linalg.solve(own, values)
        prior = sum(m[a, a] for _, m in terms) + noise[a]
        variance = prior - np.sum(ahead * np.linalg.solve(own, ahead.T).T, axis=1)
        moments.append((offset[a] + spread[a] * mean, spread[a] * np.sqrt(variance)))
    return nlml, [np.stack(each, axis=1) for each in zip(*moments)]


def predicted(run, workspace):
    assert run("predict", "out", "--data", "two.csv")[0] == 0
    table = columns_of(workspace / "out" / "predictions.csv")
    return [np.array([table[f"{t}_{key}"] for t in "ab"], float).T for key in ("mean", "std")]


METHODS = {
    "exact": ({"model.precision": "float64"}, 1e-8),
    "sgpr": ({"model.inducing": {"count": 60, "trained": False}}, 1e-5),
    "svgp": (
        {
            "model.inducing": {"count": 60, "trained": False},
            "model.natural_step": 1.0,
            "training": {"optimizer": "adam", "learning_rate": 1e-6, "iterations": 2},
        },
        1e-4,
    ),
}


CASES = [
    ("svgp", "float64"),
    ("sgpr", "float32"),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in [
            ("exact", "float64"),
            ("sgpr", "float64"),
            ("exact", "float32"),
            ("svgp", "float32"),
        ]
    ),
]


@pytest.mark.parametrize("method, dtype", CASES)
def test_empty_cells_leave_values_out(method, dtype, run, write_job, workspace):
    """Rows at the end are held out. 60 points explain the 65 values but for 1e-5."""
    changes, tolerance = METHODS[method]
    changes = {**FIXED, "model.method": method, "model.dtype": dtype, **changes}
    changes["model.coregionalization.rank"] = 2
    metrics, out, y = several(run, write_job, workspace, changes, EMPTY)
    found = metrics["parameters"]["trained"]
    terms = [(found["kernel.rbf.lengthscale"], matrix_of(found))]
    nlml, (mean, std) = dense(found, y[:48], X, terms)
    if dtype == "float32":
        tolerance = max(tolerance, 1e-4)
    assert metrics["nlml"]["trained"] == pytest.approx(nlml, rel=tolerance)
    spread = np.nanstd(y, axis=0)
    own_mean, own_std = predicted(run, workspace)
    np.testing.assert_allclose(own_mean / spread, mean / spread, atol=20 * tolerance)
    np.testing.assert_allclose(own_std, std, rtol=20 * tolerance)
    assert metrics["rows_left_out"] == 0
    for k, name in enumerate("ab"):
        seen = ~EMPTY[48:, k]
        told, error = metrics["holdout"][name], (y - mean)[48:, k][seen]
        assert told["rows"] == seen.sum()
        assert told["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-2)
        density = stats.norm.logpdf(error, 0.0, std[48:, k][seen]).mean()
        assert told["nlpd"] == pytest.approx(-density, abs=2e-2)
        inside = np.mean(np.abs(error) <= 1.959964 * std[48:, k][seen])
        assert told["coverage_95"] == pytest.approx(inside)
        assert f"{name}, hold-out of {seen.sum()} rows" in out


@pytest.mark.parametrize("method", ["exact", pytest.param("sgpr", marks=pytest.mark.slow)])
def test_a_matrix_for_each_part_of_a_sum(method, run, write_job, workspace):
    """In units of the table, which are far from each other."""
    changes = {
        **FIXED,
        "data.target_scaling": "center",
        "model.noise_variance": None,
        "model.method": method,
        "model.inducing": {"count": 60, "trained": False},
        "model.kernel": {"sum": [{"rbf": {"lengthscale": 1.0}}, {"rbf": {"lengthscale": 0.4}}]},
        "model.coregionalization": {"model": "linear", "rank": 1},
        "training": {"iterations": 3},
    }
    metrics, _, y = several(run, write_job, workspace, changes, EMPTY)
    found = metrics["parameters"]["trained"]
    terms = [
        (found[f"kernel.sum.{q}.rbf.lengthscale"], matrix_of(found, f"coregionalization.{q}", 1))
        for q in range(2)
    ]
    assert [found[f"kernel.sum.{q}.rbf.variance"] for q in range(2)] == pytest.approx([1.0, 1.0])
    nlml, (mean, _) = dense(found, y[:48], X, terms, standardized=False)
    assert metrics["nlml"]["trained"] == pytest.approx(nlml, rel=1e-3)
    spread = np.nanstd(y, axis=0)
    np.testing.assert_allclose(predicted(run, workspace)[0] / spread, mean / spread, atol=1e-2)


@pytest.mark.slow
def test_batches_of_rows_of_several_targets(run, write_job, workspace):
    """Masks go with their rows, and the loss is that of all rows."""
    changes = {
        "model.method": "svgp",
        "model.natural_step": 0.3,
        "model.inducing.start": "kmeans",
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.02,
            "iterations": 60,
            "batch_size": 15,
        },
    }
    metrics, _, y = several(run, write_job, workspace, changes, EMPTY)
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"] - 20.0
    for k, name in enumerate("ab"):
        assert metrics["holdout"][name]["rmse"] < 0.5 * np.nanstd(y[:, k])


@pytest.mark.parametrize(
    "likelihood", ["poisson", pytest.param("negative_binomial", marks=pytest.mark.slow)]
)
def test_counts_of_several_targets(likelihood, run, write_job, workspace):
    """Rates that share a wave, a cell that is empty; moments and density of held-out counts."""
    wave, random = np.sin(1.5 * X), np.random.default_rng(8)
    # The dispersion begins at 1.
    steps = 8 if likelihood == "poisson" else 80
    rates = np.exp(np.stack([2.0 + wave, 3.0 - wave], axis=1))
    y = random.poisson(rates).astype(float)
    y[[3, 50], [0, 1]] = np.nan
    cells = np.where(np.isnan(y), "", y.astype("U32")).tolist()
    lines = [f"{x!r},{one},{two}" for x, (one, two) in zip(X.tolist(), cells)]
    (workspace / "two.csv").write_text("\n".join(["x,a,b", *lines]) + "\n")
    changes = {
        "data.path": "two.csv",
        "data.target": ["a", "b"],
        "data.holdout": {"last": 12},
        "model.method": "svgp",
        "model.likelihood": likelihood,
        "model.mean": "constant",
        "model.natural_step": 0.5,
        "training": {"optimizer": "adam", "learning_rate": 0.05, "iterations": steps},
    }
    metrics, out = trained(run, workspace, write_job(changes))
    mean, deviation = predicted(run, workspace)
    assert np.abs(mean / rates - 1.0)[:48].max() < 0.35
    # The noise of counts, once.
    more = deviation**2 - mean
    nodes, shares = np.polynomial.hermite_e.hermegauss(60)
    assert (more > 0.0).all() and (more < mean + 0.2 * mean**2)[:48].all()
    for k, name in enumerate("ab"):
        rows = np.flatnonzero(~np.isnan(y[:, k]) & (np.arange(60) >= 48))
        found = metrics["holdout"][name]
        assert found["rows"] == len(rows)
        # The log rate is normal, and has these moments where the noise is that of Poisson alone.
        variance = np.log1p(more[rows, k] / mean[rows, k] ** 2)[:, None]
        level = np.log(mean[rows, k])[:, None] - 0.5 * variance
        own = stats.poisson.pmf(y[rows, k, None], np.exp(level + np.sqrt(variance) * nodes))
        right = -np.log(own @ shares / shares.sum()).mean()
        assert found["nlpd"] == pytest.approx(right, abs=1e-6 if likelihood == "poisson" else 0.1)


def test_a_hold_out_without_values_of_a_target(run, write_job, workspace):
    empty = np.zeros((60, 2), dtype=bool)
    empty[48:, 1] = True
    metrics, out, _ = several(run, write_job, workspace, FIXED, empty)
    assert metrics["holdout"]["b"] is None and metrics["holdout"]["a"]["rows"] == 12
    assert "a, hold-out of 12 rows" in out and "b, hold-out" not in out


def test_a_column_without_values_is_refused(run, write_job, workspace):
    lines = ["x,a,b", *(f"{i},{i % 3}," for i in range(20))]
    (workspace / "few.csv").write_text("\n".join(lines) + "\n")
    changes = {"data.path": "few.csv", "data.target": ["a", "b"], "model.method": "exact"}
    status, _, err = run("train", write_job({**changes, "training": {}}))
    assert status != 0 and "column 'b': fewer than 2 values to train on" in err
    assert not (workspace / "out").exists()


REFUSED_SEVERAL = {
    "method": ({"model.method": "statespace"}, "statespace is of one target; several need"),
    "likelihood": (
        {"model.method": "svgp", "model.likelihood": "student_t"},
        "is of one target, not of 2; several take one of: gaussian, poisson, negative_binomial",
    ),
    "classes": ({"model.method": "svgp", "model.likelihood": "bernoulli"}, "is of one target"),
    "counts": ({"model.likelihood": "poisson"}, "poisson needs method: svgp"),
    "no counts": ({"model.method": "svgp", "model.likelihood": "poisson"}, "is no count"),
    "linear": (
        {"model.coregionalization.model": "linear"},
        "linear has a matrix for each part of a sum",
    ),
    "points": (
        {"model.method": "sgpr", "model.inducing.count": 91},
        "91 inducing points for 90 values to train on",
    ),
    "twice": ({"data.target": ["y", "y"]}, "named twice"),
    "one": ({"data.target": ["y"]}, "expected the name of a column, or a list of two names"),
    "input": ({"data.target": ["y", "x"]}, "'x' has two parts to play"),
    "absent": ({"data.target": ["y", "z"]}, "'z'"),
    "rank": ({"model.coregionalization.rank": 3}, "at most 2, the number of targets"),
    "noise": ({"model.noise_variance": 0}, "several targets have noise; raise it"),
    "jitter": ({"model.jitter": "auto"}, "the model of several targets has none; remove it"),
    "priors": (
        {"model.priors": {"noise_variance": {"half_normal": {"scale": 1.0}}}},
        "has a unit of its own for each target",
    ),
}


@pytest.mark.parametrize("name", REFUSED_SEVERAL)
def test_refuses_several_targets(name, run, write_job, workspace):
    changes, message = REFUSED_SEVERAL[name]
    common = {"data.target": ["y", "count"], "model.method": "exact", "training": {}}
    status, _, err = run("train", write_job({**common, **changes}))
    assert status != 0 and message in err and len(err.strip().splitlines()) == 1
    assert not (workspace / "out").exists()
