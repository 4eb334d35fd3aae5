"""The command line itself."""

import os
import subprocess
import sys

import pytest
from small_job import ROOT

import gluon_linalg as gl
from gluon_linalg._version import __version__
from gluon_linalg.jobs.progress import Progress


def test_version_and_help(run):
    assert run("--version") == (0, f"gluon-linalg, version {__version__}\n", "")
    status, out, _ = run("train", "--help")
    assert status == 0
    for word in ("JOB.yaml", "--overwrite", "--output", "--context", "metrics.json", "130"):
        assert word in out
    status, out, _ = run("predict", "--help")
    assert status == 0 and "--data NEW.csv" in out


def test_info_tells_versions_and_operators(run):
    status, out, _ = run("info")
    assert status == 0
    assert f"gluon-linalg: {__version__}\n" in out
    backend = gl.backend_status()
    assert out.splitlines()[-1] == f"backend: {backend.backend}, {backend.reason}"


def test_a_backend_that_does_not_exist_is_one_line():
    command = [sys.executable, "-m", "gluon_linalg.jobs", "info"]
    environment = {**os.environ, "GLUON_LINALG_BACKEND": "cuda"}
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "GLUON_LINALG_BACKEND: the backend is 'cuda', expected one of "
        "('auto', 'native', 'mxnet').\n"
    )


def test_module():
    command = [sys.executable, "-m", "gluon_linalg.jobs", "--version"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert __version__ in output


def test_a_missing_extra_is_named():
    """Each in a process of its own, forked from one that has imported MXNet."""
    names = ["click", "pydantic", "scipy", "tqdm", "yaml"]
    code = (
        "import os, sys, gluon_linalg\n"
        f"for name in {names}:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        parts = [m for m in sys.modules if m.startswith(name + '.')]\n"
        "        sys.modules.update(dict.fromkeys([name, *parts]))\n"
        "        from gluon_linalg.jobs.cli import main; main(['--version'])\n"
        "    print(os.WEXITSTATUS(os.waitpid(child, 0)[1]), flush=True)"
    )
    # From Python 3.12 on a fork of a process with threads, which MXNet's is, gives a warning.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["2"] * len(names)
    assert ended.stderr.splitlines() == [
        f'gluon-linalg needs {name}, which is not installed: pip install "gluon-linalg[jobs]"'
        for name in names
    ]


def test_starting_needs_no_matplotlib():
    code = (
        "import sys; from gluon_linalg.jobs import commands; assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_bug_is_not_hidden(run, write_job, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("gluon_linalg.jobs.commands.train_job", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run("train", write_job())


def test_predictions_on_stdout(run, write_job, workspace):
    """As the file that another program would read, and nothing else."""
    run("train", write_job())
    assert run("predict", "out", "--data", "table.csv")[0] == 0
    before = sorted(workspace.iterdir())
    status, out, err = run("predict", "out", "--data", "table.csv", "--output", "-")
    assert (status, err) == (0, "")
    assert out == (workspace / "out" / "predictions.csv").read_text()
    assert sorted(workspace.iterdir()) == before


def test_launch_refuses_before_it_starts_processes(refused, write_job, monkeypatch):
    monkeypatch.setattr("gluon_linalg.jobs.launch._start", None)

    def launched(*arguments):
        return refused("launch", "--workers", "2", "--", *arguments)

    assert "expected train JOB.yaml after --" in launched("serve", "out")
    assert "no such job file" in launched("train", "nothing.yaml")
    assert "No such option" in launched("train", write_job(), "--nothing")
    pca = {
        "task": "pca",
        "data": {"path": "table.csv", "columns": ["x"]},
        "model": ...,
        "training": ...,
    }
    assert "pca is computed by one process" in launched("train", write_job(pca))


def test_what_cannot_be_shared_is_said(run, write_job):
    """Two devices, or workers, have nothing to share in one likelihood."""
    status, out, err = run("train", write_job(), "--devices", "cpu(0),cpu(1)")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "is one number, which several devices or workers cannot share" in err


def test_progress_is_a_bar_or_lines(capsys, monkeypatch):
    bar = Progress(10, 0, show_bar=True)
    bar.update(1, 2.5)
    bar.close()
    assert "loss 2.5" in capsys.readouterr().err
    monkeypatch.setattr("gluon_linalg.jobs.progress.SECONDS_BETWEEN_LINES", 0.0)
    lines = Progress(10, 0, show_bar=False)
    lines.update(1, 2.5)
    lines.close()
    assert capsys.readouterr().err.startswith("iteration 1 of at most 10, loss 2.5, at most 0 s")
