"""Wrong input: one line that names the place and the remedy, status 2, and nothing written."""

import json

import mxnet as mx
import numpy as np
import pytest

from gluon_linalg.jobs.objective import Objective
from gluon_linalg.jobs.reading import with_key


@pytest.mark.parametrize(
    "changes, line",
    [
        (
            {"model.kernl": 1},
            "job.yaml: model.kernl: unknown key; did you mean 'kernel'?",
        ),
        (
            {"modle": 1},
            "job.yaml: modle: unknown key; did you mean 'model'?",
        ),
        ({"model.kernel": ...}, "job.yaml: model.kernel: missing; add this key"),
        ({"data": 3}, "job.yaml: data: '3': expected keys and values below it"),
        (
            {"model.kernel": {"rfb": {}}},
            "job.yaml: model.kernel.rfb: unknown key; did you mean 'rbf'?",
        ),
        (
            {"model.kernel": {"sum": [{"rbf": {}}, {"rbf": {"lenghtscale": 2}}]}},
            "job.yaml: model.kernel.sum.1.rbf.lenghtscale: unknown key; "
            "did you mean 'lengthscale'?",
        ),
        (
            {"model.kernel": {"rbf": {}, "white": {}}},
            "job.yaml: model.kernel: expected one kernel, found rbf, white; combine several as "
            "sum: [...] or product: [...], and write a kernel as rbf: {}",
        ),
        (
            {"model.kernel.rbf.lengthscale": -1},
            "job.yaml: model.kernel.rbf.lengthscale: '-1': expected a positive number",
        ),
        (
            {"model.kernel.rbf.lengthscale": [1, -2]},
            "job.yaml: model.kernel.rbf.lengthscale.1: '-2': expected a positive number",
        ),
        (
            {"model.kernel.rbf.lengthscale": [1, 2]},
            "job.yaml: model.kernel.rbf.lengthscale: 2 values for 1 columns; give 1",
        ),
        (
            {"model.kernel.rbf.fixed": ["period"]},
            "job.yaml: model.kernel.rbf.fixed: 'period' is no parameter to fix; "
            "expected one of variance, lengthscale",
        ),
        (
            {"model.kernel.rbf.columns": ["xx"]},
            "job.yaml: model.kernel.rbf.columns.0: 'xx' is not one of data.inputs; "
            "did you mean 'x'?",
        ),
        (
            {"model.dtype": "float16"},
            "job.yaml: model.dtype: 'float16': should be 'float32' or 'float64'",
        ),
        (
            {"model.noise_variance": ".nan"},
            "job.yaml: model.noise_variance: '.nan': expected a number",
        ),
        (
            {"model.jitter": "atuo"},
            "job.yaml: model.jitter: 'atuo': expected auto or a number in [0, 1)",
        ),
        (
            {"training.optimizer": "adamm"},
            "job.yaml: training.optimizer: 'adamm': unknown optimizer; did you mean 'adam'?",
        ),
        (
            {"training.learning_rate": 0.1},
            "job.yaml: training: lbfgs takes neither learning_rate nor options; remove them",
        ),
        (
            {"data.holdout": {"last": 2, "fraction": 0.5}},
            "job.yaml: data.holdout: expected either last: ROWS or fraction: SHARE",
        ),
        (
            {"data.inputs": ["y"]},
            "job.yaml: data: the column 'y' has two parts to play; name each once",
        ),
        (
            {"data.inputs": "x"},
            "job.yaml: data.inputs: 'x': expected a list, written [a, b]",
        ),
    ],
)
def test_wrong_keys_and_values(write_job, refused, changes, line):
    assert refused("train", write_job(changes)) == line


def test_options_of_another_optimizer(write_job, refused):
    job = write_job({"training.optimizer": "adam", "training.options": {"momentun": 0.9}})
    assert refused("train", job).startswith(
        "training.options.momentun: adam has no such argument; expected one of beta1, beta2"
    )


@pytest.mark.parametrize(
    "text, line",
    [
        ("", "job.yaml: expected keys and values, such as task: gp"),
        ("- a\n- b\n", "job.yaml: expected keys and values, such as task: gp"),
        ("task: gp\ndata: {path: [}\n", "job.yaml: line 2: not YAML: "),
        ("task: gp\ntask: gp\n", "job.yaml: line 2: not YAML: the key 'task' occurs twice"),
        ("a: &a [*a]\n", "job.yaml: "),
        ("[" * 5000, "job.yaml: nested too deeply"),
        ("? [a]\n: b\n", "job.yaml: line 1: not YAML: a key must be a word"),
        ("a: \x00\n", "job.yaml: not YAML: "),
    ],
)
def test_text_that_is_no_job(workspace, refused, text, line):
    (workspace / "job.yaml").write_text(text)
    assert refused("train", "job.yaml").startswith(line)


def test_a_json_job_has_the_same_checks(workspace, refused):
    (workspace / "job.json").write_text('{"task": "gp", "task": "gp"}')
    assert "occurs twice" in refused("train", "job.json")
    (workspace / "job.json").write_text(json.dumps({"data": {}, "model": {"kernel": {"rbf": 1}}}))
    assert refused("train", "job.json") == "job.json: data.path: missing; add this key"
    (workspace / "job.json").write_text("{")
    assert refused("train", "job.json").startswith("job.json: line 1: not JSON: ")


def test_job_files_that_cannot_be_read(workspace, refused):
    assert refused("train", "job.yaml") == "job.yaml: there is no such job file"
    assert "cannot be read" in refused("train", ".")
    (workspace / "job.yaml").write_bytes(b"task: \xff\n")
    assert refused("train", "job.yaml") == "job.yaml: not UTF-8 text (byte 6); save it as UTF-8"


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "there is no such data file; correct the path"),
        ("", "the file is empty; it needs a header and rows of numbers"),
        ("x,y\n", "there are no rows below the header; add some"),
        ("x,y\n1,2\n", "1 rows to train on; at least 2 are needed"),
        ("x1,y\n1,2\n2,3\n", "there is no column 'x'; did you mean 'x1'?"),
        ("x,x,y\n1,2,3\n", "2 columns are called 'x'; rename all but one"),
        ("x,y\n1,2\n\n2,nan\n", "row 4, column 'y': 'nan' is not a finite number; correct it or"),
        ("x,y\n1,2\n2,-inf\n", "row 3, column 'y': '-inf' is not a finite number"),
        ("x,y\n1,2\n2,two\n", "row 3, column 'y': 'two' is not a finite number"),
        ("x,y\n1,2\n2,1e999\n", "row 3, column 'y': '1e999' is not a finite number"),
        ("x,y\n1,2\n1_0,3\n", "row 3, column 'x': '1_0' is not a finite number"),
        ("x,y\n1,2\n2,\n", "row 3, column 'y': the cell is empty; fill it in or remove the row"),
        ("x,y\n1,2\n2\n", "row 3: 1 cells, but the header has 2 columns"),
        ("x,y\n1,2\n2,3,4\n", "row 3: 3 cells, but the header has 2 columns"),
        ("x,y\n1,1958-03\n", "row 2, column 'y': '1958-03' is a date where a number is expected"),
        ("x,y\n1958-03,1\n1958.5,2\n", "row 3, column 'x': '1958.5' is not a date such as 1958-03"),
        ("x,y\n1958-13,1\n", "row 2, column 'x': there is no date 1958-13; correct it"),
        ("x,y\n1958-02-29,1\n", "row 2, column 'x': there is no date 1958-02-29"),
        ('x,y\n1,"2\n', "row 2: not CSV: unexpected end of data"),
        ("x,y\n1e300,1e300\n-1e300,-1e300\n", "the likelihood of its rows is not a finite number"),
    ],
)
def test_wrong_tables(workspace, write_job, refused, text, message):
    job = write_job()
    (workspace / "table.csv").unlink()
    if text is not None:
        (workspace / "table.csv").write_text(text)
    assert refused("train", job).startswith(f"{workspace / 'table.csv'}: {message}")


def test_numbers_out_of_all_proportion(workspace, write_job, refused):
    (workspace / "table.csv").write_text("x,y\n1e300,1\n-1e300,2\n0,1\n")
    line = refused("train", write_job({"model.kernel": {"rbf": {}}}))
    assert line == "the numbers in the file are too large for initial values; rescale them"
    (workspace / "table.csv").write_text("x,y\n1,1e100\n2,-1e100\n3,0\n")
    line = refused("train", write_job({"model.kernel": {"rbf": {"variance": 1e-200}}}))
    assert line.startswith("model: [1e-200] is out of proportion to the numbers in the file")


def test_repeated_inputs_without_noise_are_named(workspace, write_job, refused):
    (workspace / "table.csv").write_text("x,y\n1,1\n2,2\n\n1,3\n")
    assert refused("train", write_job({"model.noise_variance": 0})) == (
        f"{workspace / 'table.csv'}: rows 2 and 5 have the same inputs, and the model has no "
        "noise; set model.noise_variance above 0, or remove one of them"
    )


def test_a_matrix_that_is_not_positive_definite(write_job, refused):
    line = refused("train", write_job({"model.noise_variance": 0, "model.dtype": "float32"}))
    assert "is not positive definite at the initial values; raise model.noise_variance" in line


def test_gpu_without_a_gpu(write_job, refused, monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    line = refused("train", write_job({"context": "gpu"}))
    assert line.startswith("context: gpu: MXNet sees no GPU; use context: cpu or auto")


def test_output_folders_that_cannot_be_used(workspace, write_job, refused):
    (workspace / "other").mkdir()
    (workspace / "other" / "thesis.tex").write_text("mine")
    line = refused("train", write_job({"output": "other"}), "--overwrite")
    assert line.endswith("other: holds something else (thesis.tex); choose another output")
    line = refused("train", write_job({"output": "table.csv"}))
    assert "table.csv: cannot be the output folder: Not a directory; choose another" in line
    line = refused("train", write_job({"output": "table.csv/deep"}))
    assert "cannot be the output folder: Not a directory; choose another" in line
    line = refused("train", write_job({"output": "/proc/out"}))
    assert line.startswith("/proc/out: the output folder cannot be made: ")


def test_wrong_command_lines(refused):
    assert refused("train") == "Missing argument 'JOB.yaml'."
    assert refused("trian", "job.yaml").startswith("No such command 'trian'.")
    assert refused("train", "job.yaml", "--contxt", "cpu").startswith("No such option")


def test_predict_needs_a_finished_job(workspace, refused):
    line = refused("predict", "nowhere", "--data", "table.csv")
    assert line == "nowhere: there is no finished job here; name the output folder of one"


def test_keys_with_dots():
    """A copy with the value, of which the given document knows nothing."""
    document = {"data": {"path": "a"}, "model": None}
    assert with_key(document, "data.time", "t") == {
        "data": {"path": "a", "time": "t"},
        "model": None,
    }
    assert with_key(document, "a.b.c", [1])["a"] == {"b": {"c": [1]}}
    assert with_key(document, "model", 2) == {"data": {"path": "a"}, "model": 2}
    for key, what in (("model.kernel.rbf", "model"), ("data.path.x.y", "data.path")):
        with pytest.raises(ValueError, match=f"^{what} is no section$"):
            with_key(document, key, 1)
    assert document == {"data": {"path": "a"}, "model": None}


def test_an_option_for_what_is_no_section(refused, write_job):
    """What stands there is told, not the option."""
    message = refused("train", write_job({"training": 5}), "--kvstore", "dist_sync")
    assert message == "job.yaml: training: '5': expected keys and values below it"


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_initial_values_without_a_finite_likelihood(write_job, refused, workspace, optimizer):
    rows = "".join(f"{i},0,{(-1) ** i}e200\n" for i in range(6))
    (workspace / "table.csv").write_text("x,z,y\n" + rows)
    line = refused(
        "train", write_job({"data.target_scaling": "raw", "training.optimizer": optimizer})
    )
    assert "the likelihood of its rows is not a finite number at the initial values" in line


def test_a_first_batch_without_a_finite_loss(write_job, run, workspace, monkeypatch):
    """All rows have a loss, the first batch, or the noise of its dropout, has none."""
    whole = Objective.evaluate

    def evaluate(self, iteration=None):
        return whole(self) if iteration is None else np.inf

    job = write_job({"training.optimizer": "adam"})
    with monkeypatch.context() as patch:
        patch.setattr(Objective, "evaluate", evaluate)
        status, _, err = run("train", job)
    assert status == 2 and err.endswith(
        "training: the loss of the first batch is not a finite number\n"
    )
    assert not (workspace / "out" / "metrics.json").exists()
    # The folder is taken up again where it was.
    assert run("train", job)[0] == 0
