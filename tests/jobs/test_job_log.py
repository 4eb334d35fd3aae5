"""What a job says of itself: lines for machines, and scalars for TensorBoard."""

import json
import struct
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event

from gluon_linalg.jobs import log
from gluon_linalg.jobs import progress as progress_module

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
