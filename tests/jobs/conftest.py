"""A small job that trains in a moment, and the command line in this process."""

import copy
from pathlib import Path

import pytest
import yaml

from gluon_linalg.jobs.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent

TABLE = "x,z,y\n" + "".join(
    f"{0.25 * i},{(i * 7) % 5},{(0.3 * i) % 2 + 0.01 * ((i * 13) % 7):.4f}\n" for i in range(16)
)
JOB = {
    "task": "gp",
    "data": {"path": "table.csv", "inputs": ["x"], "target": "y"},
    "model": {"kernel": {"rbf": {"variance": 1, "lengthscale": 1}}, "noise_variance": 0.1},
    "training": {"optimizer": "lbfgs", "iterations": 60},
    "output": "out",
}


def changed(job, changes):
    """A copy of `job` with the values at dotted keys replaced, or removed where they are `...`."""
    job = copy.deepcopy(job)
    for path, value in changes.items():
        *parents, last = path.split(".")
        part = job
        for key in parents:
            part = part.setdefault(key, {})
        if value is ...:
            del part[last]
        else:
            part[last] = value
    return job


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A current folder with table.csv."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path


@pytest.fixture
def write_job(workspace):
    """Writes job.yaml with changes at dotted keys: write_job({"model.mean": "linear"})."""

    def write(changes=None, name="job.yaml"):
        (workspace / name).write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return name

    return write


@pytest.fixture
def run(capsys):
    """Runs the command line; returns status, stdout and stderr."""

    def run_command(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run_command


@pytest.fixture
def refused(run, workspace):
    """Runs a command that must be refused in one line and leave no folder; returns the line."""

    def run_refused(*arguments):
        before = sorted(workspace.iterdir())
        status, out, err = run(*arguments)
        assert (status, out) == (2, ""), err
        assert err.endswith("\n") and err.count("\n") == 1, err
        assert sorted(workspace.iterdir()) == before
        return err.strip()

    return run_refused
