"""Principal component jobs: figures, numbers by hand, scores of new rows, and refusals."""

import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from small_job import ROOT, TABLE, changed
from small_statespace_job import columns_of

import gluon_linalg

JOB = {
    "task": "pca",
    "data": {"path": "table.csv", "columns": ["x", "z", "y"]},
    "model": {"components": 2},
    "output": "out",
}
FILES = {
    "checkpoint.params",
    "components.csv",
    "job.resolved.yaml",
    "metrics.json",
    "model-0000.params",
    "model-io.json",
    "model-symbol.json",
    "plot.png",
    "sample.csv",
    "summary.txt",
    "scores.csv",
}
ROWS = np.array([line.split(",") for line in TABLE.split()[1:]], dtype="float64")


@pytest.fixture
def write_job(workspace):
    def write(changes=None):
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return "job.yaml"

    return write


@pytest.fixture
def analyse(run, write_job, workspace):
    """Runs JOB with changes at dotted keys; returns the metrics."""

    def run_job(changes=None, *options):
        status, _, err = run("train", write_job(changes), *options)
        assert (status, err) == (0, "")
        return json.loads((workspace / "out" / "metrics.json").read_text())

    return run_job


def array_of(path):
    return np.column_stack(list(columns_of(path).values()))


@pytest.mark.pictures
def test_wine(run, tmp_path):
    """The shares that are found for these data everywhere: 36.2 %, 19.2 %, 11.1 %."""
    folder = tmp_path / "out"
    status, out, err = run("train", ROOT / "examples/wine_pca/job.yaml", "--output", folder)
    assert (status, err) == (0, "")
    assert "5 components explain 80.2% of the variance of 178 rows\n  component 1: 36.2%" in out
    assert {path.name for path in folder.iterdir()} == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    table = columns_of(ROOT / "examples/data/wine.csv")
    x = np.column_stack([column for name, column in table.items() if name != "cultivar"])
    values = np.linalg.eigvalsh(np.corrcoef(x.T))[::-1]
    assert metrics["components"]["explained_variance"] == pytest.approx(values[:5])
    assert metrics["components"]["explained_ratio"][:3] == pytest.approx(
        [0.36199, 0.19207, 0.11124], abs=1e-5
    )
    components = columns_of(folder / "components.csv")
    assert components["alcohol"][:2] == pytest.approx([0.144329, 0.483652], abs=1e-6)
    assert components["cumulative_ratio"] == pytest.approx(np.cumsum(values[:5]) / 13)
    status, out, err = run("predict", folder, "--data", ROOT / "examples/data/wine.csv")
    assert out == f"178 rows of scores on 5 components in {folder / 'predictions.csv'}\n"
    assert (folder / "predictions.csv").read_text() == (folder / "scores.csv").read_text()
    from matplotlib import image

    assert image.imread(folder / "plot.png").shape[:2] == (900, 2257)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_by_hand(analyse, run, workspace, standardize, whiten, dtype):
    model = {"components": 2, "standardize": standardize, "whiten": whiten, "dtype": dtype}
    metrics = analyse({"model": model})
    scaled = ROWS - ROWS.mean(axis=0)
    deviation = ROWS.std(axis=0, ddof=1) if standardize else np.ones(3)
    scaled = scaled / deviation
    values, vectors = np.linalg.eigh(scaled.T @ scaled / 15)
    values, vectors = values[::-1], vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
    assert metrics["components"]["explained_variance"] == pytest.approx(values[:2])
    ratios = values[:2] / values.sum()
    assert metrics["components"]["explained_ratio"] == pytest.approx(ratios)
    components = columns_of(workspace / "out" / "components.csv")
    loadings = np.column_stack([components[name] for name in "xzy"])
    np.testing.assert_allclose(loadings, vectors[:, :2].T, rtol=1e-9, atol=1e-12)
    scores = scaled @ vectors[:, :2] / (np.sqrt(values[:2]) if whiten else 1.0)
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == "float64" else {"atol": 1e-5}
    np.testing.assert_allclose(array_of(workspace / "out" / "scores.csv"), scores, **tolerance)
    # New rows, in another order of columns.
    new = ROWS[3:5] + [[1, 2, 3], [-4, 0, 1]]
    text = "\n".join(",".join(map(repr, map(float, row[::-1]))) for row in new)
    (workspace / "new.csv").write_text("y,z,x\n" + text)
    assert run("predict", "out", "--data", "new.csv")[0] == 0
    expected = (new - ROWS.mean(axis=0)) / deviation @ vectors[:, :2]
    expected = expected / (np.sqrt(values[:2]) if whiten else 1.0)
    found = array_of(workspace / "out" / "predictions.csv")
    np.testing.assert_allclose(found, expected, **tolerance)
    model = gluon_linalg.load("out/model")
    np.testing.assert_allclose(
        model(mx.nd.array(new[None], dtype=dtype)).asnumpy()[0], expected, **tolerance
    )
    # Probabilistic PCA: W Wᵀ + σ² I has the eigenvalues of the covariance but for the last.
    noise, eigenvalues = values[2] * 15 / 16, values[:2] * 15 / 16
    covariance = vectors @ np.diag([*eigenvalues, noise]) @ vectors.T
    nll = 8 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    nll += 0.5 * np.einsum("ij,jk,ik->", scaled, np.linalg.inv(covariance), scaled)
    assert metrics["probabilistic"]["noise_variance"] == pytest.approx(noise)
    assert metrics["probabilistic"]["nll"] == pytest.approx(nll)


def test_one_component_and_all_components(analyse, workspace):
    metrics = analyse({"model": ...})
    assert sum(metrics["components"]["explained_ratio"]) == pytest.approx(1)
    assert len(metrics["components"]["explained_ratio"]) == 3
    assert metrics["probabilistic"] is None
    metrics = analyse({"model": {"components": 1, "whiten": True}}, "--overwrite")
    assert len(metrics["components"]["explained_ratio"]) == 1
    scores = columns_of(workspace / "out" / "scores.csv")
    assert list(scores) == ["score_1"]
    assert scores["score_1"].std(ddof=1) == pytest.approx(1)


def test_results_of_other_rows_or_jobs_are_kept(analyse, run, write_job, refused, workspace):
    analyse()
    assert "out: finished before; --overwrite" in run("train", "job.yaml")[1]
    line = refused("train", write_job({"model.whiten": True}))
    assert line.endswith(
        "holds the results of another job (model differs); train with --overwrite, or choose "
        "another output"
    )
    write_job()
    (workspace / "out" / "metrics.json").unlink()
    analyse()
    (workspace / "table.csv").write_text(TABLE.replace("0.25,2", "0.5,2"))
    assert "(the rows of the data differ)" in refused("train", "job.yaml")
    assert run("train", "job.yaml", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    "changes, line",
    [
        (
            {"data.column": ["x"]},
            "job.yaml: data.column: unknown key; did you mean 'columns'?",
        ),
        (
            {"data.columns": ["x", "x"]},
            "job.yaml: data: the column 'x' is named twice; name each once",
        ),
        (
            {"model.components": 4},
            "job.yaml: model.components: 3 columns have no 4 components; lower it",
        ),
        (
            {"model.standardise": True},
            "job.yaml: model.standardise: unknown key; did you mean 'standardize'?",
        ),
        (
            {"training": {}},
            "job.yaml: training: unknown key; expected one of task, data, model, context, output",
        ),
    ],
)
def test_wrong_keys_and_values(write_job, refused, changes, line):
    assert refused("train", write_job(changes)) == line


@pytest.mark.parametrize(
    "table, line",
    [
        ("x,z,y\n1,2,3\n2,4,5\n", "2 rows for 2 components; at least 3 are needed"),
        ("x,z,y\n1,2,3\n1,2,3\n1,2,3\n", "all rows are the same; there is nothing to analyse"),
        (
            "x,z,y\n1,0.1,3\n2,0.1,3\n1,0.1,4\n",
            "column 'z' is constant, it has no standard deviation to divide by; remove it from "
            "data.columns, or set model.standardize: false",
        ),
        (
            "x,z,y\n1e300,1,3\n-1e300,0.1,3\n1,0.1,4\n",
            "the numbers are too large to average; rescale them",
        ),
        (
            "x,z,y\n1,,3\n",
            "row 2, column 'z': the cell is empty; fill it in or remove the row, or set "
            "data.incomplete_rows: leave_out",
        ),
    ],
)
def test_wrong_tables(write_job, refused, workspace, table, line):
    (workspace / "table.csv").write_text(table)
    path = workspace / "table.csv"
    assert refused("train", write_job({"model.standardize": True})) == f"{path}: {line}"
