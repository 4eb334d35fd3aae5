"""Whatever the job file or the table holds: a result, or one line and status 2.

GLUON_LINALG_FUZZ_EXAMPLES=1000 makes it a search of some minutes; each night it is 200.
"""

import json
import os
import shutil

import pytest
import small_forecast_job
import small_job
import small_statespace_job
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_job import changed

from gluon_linalg.grammar.section import Section
from gluon_linalg.jobs import commands
from gluon_linalg.jobs.kinds import kind_of

EXAMPLES = int(os.environ.get("GLUON_LINALG_FUZZ_EXAMPLES", 6))
BRIEF = {"training.iterations": 2}
SERIES = small_forecast_job.series()
FORECAST = changed(small_forecast_job.FORECAST_JOB, BRIEF)
PANEL = small_statespace_job.panel_table(small_statespace_job.panel_rows())
# A job that works, with its table.
CASES = {
    "gp": (changed(small_job.JOB, BRIEF), small_job.TABLE),
    "blr": (
        {
            "task": "blr",
            "data": {"path": "table.csv", "inputs": ["x"], "target": "y"},
            "model": {"features": {"polynomial": {"degree": 2}}},
            "training": {"iterations": 2},
        },
        small_job.TABLE,
    ),
    "pca": (
        {"task": "pca", "data": {"path": "table.csv", "columns": ["x", "z", "y"]}},
        small_job.TABLE,
    ),
    "lda": (
        {"task": "lda", "data": {"path": "table.csv", "columns": ["x", "y"], "target": "z"}},
        small_job.TABLE,
    ),
    "statespace": (changed(small_statespace_job.JOB, BRIEF), small_statespace_job.TABLE),
    "several": (
        {
            "task": "multivariate",
            "data": {"path": "table.csv", "targets": ["x", "y"]},
            "model": {"process": {"factors": {}}},
            "forecast": {"steps": 2},
            "training": {"iterations": 2},
        },
        small_job.TABLE,
    ),
    "panel": (changed(small_statespace_job.PANEL_JOB, BRIEF), PANEL),
    "forecast": (
        {**FORECAST, "data": {**FORECAST["data"], "path": "table.csv"}},
        small_forecast_job.as_csv(SERIES),
    ),
    "json lines": (
        changed(
            {**FORECAST, "data": {"path": "table.jsonl", "freq": "M"}},
            small_forecast_job.of("structural"),
        ),
        small_forecast_job.as_json_lines(SERIES),
    ),
}
# Deeper than the sections that all jobs have.
DEEP = {
    "gp": ["kernel.rbf", "kernel.rbf.variance", "kernel.rbf.lengthscale", "kernel.rbf.fixed"],
    "blr": ["features.mlp", "features.polynomial.degree", "features.linear"],
    "pca": [],
    "lda": ["holdout.last"],
    "statespace": ["components.level", "components.level.level_variance"],
    "multivariate": ["process.factors", "process.factors.order", "process.linear.states"],
    "forecast": ["options.hidden_layers", "options.num_features", "options.forecast"],
}

TEXTS = """
    rbf matern12 periodic linear polynomial white sum product scaled level trend seasonal ar cycle
    regression mlp fraction last period order x y z year price region variance adam sgd lbfgs auto
    float16 float32 cpu month null
"""
WORDS = st.sampled_from(TEXTS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    WORDS,
)
NAMES = st.one_of(WORDS, st.text(max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
CELLS = st.one_of(
    st.floats().map(repr),
    st.integers(-3, 3).map(str),
    st.sampled_from(["", " ", "nan", "1958-03", "1958-13", '"', '"a\nb"', "1e308", "-1e308", "é"]),
    st.text(max_size=4),
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=6)
SETTINGS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
    max_examples=EXAMPLES,
)


def keys_of(name):
    """All keys down to the second level, some deeper ones, and some that do not exist."""
    kind = kind_of(CASES[name][0]["task"]).sections
    keys = ["unknown", "model.unknown"]
    for key, field in kind.model_fields.items():
        if key != "output":
            keys.append(key)
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            keys += [f"{key}.{below}" for below in section.model_fields if below != "path"]
    return keys + [f"model.{deep}" for deep in DEEP[CASES[name][0]["task"]]]


def check(workspace, capsys, job="job.json"):
    shutil.rmtree(workspace / "out", ignore_errors=True)
    status = commands.run(["train", job, "--output", "out"])
    captured = capsys.readouterr()
    assert status in (0, 2)
    if status == 2:
        assert captured.out == ""
        assert captured.err.count("\n") == 1, captured.err
        assert not (workspace / "out").exists()


def write(workspace, job, table):
    """The files of a job; `table` as text or bytes."""
    (workspace / "job.json").write_text(json.dumps({**job, "output": "out"}))
    content = table.encode() if isinstance(table, str) else table
    for name in ("table.csv", "table.jsonl"):
        (workspace / name).write_bytes(content)


@pytest.mark.parametrize("name", CASES)
def test_job_files(workspace, capsys, name):
    keys = st.sampled_from(keys_of(name))

    @settings(SETTINGS)
    @given(changes=st.dictionaries(keys, VALUES, min_size=1, max_size=2))
    def search(changes):
        job, table = CASES[name]
        job = changed(job, {})
        for path, value in changes.items():
            *parents, last = path.split(".")
            part = job
            for key in parents:
                part = part.setdefault(key, {}) if isinstance(part, dict) else {}
            if isinstance(part, dict):
                part[last] = value
        write(workspace, job, table)
        check(workspace, capsys)

    write(workspace, *CASES[name])
    assert commands.run(["train", "job.json", "--output", "out"]) == 0
    capsys.readouterr()
    search()


@settings(SETTINGS)
@given(text=st.one_of(st.text(), st.text("{}[]:,-&*!|>'\"%@`#? \n\ta1")))
def test_job_texts(workspace, capsys, text):
    for name in ("job.yaml", "job.json"):
        (workspace / name).write_text(text, encoding="utf-8", errors="surrogatepass")
        check(workspace, capsys, name)


@pytest.mark.parametrize("name", CASES)
def test_tables(workspace, capsys, name):
    job, table = CASES[name]
    good, header = table.encode(), table.split("\n")[0]

    @settings(SETTINGS)
    @given(data=st.binary(max_size=60), rows=TABLES, where=st.integers(0, len(good)))
    def search(data, rows, where):
        damaged = good[:where] + data + good[where:]
        built = "\n".join([header, *(",".join(row) for row in rows)])
        for content in (data, damaged, built.encode("utf-8", "surrogatepass")):
            write(workspace, job, content)
            check(workspace, capsys)

    search()
