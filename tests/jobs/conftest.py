"""The command line in this process, in a folder of its own."""

import pytest
import yaml
from small_job import JOB, TABLE, changed, sketch_pictures

from gluon_linalg.jobs.cli import main


@pytest.fixture(autouse=True)
def sketches(request):
    """Pictures are drawn for tests that look at one, which are marked `pictures`."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("pictures") is None:
            sketch_pictures(patch)
        yield


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
