"""Discriminant jobs: figures of scikit-learn, numbers by scipy, classes of new rows, refusals."""

import csv
import json

import mxnet as mx
import numpy as np
import pytest
import yaml
from scipy.linalg import eigh
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from small_job import ROOT, changed
from small_statespace_job import columns_of

import gluon_linalg

RANDOM = np.random.default_rng(11)
NAMES = np.array(["oak", "ash", "elm", "ash", "oak", "ash"] * 8)
PLACES = {"oak": [0.0, 1.0, 0.0], "ash": [1.5, 0.0, 0.5], "elm": [0.0, -1.0, 2.0]}
X = RANDOM.normal(size=(48, 3)) * [1.0, 1.5, 0.7] + np.array([PLACES[name] for name in NAMES])
X = X * [1.0, 1e-3, 1e4] + [0.0, 5.0, 3e4]
JOB = {
    "task": "lda",
    "data": {"path": "table.csv", "columns": ["a", "b", "c"], "target": "tree"},
    "output": "out",
}
FILES = {
    "checkpoint.params",
    "classes.csv",
    "directions.csv",
    "job.resolved.yaml",
    "metrics.json",
    "model-0000.params",
    "model-io.json",
    "model-symbol.json",
    "plot.png",
    "sample.csv",
    "summary.txt",
}


@pytest.fixture
def write_job(workspace):
    rows = [f"{','.join(map(repr, row))},{name}\n" for row, name in zip(X.tolist(), NAMES)]
    (workspace / "table.csv").write_text("a,b,c,tree\n" + "".join(rows))

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


def classes_of(path):
    """The names in the first column, and the numbers in the others by their names."""
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    numbers = np.array([row[1:] for row in rows], dtype="float64")
    return [row[0] for row in rows], dict(zip(header[1:], numbers.T))


def within(x, names, centre=True):
    """The scatter within the classes, over n, and their means and shares, sorted by name."""
    levels = sorted(set(names))
    means = np.array([x[names == name].mean(axis=0) for name in levels])
    rest = x - means[np.searchsorted(levels, names)]
    return rest.T @ rest / len(x), means, np.array([np.mean(names == name) for name in levels])


@pytest.mark.pictures
def test_wine(run, tmp_path):
    """The probabilities of scikit-learn for the same rows."""
    folder = tmp_path / "out"
    status, out, err = run("train", ROOT / "examples/wine_lda/job.yaml", "--output", folder)
    assert (status, err) == (0, "")
    assert "\nhold-out of 53 rows: " in out and "% in the right class, log loss " in out
    assert {path.name for path in folder.iterdir()} == FILES
    table = columns_of(ROOT / "examples/data/wine.csv")
    x = np.column_stack([column for name, column in table.items() if name != "cultivar"])
    labels = table["cultivar"].astype(int)
    held = np.zeros(178, dtype=bool)
    held[np.random.default_rng(0).permutation(178)[:53]] = True
    oracle = LinearDiscriminantAnalysis(solver="eigen").fit(x[~held], labels[~held])
    probabilities = oracle.predict_proba(x)
    found, columns = classes_of(folder / "classes.csv")
    assert found == [str(name) for name in oracle.predict(x)]
    for number in (1, 2, 3):
        np.testing.assert_allclose(
            columns[f"cultivar={number}"], probabilities[:, number - 1], rtol=1e-6, atol=1e-15
        )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["holdout"]["accuracy"] == pytest.approx(
        np.mean(oracle.score(x[held], labels[held]))
    )
    own = probabilities[held, labels[held] - 1]
    assert metrics["holdout"]["log_loss"] == pytest.approx(-np.mean(np.log(own)), rel=1e-6)
    assert metrics["directions"]["shares"] == pytest.approx(oracle.explained_variance_ratio_)
    status, out, err = run("predict", folder, "--data", ROOT / "examples/data/wine.csv")
    assert out == f"178 predictions of cultivar in {folder / 'predictions.csv'}\n"
    assert (folder / "predictions.csv").read_text() == (folder / "classes.csv").read_text()
    from matplotlib import image

    assert image.imread(folder / "plot.png").shape[:2] == (900, 1050)


@pytest.mark.parametrize("priors", ["observed", "equal"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_by_hand(analyse, run, workspace, priors, dtype):
    """Normal distributions of one covariance, as scipy has them, for rows in other columns."""
    metrics = analyse({"model": {"priors": priors, "dtype": dtype}})
    covariance, means, shares = within(X, NAMES)
    centred = means - X.mean(axis=0)
    values = eigh(centred.T @ (shares[:, None] * centred), covariance, eigvals_only=True)[::-1]
    assert metrics["directions"]["eigenvalues"] == pytest.approx(values[:2])
    assert metrics["classes"] == pytest.approx(dict(zip(["ash", "elm", "oak"], shares)))
    new = X[::5] + [0.3, 1e-3, -5e3]
    weights = shares if priors == "observed" else np.full(3, 1 / 3)
    unit = np.sqrt(np.diag(covariance))
    covariance = covariance / unit / unit[:, None]
    each = np.column_stack(
        [np.log(p) + multivariate_normal.logpdf(new / unit, m / unit, covariance)
         for p, m in zip(weights, means)]
    )  # fmt: skip
    expected = np.exp(each - each.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    text = "\n".join(",".join(map(repr, row[[2, 0, 1]].tolist())) for row in new)
    (workspace / "new.csv").write_text("c,a,b\n" + text)
    assert run("predict", "out", "--data", "new.csv")[0] == 0
    found, columns = classes_of(workspace / "out" / "predictions.csv")
    assert list(columns) == ["tree=ash", "tree=elm", "tree=oak", "score_1", "score_2"]
    assert found == [["ash", "elm", "oak"][number] for number in expected.argmax(axis=1)]
    tolerance = 1e-9 if dtype == "float64" else 2e-5
    probabilities = np.column_stack(list(columns.values())[:3])
    np.testing.assert_allclose(probabilities, expected, atol=tolerance)
    description = json.loads((workspace / "out" / "model-io.json").read_text())
    graph = gluon_linalg.load("out/model")
    given = mx.nd.array((new - description["input_offset"])[None], dtype=dtype)
    np.testing.assert_allclose(graph(given)[1].asnumpy()[0], expected, atol=tolerance)


def test_a_ridge_and_fewer_directions(analyse, workspace):
    """Of the standardized columns, of which here one is there twice."""
    table = (workspace / "table.csv").read_text().splitlines()
    table = [f"{line},{line.split(',')[0]}" for line in table]
    table[0] = "a,b,c,tree,again"
    (workspace / "twice.csv").write_text("\n".join(table))
    data = {"data.path": "twice.csv", "data.columns": ["a", "b", "c", "again"]}
    metrics = analyse({**data, "model": {"components": 1, "ridge": 0.1}})
    x = np.column_stack([X, X[:, 0]])
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    covariance, means, shares = within(x, NAMES)
    covariance += 0.1 * np.mean(np.diag(covariance)) * np.eye(4)
    values, vectors = eigh(means.T @ (shares[:, None] * means), covariance)
    assert metrics["directions"]["eigenvalues"] == pytest.approx(values[-1:])
    assert metrics["directions"]["shares"] == pytest.approx(values[-1:] / values.sum())
    vector = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
    directions = columns_of(workspace / "out" / "directions.csv")
    np.testing.assert_allclose([directions[n][0] for n in ("a", "b", "c", "again")], vector)
    _, columns = classes_of(workspace / "out" / "classes.csv")
    np.testing.assert_allclose(columns["score_1"], x @ vector, atol=1e-9)


def test_columns_of_names_and_rows_left_out(analyse, run, workspace):
    """A name counts for its contrast with the first; a row that lacked a value has no class."""
    table = (workspace / "table.csv").read_text().splitlines()
    soils = np.array(["clay", "sand", "loam", "clay", "loam", "sand", "sand"] * 7)[:48]
    lines = [f"{line},{soil}" for line, soil in zip(table[1:], soils)]
    lines.insert(2, "1,2,,oak,clay")
    (workspace / "soils.csv").write_text("\n".join([table[0] + ",soil", *lines]))
    data = {"path": "soils.csv", "columns": ["a", "c"], "target": "tree", "categorical": ["soil"]}
    metrics = analyse({"data": {**data, "incomplete_rows": "leave_out"}})
    assert metrics["rows_left_out"] == 1 and metrics["rows"] == 48
    # The cell that is empty belongs to a column that the job does not have.
    assert analyse({"data": {**data, "columns": ["a", "b"]}}, "--overwrite")["rows"] == 49
    analyse({"data": {**data, "incomplete_rows": "leave_out"}}, "--overwrite")
    cells = (workspace / "out" / "classes.csv").read_text().splitlines()
    assert cells[3] == ",,,,," and "" not in cells
    x = np.column_stack([X[:, [0, 2]], soils == "loam", soils == "sand"])
    oracle = LinearDiscriminantAnalysis(solver="eigen").fit(x, NAMES)
    found = np.array([line.split(",") for line in cells[1:3] + cells[4:]])
    assert found[:, 0].tolist() == oracle.predict(x).tolist()
    np.testing.assert_allclose(
        found[:, 1:4].astype("float64"), oracle.predict_proba(x), rtol=1e-6, atol=1e-12
    )
    (workspace / "new.csv").write_text("a,c,soil\n1,30000,peat\n")
    status, _, err = run("predict", "out", "--data", "new.csv")
    assert status == 2 and "row 2, column 'soil': 'peat' is none of the levels" in err


REFUSED = [
    ({"data.columns": ["a", "b", "tree"]}, "the column 'tree' has two parts to play"),
    ({"data.columns": ["a", "word"]}, "column 'word': 'w' is not a finite number"),
    ({"data.columns": ["a", "same"]}, "column 'same' is constant in the rows to train on"),
    ({"data.columns": ["a", "twice"]}, "within the classes the columns depend on each other"),
    ({"data.target": "word"}, "column 'word': all rows have the same name; there is nothing"),
    ({"data.target": "a"}, "the column 'a' has two parts to play; name each once"),
    ({"data.target": "gap"}, "row 4, column 'gap': the cell is empty"),
    ({"data.target": "number"}, "48 rows to train on; set model.ridge to 0.001"),
    ({"data.holdout": {"last": 17}, "data.target": "end"}, "all rows of 'late' are in the hold-"),
    ({"model.components": 3}, "3 classes in 3 columns differ in 2 directions, not 3; lower model."),
    ({"model.components": 0}, "model.components"),
    ({"model.ridge": -1}, "model.ridge"),
    ({"training": {"iterations": 1}}, "unknown key"),
]


@pytest.mark.parametrize("changes, message", REFUSED)
def test_refusals(refused, write_job, workspace, changes, message):
    write_job()
    header, *rows = (workspace / "table.csv").read_text().splitlines()
    rows = [
        f"{row},w,1,{2.0 * float(row.split(',')[0])!r},{'' if index == 2 else 'g'},{index},"
        f"{'late' if index > 31 else 'early'}"
        for index, row in enumerate(rows)
    ]
    (workspace / "wide.csv").write_text(
        "\n".join([header + ",word,same,twice,gap,number,end", *rows])
    )
    assert message in refused("train", write_job({"data.path": "wide.csv", **changes}))


def test_classes_that_nothing_tells_apart(analyse, workspace, write_job):
    """Four corners of two classes: their means are one, and so are the probabilities."""
    corners = [(0, 0, "even"), (1, 1, "even"), (0, 1, "odd"), (1, 0, "odd"), (0, 0, "even")]
    corners = corners[:4] * 3
    write_job()
    (workspace / "xor.csv").write_text(
        "p,q,parity\n" + "".join(f"{p},{q},{name}\n" for p, q, name in corners)
    )
    metrics = analyse({"data": {"path": "xor.csv", "columns": ["p", "q"], "target": "parity"}})
    assert metrics["directions"]["eigenvalues"] == pytest.approx([0.0], abs=1e-20)
    assert metrics["training"]["log_loss"] == pytest.approx(np.log(2.0))
    (warning,) = metrics["warnings"]
    assert warning.startswith("the columns do not tell the classes apart: always 'even' is right")
