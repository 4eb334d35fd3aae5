"""What a job says of itself: lines for machines, and scalars for TensorBoard."""

import json
import logging
import os
import signal
import struct
import sys
from types import SimpleNamespace

import pytest
import yaml
from small_statespace_job import PANEL_JOB, panel_rows, panel_table
from tensorboardX.proto.event_pb2 import Event

from gluon_linalg.jobs import commands, launch, log
from gluon_linalg.jobs import progress as progress_module
from gluon_linalg.jobs.state import TrainingState

ADAM = {"training.optimizer": "adam", "training.iterations": 6}


@pytest.fixture
def plain_again():
    yield
    log.set_up(log.PLAIN)


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines(run, write_job, monkeypatch, plain_again):
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0.0)
    status, out, err = run("train", write_job(ADAM), "--log", "json")
    assert status == 0 and "NLML" in out
    lines = lines_of(err)
    assert [line["event"] for line in lines] == ["start", *["progress"] * 6, "finished"]
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    assert lines[0]["task"] == "gp" and lines[0]["rows"] == 16 and lines[0]["devices"] == ["cpu(0)"]
    assert [line["iteration"] for line in lines[1:-1]] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["nlml"]["trained"] == lines[-2]["loss"]


def test_failures_are_lines_too(run, write_job, monkeypatch, plain_again):
    monkeypatch.setenv(log.VARIABLE, "json")
    status, out, err = run("train", write_job({"data.target": "w"}))
    (line,) = lines_of(err)
    assert (status, out, line["level"], line["event"]) == (2, "", "ERROR", "failed")
    assert "column" in line["message"]


def test_every_line_is_an_event(run, write_job, monkeypatch, plain_again):
    """A word, which programs compare with, and a message for people."""
    monkeypatch.setenv(log.VARIABLE, "json")
    advance = TrainingState.advance

    def advance_and_signal(self, loss):
        advance(self, loss)
        if self.iteration == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingState, "advance", advance_and_signal)
    status, _, err = run("train", write_job(ADAM))
    start, stopped = lines_of(err)
    assert (status, start["event"], stopped["event"]) == (143, "start", "interrupted")
    assert stopped["signal"] == "SIGTERM" and stopped["status"] == 143
    assert stopped["iteration"] == 2 and "run the same command again" in stopped["message"]

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(commands, "train_job", broken)
    status, out, err = run("train", write_job())
    (line,) = lines_of(err)
    assert (status, out, line["level"], line["event"]) == (1, "", "ERROR", "crashed")
    assert line["message"] == "RuntimeError: a bug" and "in broken" in line["traceback"]


def test_predict_and_launch_have_the_same_log(run, write_job, monkeypatch, workspace, plain_again):
    run("train", write_job(ADAM))
    for arguments in (["--log", "json"], []):
        status, out, err = run("predict", "out", "--data", "table.csv", "--output", "-", *arguments)
        (line,) = lines_of(err)
        assert status == 0 and out.startswith("x,mean,std,")
        assert (line["event"], line["rows"], line["output"]) == ("predicted", 16, "-")
        monkeypatch.setenv(log.VARIABLE, "json")
    assert run("predict", "out", "--data", "table.csv", "--log", "plain")[2] == ""
    # launch tells what its processes say, and what becomes of them.
    monkeypatch.setattr(launch, "_start", lambda *_: SimpleNamespace(
        poll=lambda: 3, returncode=3, wait=lambda *_: 3, terminate=lambda: None
    ))  # fmt: skip
    status, _, err = run("launch", "--workers", "2", "--", "train", small_panel(workspace))
    (line,) = lines_of(err)
    assert (status, line["event"], line["role"], line["status"]) == (
        3,
        "member_ended",
        "scheduler",
        3,
    )


def small_panel(workspace):
    (workspace / "table.csv").write_text(panel_table(panel_rows()))
    (workspace / "panel.yaml").write_text(yaml.safe_dump(PANEL_JOB))
    return "panel.yaml"


def test_errors_of_the_server_are_events(plain_again, capsys):
    log.set_up(log.JSON)
    log.take_over("a.library")
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        logging.getLogger("a.library").exception("Exception in ASGI application")
    (line,) = lines_of(capsys.readouterr().err)
    assert (line["event"], line["library"], line["level"]) == ("library", "a.library", "ERROR")
    assert line["message"] == "RuntimeError: a bug" and "Traceback" in line["traceback"]


def test_without_a_terminal_there_is_no_bar(run, write_job, monkeypatch):
    assert not sys.stderr.isatty()
    monkeypatch.setattr(progress_module, "tqdm", None)
    assert run("train", write_job(ADAM))[2] == ""


def scalars(folder):
    """Steps and values of the event files of TensorBoard."""
    found = []
    for path in sorted(folder.iterdir()):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (size,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + size])
            found += [(event.step, v.simple_value) for v in event.summary.value if v.tag == "loss"]
            place += 16 + size
    return found


def test_scalars_for_tensorboard(run, write_job, workspace):
    run("train", write_job(ADAM))
    rows = (workspace / "out" / "training_curve.csv").read_text().splitlines()[2:]
    curve = [(int(row.split(",")[0]), float(row.split(",")[2])) for row in rows]
    assert scalars(workspace / "out" / "tensorboard") == [
        (step, pytest.approx(value, rel=1e-6)) for step, value in curve
    ]


def test_without_its_writer_there_are_none(run, write_job, workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert run("train", write_job(ADAM))[0] == 0
    assert not (workspace / "out" / "tensorboard").exists()
