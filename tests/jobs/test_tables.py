"""Tables as spreadsheets, pandas and R write them: the same numbers as in a plain one."""

import json

import numpy as np
import pytest
import small_forecast_job
import small_statespace_job
import yaml
from small_job import JOB, TABLE, changed

from gluon_linalg.jobs.data import read_table
from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.forecast.dataset import read_entries
from gluon_linalg.jobs.kinds import kind_of
from gluon_linalg.jobs.predict import predict_file
from gluon_linalg.jobs.reading import read_job
from gluon_linalg.jobs.sample import read_sample
from gluon_linalg.jobs.statespace.panel import read_panel
from gluon_linalg.jobs.table_format import Format
from gluon_linalg.jobs.time_series.series import read_series
from gluon_linalg.jobs.train import train

PLAIN = "x,z,y\n0.5,1,-2.25\n1e-3,-3,1234.5\n17,0.125,7\n"
PCA = {
    "task": "pca",
    "model": ...,
    "training": ...,
    "data.inputs": ...,
    "data.target": ...,
    "data.columns": ["x", "z", "y"],
}
LDA = {"task": "lda", "model": ..., "training": ..., "data.inputs": ...}
LDA = {**LDA, "data.columns": ["x", "y"], "data.target": "z"}
NUMBERS = [[0.5, 1, -2.25], [1e-3, -3, 1234.5], [17, 0.125, 7]]


def with_commas(text, separator=";"):
    """The table as a German spreadsheet has it."""
    return text.replace(",", separator).replace(".", ",")


# The bytes of PLAIN, written otherwise.
WRITTEN = {
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "decimal commas": with_commas(PLAIN).encode(),
    "decimal commas and tabs": with_commas(PLAIN, "\t").encode(),
    "a mark and CRLF": b"\xef\xbb\xbf" + with_commas(PLAIN).replace("\n", "\r\n").encode(),
    "CR": PLAIN.replace("\n", "\r").encode(),
    "sep line": b"sep=;\r\n" + with_commas(PLAIN).encode(),
    "quoted sep line": b'\xef\xbb\xbf"sep=|"\n' + PLAIN.replace(",", "|").encode(),
    "sep line of a comma": b"SEP=,\n" + PLAIN.encode(),
    "utf-16": with_commas(PLAIN, "\t").encode("utf-16"),
    "utf-16 of the other order": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "quoted commas": (
        b'x,z,y\n"0,5",1,"-2,25"\n"1e-3",-3,"1234,5"\n17,"0,125",7\n'
    ),
    "quoted header": with_commas(PLAIN).replace("x;z;y", '"x";"z";"y"').encode(),
    "commas in a name": b'"a, b";x;z;y\n' + with_commas(
        "".join("q," + row for row in PLAIN.splitlines(True)[1:])
    ).encode(),
    "blank lines around": ("\n\n" + with_commas(PLAIN) + "\n;;\n").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_separators_and_decimal_signs(tmp_path, name):
    path = tmp_path / "t.csv"
    path.write_bytes(WRITTEN[name])
    found = read_table(path, ["x", "z", "y"], [])
    np.testing.assert_array_equal(found.array(["x", "z", "y"]), NUMBERS)
    # In another order, and not all of them.
    np.testing.assert_array_equal(read_table(path, ["y"], []).columns["y"], [-2.25, 1234.5, 7])


@pytest.mark.parametrize(
    "text, table_format, message",
    [
        # Between a tab and a bar nobody would guess.
        ("x|y\n1|2\n", {}, "there is no column 'x'; expected one of x|y (cells are separated by"),
        ("x;y\n1;2;3\n", {}, "row 2: 3 cells, but the header has 2 columns (cells are separated"),
        ("x;y\n1;2\n", {"separator": ","}, "separated by commas; see data.separator)"),
        ("x\n1,5\n2,5\n", {}, "the header has one column, 'x', but rows have commas; if these"),
        # A thousand, or one and a bit.
        ('x\ty\n1,234\t2\n', {}, "row 2, column 'x': '1,234' is not a finite number; if its comma"),
        ("x;y\n1,5;2.5\n", {}, "'1,5' is not a finite number; if its comma is the decimal sign"),
        ("x;y\n1,5;2.5\n", {"decimal": ","}, "column 'y': '2.5' has a point, but the decimal sign"),
        ("x;y\n1.234,5;2\n", {}, "row 2, column 'x': '1.234,5' is not a finite number"),
        ("x;y\ntrue;2\n", {}, "row 2, column 'x': 'true' is not a finite number; write True or"),
        ("x,y\nNA,2\n", {}, "row 2, column 'x': 'NA' is a missing value; fill it in or remove"),
        (b"x,y\n\xe9,2\n", {}, "not UTF-8 text; save the table as CSV in UTF-8, or as UTF-16"),
    ],
)  # fmt: skip
def test_what_is_not_guessed(tmp_path, text, table_format, message):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    names = ["x"] if b"y" not in path.read_bytes() else ["x", "y"]
    with pytest.raises(JobError) as refused:
        read_table(path, names, [], table_format=Format(**table_format))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "text, table_format, numbers",
    [
        ("x\n1,5\n2,25\n", {"decimal": ","}, [1.5, 2.25]),
        ("x\ty\n1,234\t2\n", {"decimal": ","}, [1.234]),
        ("x|y\n1.5|2\n", {"separator": "|"}, [1.5]),
        ("x\ty\n1.5\t2\n", {"separator": "\t"}, [1.5]),
        # Semicolons are written where the comma is the decimal sign.
        ("x;y\n1,234;2\n", {}, [1.234]),
        ("x;y\n1.5;2\n", {"decimal": "."}, [1.5]),
    ],
)
def test_what_keys_decide(tmp_path, text, table_format, numbers):
    path = tmp_path / "t.csv"
    path.write_text(text)
    found = read_table(path, ["x"], [], table_format=Format(**table_format))
    assert found.columns["x"].tolist() == numbers


def test_truth_and_missing_values(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\nTrue,FALSE,NA\nFalse,TRUE,\nTRUE,True,<NA>\n1,0,#N/A\n")
    found = read_table(path, ["a", "b", "y"], [], with_gaps=["y"])
    assert found.columns["a"].tolist() == [1, 0, 1, 1]
    assert found.columns["b"].tolist() == [0, 1, 1, 0]
    assert np.isnan(found.columns["y"]).all()


def test_all_tasks_read_the_same_from_a_spreadsheet(tmp_path):
    """Statespace, panels and forecasts; the numbers are those of the plain file."""
    tables = {
        "series": small_statespace_job.TABLE,
        "panel": small_statespace_job.panel_table(small_statespace_job.panel_rows()),
        "many": small_forecast_job.as_csv(small_forecast_job.series()),
    }
    found = []
    for suffix, write in (("plain", str.encode), ("spreadsheet", spreadsheet)):
        path = {name: tmp_path / f"{name}-{suffix}.csv" for name in tables}
        for name, text in tables.items():
            path[name].write_bytes(write(text))
        series = read_series(path["series"], "year", None, "y", ["price"])
        panel = read_panel(path["panel"], "region", "year", 1, "y", ["price"])
        entries = read_entries(str(path["many"]), "name", "date", "y", "M")
        arrays = [series.y, series.covariates, *(own.y for own in panel.series.values())]
        found.append([*arrays, *(entry["target"] for entry in entries)])
    assert len(found[0]) == len(found[1]) == 8
    for plain, other in zip(*found):
        np.testing.assert_array_equal(plain, other)


def spreadsheet(text):
    return b"\xef\xbb\xbf" + with_commas(text).replace("\n", "\r\n").encode()


@pytest.mark.parametrize("task", ["gp", "blr", "pca", "lda"])
def test_a_job_and_its_predictions(workspace, write_job, task):
    """The same model and the same predictions, which have decimal points."""
    (workspace / "german.csv").write_bytes(spreadsheet(TABLE))
    changes = {
        "gp": {},
        "blr": {"task": "blr", "model": {"features": {"linear": {}}}},
        "pca": PCA,
        "lda": LDA,
    }[task]
    if kind_of(task).has_training:
        changes["training.iterations"] = 0
    found = []
    for path in ("table.csv", "german.csv"):
        train(read_job(write_job({**changes, "data.path": path, "output": path[:-4]})))
        predict_file(path[:-4], workspace / path, workspace / "p.csv", "cpu")
        found.append((workspace / "p.csv").read_text())
    assert found[0] == found[1] and ";" not in found[0]
    # The rows with which a model is tried.
    (_, header), *rows = read_sample("german").rows
    assert read_sample("table").rows[1:] == rows
    assert [cells[header.index("x")] for _, cells in rows[:2]] == ["0.0", "0.25"]


REGIONS = ["south", "north", "south", "east", "north", "east", "south", "north"] * 2
REGION_TABLE = "x,region,y\n" + "".join(
    f"{i / 4},{region},{i / 8 + {'south': 1, 'north': 3, 'east': -2}[region]:.4f}\n"
    for i, region in enumerate(REGIONS)
)


@pytest.mark.parametrize("inputs", [["x"], ["region", "x"]])
def test_columns_of_names_are_one_hot(run, refused, workspace, inputs):
    """Also where the columns come in another order; the oracle is a ridge regression."""
    (workspace / "table.csv").write_text(REGION_TABLE)
    job = changed(JOB, {
        "task": "blr",
        "data.inputs": inputs,
        "data.categorical": ["region"],
        "data.target_scaling": "raw",
        "data.input_scaling": "raw",
        "model": {"features": {"linear": {}}, "prior_variance": 2.0, "noise_variance": 0.3},
        "training.iterations": 0,
    })  # fmt: skip
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    assert run("train", "job.yaml")[0] == 0
    assert json.loads((workspace / "out" / "model-io.json").read_text())["levels"] == {
        "region": ["east", "north", "south"]
    }
    (workspace / "new.csv").write_text("region,x\nnorth,1.5\neast,-1\n")
    assert run("predict", "out", "--data", "new.csv")[0] == 0
    rows = [line.split(",") for line in (workspace / "out" / "predictions.csv").open()][1:]
    found = [[float(cell) for cell in row[2:4]] for row in rows]

    def features(x, names):
        names = np.array(names)[:, None] == ["east", "north", "south"]
        return np.column_stack([np.ones(len(x)), x, names])

    phi = features(np.arange(16) / 4, REGIONS)
    y = np.array([float(line.split(",")[2]) for line in REGION_TABLE.splitlines()[1:]])
    precision = phi.T @ phi / 0.3 + np.eye(5) / 2.0
    new = features([1.5, -1.0], ["north", "east"])
    mean = new @ np.linalg.solve(precision, phi.T @ y / 0.3)
    std = np.sqrt(np.sum(new * np.linalg.solve(precision, new.T).T, axis=1) + 0.3)
    np.testing.assert_allclose(found, np.column_stack([mean, std]), rtol=1e-8)
    (workspace / "new.csv").write_text("region,x\nnorth,1.5\nwest,-1\n")
    assert refused("predict", "out", "--data", "new.csv") == (
        "new.csv: row 3, column 'region': 'west' is none of the levels of the training: east, "
        "north, south"
    )


def test_a_kernel_sees_all_levels_of_a_column(workspace):
    """A product of kernels, one of them on the names, with a lengthscale for each column."""
    (workspace / "table.csv").write_text(REGION_TABLE)
    kernels = [
        {"rbf": {"variance": 1, "lengthscale": [0.7, 2.0], "columns": ["region", "x"]}},
        {"linear": {"variance": 1, "columns": ["x"]}},
    ]
    job = changed(JOB, {
        "data.inputs": ["region", "x"],
        "data.categorical": ["region"],
        "data.target_scaling": "raw",
        "data.center_inputs": "never",
        "model.kernel": {"product": kernels},
        "training.iterations": 0,
    })  # fmt: skip
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    found = train(read_job("job.yaml")).metrics["nlml"]["trained"]
    names = (np.array(REGIONS)[:, None] == ["east", "north", "south"]) / 0.7
    x = np.arange(16)[:, None] / 4
    z = np.hstack([names, x / 2.0])
    covariance = np.exp(-0.5 * np.sum((z[:, None] - z) ** 2, axis=2)) * (x @ x.T)
    covariance += 0.1 * np.eye(16)
    y = np.array([float(line.split(",")[2]) for line in REGION_TABLE.splitlines()[1:]])
    expected = 0.5 * (
        y @ np.linalg.solve(covariance, y)
        + np.linalg.slogdet(covariance)[1]
        + 16 * np.log(2 * np.pi)
    )
    assert found == pytest.approx(expected, rel=1e-9)


def test_effects_of_names_on_a_series(workspace):
    """Differences to the first name; the oracle is least squares, which a diffuse prior becomes."""
    kinds = [["none", "half", "full", ""][(7 * i + i // 5) % 3] for i in range(40)]
    effect = {"none": 0.0, "half": 2.0, "full": 5.0}
    y = [10 + effect[kind] + ((i * 29) % 11 - 5) / 10 for i, kind in enumerate(kinds)]
    rows = [f"{i},{kind},{value}" for i, (kind, value) in enumerate(zip(kinds, y))]
    (workspace / "table.csv").write_text("t,promo,y\n" + "\n".join([*rows, "40,half,", "41,full,"]))
    job = changed(small_statespace_job.JOB, {
        "data.time": "t",
        "data.covariates": ["promo"],
        "data.categorical": ["promo"],
        "model.components": [{"level": {"level_variance": 0}}, {"regression": {}}],
        "forecast.steps": 2,
    })  # fmt: skip
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    found = train(read_job("job.yaml")).metrics["coefficients"]
    design = np.column_stack([np.ones(40), *(np.array(kinds) == k for k in ("half", "none"))])
    expected = np.linalg.lstsq(design, np.array(y), rcond=None)[0]
    assert list(found) == ["promo=half", "promo=none"]
    np.testing.assert_allclose([own["mean"] for own in found.values()], expected[1:], rtol=1e-5)
    forecast = small_statespace_job.columns_of(workspace / "out" / "forecast.csv")["mean"]
    np.testing.assert_allclose(forecast, expected[0] + [expected[1], 0.0], rtol=1e-5)
    # Predictions of the same series are those of the training, and need its names.
    predict_file("out", workspace / "table.csv", workspace / "p.csv", "cpu")
    again = small_statespace_job.columns_of(workspace / "p.csv")["mean"]
    np.testing.assert_allclose(again, forecast, rtol=1e-9)
    (workspace / "table.csv").write_text("t,promo,y\n1,half,2\n2,twice,3\n")
    with pytest.raises(JobError, match="'twice' is none of the levels of the training: full, half"):
        predict_file("out", workspace / "table.csv", workspace / "p.csv", "cpu")


@pytest.mark.parametrize("task", ["gp", "blr", "pca", "lda"])
def test_incomplete_rows_are_left_out_and_counted(run, refused, workspace, write_job, task):
    rows = TABLE.splitlines()
    gaps = [*rows[:3], "NA,1,2", *rows[3:9], "2,3,", *rows[9:], "1,,2", ",,"]
    changes = {
        "gp": {"data.inputs": ["x", "z"]},
        "blr": {
            "task": "blr", "data.inputs": ["x", "z"], "model": {"features": {"linear": {}}},
        },
        "pca": PCA,
        "lda": LDA,
    }[task]  # fmt: skip
    if kind_of(task).has_training:
        changes["training.iterations"] = 0
    (workspace / "gaps.csv").write_text("\n".join(gaps) + "\n")
    found = []
    for path in ("table.csv", "gaps.csv"):
        own = {"data.path": path, "data.incomplete_rows": "leave_out", "output": path[:-4]}
        status, out, err = run("train", write_job({**changes, **own}))
        assert (status, err) == (0, "")
        found.append(json.loads((workspace / path[:-4] / "metrics.json").read_text()))
    # Empty cells alone at the end are no row.
    assert [metrics["rows_left_out"] for metrics in found] == [0, 3]
    assert out.startswith("3 rows lacked a value and were left out\n")
    names = ("rows", "nlml", "parameters", "components", "probabilistic", "directions")
    assert [found[0].get(name) for name in names] == [found[1].get(name) for name in names]
    if not kind_of(task).has_training:
        table = "scores.csv" if task == "pca" else "classes.csv"
        plain, other = (
            (workspace / name / table).read_text().splitlines() for name in ("table", "gaps")
        )
        # A row for each row.
        empty = "," * plain[0].count(",")
        assert [other[i] for i in (3, 10, 19)] == [empty] * 3
        assert [line for line in other if line != empty] == plain
    line = refused("train", write_job({**changes, "data.path": "gaps.csv"}))
    assert (
        "row 4, column 'x': 'NA' is a missing value; fill it in or remove the row, or set " in line
    )
    assert line.endswith("data.incomplete_rows: leave_out")


def test_a_column_of_names_that_nobody_announced(refused, workspace, write_job):
    (workspace / "table.csv").write_text(REGION_TABLE)
    line = refused("train", write_job({"data.inputs": ["x", "region"]}))
    assert line.endswith(
        "row 2, column 'region': 'south' is not a finite number; correct it or remove the row, or "
        "name the column in data.categorical"
    )
