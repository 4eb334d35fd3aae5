"""Whatever the job file or the table holds: a result, or one line and status 2."""

import json
import shutil

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_job import JOB, TABLE, changed

from gluon_linalg.jobs import commands

KEYS = [
    "task",
    "data",
    "data.path",
    "data.inputs",
    "data.target",
    "data.target_scaling",
    "data.center_inputs",
    "data.holdout",
    "model",
    "model.kernel",
    "model.kernel.rbf",
    "model.kernel.rbf.variance",
    "model.kernel.rbf.lengthscale",
    "model.kernel.rbf.columns",
    "model.kernel.rbf.fixed",
    "model.mean",
    "model.noise_variance",
    "model.fixed",
    "model.jitter",
    "model.dtype",
    "model.precision",
    "training",
    "training.optimizer",
    "training.learning_rate",
    "training.options",
    "training.tolerance",
    "training.checkpoint_every",
    "context",
    "seed",
    "unknown",
    "model.unknown",
]
WORDS = st.sampled_from(
    ["rbf", "x", "y", "z", "variance", "adam", "sgd", "lbfgs", "auto", "float16", "float32", "cpu"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    WORDS,
)
KERNEL_NAMES = st.sampled_from(
    ["rbf", "matern12", "periodic", "linear", "polynomial", "white", "sum", "product", "scaled"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.one_of(KERNEL_NAMES, WORDS, st.text(max_size=4)), inner, max_size=3)
    ),
    max_leaves=6,
)
CELLS = st.one_of(
    st.floats().map(repr),
    st.integers(-3, 3).map(str),
    st.sampled_from(["", " ", "nan", "1958-03", "1958-13", '"', '"a\nb"', "1e308", "-1e308", "é"]),
    st.text(max_size=4),
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=6)
SETTINGS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)


def check(workspace, capsys, job="job.json"):
    shutil.rmtree(workspace / "out", ignore_errors=True)
    status = commands.run(["train", job, "--output", "out"])
    captured = capsys.readouterr()
    assert status in (0, 2)
    if status == 2:
        assert captured.out == ""
        assert captured.err.count("\n") == 1, captured.err
        assert not (workspace / "out").exists()


@settings(SETTINGS, max_examples=200)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=2))
def test_job_files(workspace, capsys, changes):
    job = changed(JOB, {"training.iterations": 2})
    for path, value in changes.items():
        *parents, last = path.split(".")
        part = job
        for key in parents:
            part = part.setdefault(key, {}) if isinstance(part, dict) else {}
        if isinstance(part, dict):
            part[last] = value
    (workspace / "job.json").write_text(json.dumps(job))
    check(workspace, capsys)


@settings(SETTINGS, max_examples=200)
@given(text=st.one_of(st.text(), st.text("{}[]:,-&*!|>'\"%@`#? \n\ta1")))
def test_job_texts(workspace, capsys, text):
    for name in ("job.yaml", "job.json"):
        (workspace / name).write_text(text, encoding="utf-8", errors="surrogatepass")
        check(workspace, capsys, name)


@settings(SETTINGS, max_examples=200)
@given(data=st.binary(max_size=60), rows=TABLES, where=st.integers(0, 400))
def test_tables(workspace, capsys, data, rows, where):
    (workspace / "job.json").write_text(json.dumps(changed(JOB, {"training.iterations": 2})))
    damaged = TABLE.encode()[:where] + data + TABLE.encode()[where:]
    built = "\n".join(["x,y", *(",".join(row) for row in rows)]).encode("utf-8", "surrogatepass")
    for content in (data, damaged, built):
        (workspace / "table.csv").write_bytes(content)
        check(workspace, capsys)
