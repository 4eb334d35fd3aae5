"""A job and `gluon_linalg.fit` of a layer that was made by hand end at the same optimum."""

import json

import numpy as np
import pytest
import yaml

import gluon_linalg as gl

RANDOM = np.random.default_rng(5)
X = np.sort(RANDOM.uniform(0.0, 6.0, 50))
Y = np.sin(1.5 * X) + 0.2 * RANDOM.normal(size=50)
COUNTS = RANDOM.poisson(np.exp(1.0 + np.sin(1.5 * X))).astype("float64")
KINDS = (Y + 0.5 * RANDOM.normal(size=50) > 0).astype("float64")
TWO = np.stack([Y, np.cos(X) - Y + 0.1 * RANDOM.normal(size=50)], axis=1)
# As dense as the rows of the jobs are: with so many the bound hardly depends on where they are.
POINTS = np.linspace(0.0, 6.0, 25)[:, None]
YEARS = np.arange(50)
LEVELS = np.cumsum(RANDOM.normal(size=(50, 3)), axis=0) + RANDOM.normal(size=(50, 3))
VAR = np.zeros((60, 2))
for step in range(1, 60):
    VAR[step] = VAR[step - 1] @ [[0.6, 0.2], [-0.1, 0.5]] + RANDOM.normal(size=2)
RBF, MATERN = {"rbf": {"lengthscale": 1.0}}, {"matern52": {"lengthscale": 1.0}}
ROWS = {"task": "gp", "data": {"inputs": ["x"], "target": "y", "target_scaling": "raw"}}
ADAM = {"optimizer": "adam", "learning_rate": 0.05, "iterations": 1000}
INDUCED = {"kernel": RBF, "inducing": {"count": 25, "trained": False}}


def gp(target, values, training=None, **model):
    data = {**ROWS["data"], "target": target}
    job = {**ROWS, "data": data, "model": {"dtype": "float64", **model}, "training": training or {}}
    if isinstance(target, list):
        return job, {"x": X, **dict(zip(target, values.T))}
    return job, {"x": X, target: values}


def made(layer, *data, **options):
    layer.initialize()
    layer.cast("float64")
    return gl.fit(layer, *data, progress=False, **options).loss


def variational(likelihood, y):
    """Natural steps, from whose posterior the search over all parameters begins."""
    layer = gl.SVGPLikelihoodLayer(gl.kernels.RBF(), POINTS, likelihood, jitter=1e-6)
    layer.initialize()
    layer.cast("float64")
    layer.inducing_points.grad_req = "null"
    for _ in range(6):
        layer.natural_step(X[:, None], y, step=0.5)
    return gl.fit(layer, X[:, None], y, iterations=1500, tolerance=1e-13, progress=False).loss


def panel():
    names = ["east", "north", "west"]
    table = {
        "region": np.repeat(names, 50), "year": np.tile(YEARS, 3), "y": LEVELS.T.reshape(-1),
    }  # fmt: skip
    data = {"series": "region", "time": "year", "step": 1, "target": "y", "target_scaling": "raw"}
    model = {"components": [{"level": {}}]}
    return {"task": "statespace", "data": data, "model": model, "forecast": {"steps": 2}}, table


def vector():
    data = {"time": "year", "step": 1, "targets": ["a", "b"], "target_scaling": "raw"}
    model = {"process": {"varma": {"order": [1, 0]}}}
    table = {"year": np.arange(60), "a": VAR[:, 0], "b": VAR[:, 1]}
    return {"task": "multivariate", "data": data, "model": model, "forecast": {"steps": 2}}, table


CASES = {
    "gp in time": (
        gp("y", Y, kernel=MATERN, noise_variance=0.1, method="statespace"),
        lambda: made(gl.StateSpaceGPLayer(gl.kernels.Matern52(), noise_variance=0.1), X, Y),
        1e-6,
    ),
    "sgpr": (
        gp("y", Y, **INDUCED, method="sgpr"),
        lambda: made(gl.SGPRLikelihoodLayer(gl.kernels.RBF(), POINTS), X[:, None], Y),
        5e-3,
    ),
    "svgp": (
        gp("y", Y, ADAM, **INDUCED, method="svgp", natural_step=1.0),
        lambda: variational(gl.likelihoods.Gaussian(0.1), Y),
        5e-3,
    ),
    "counts": (
        gp("y", COUNTS, ADAM, **INDUCED, method="svgp", natural_step=0.5, likelihood="poisson"),
        lambda: variational(gl.likelihoods.Poisson(), COUNTS),
        5e-3,
    ),
    "classes": (
        gp("y", KINDS, ADAM, **INDUCED, method="svgp", natural_step=0.5, likelihood="bernoulli"),
        lambda: variational(gl.likelihoods.Bernoulli(), KINDS),
        5e-3,
    ),
    "several": (
        gp(["a", "b"], TWO, kernel={"rbf": {"lengthscale": 1.0}}),
        lambda: made(shared(), X[:, None], TWO),
        1e-4,
    ),
    "panel": (panel(), lambda: made(level(), LEVELS.T), 1e-5),
    "multivariate": (vector(), lambda: made(gl.VARMAModel(2, (1, 0)), VAR), 1e-5),
}


def shared():
    layer = gl.MultiOutputGPLikelihoodLayer(gl.kernels.RBF(), 2, noise_variance=[0.1, 0.1])
    layer.kernel.variance.grad_req = "null"
    return layer


def level():
    return gl.StructuralModel(gl.structural.LocalLevel(0.5), 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_job_ends_where_fit_does(name, run, workspace):
    (job, table), fit, tolerance = CASES[name]
    columns = [map(str, values.tolist()) for values in table.values()]
    rows = [",".join(table), *map(",".join, zip(*columns))]
    (workspace / "own.csv").write_text("\n".join(rows) + "\n")
    job = {**job, "data": {**job["data"], "path": "own.csv"}, "output": "out"}
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    status, _, err = run("train", "job.yaml")
    assert status == 0, err
    metrics = json.loads((workspace / "out" / "metrics.json").read_text())
    assert fit() == pytest.approx(metrics["nlml"]["trained"], abs=tolerance)
