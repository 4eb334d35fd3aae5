"""Series that grow: one by one equals the whole, a killed server goes on, what is refused."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys

import pytest
from small_job import ROOT
from small_serving import CSV, JSON, ROWS, ask, trained

from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.predict import predict_file
from gluon_linalg.jobs.serving.refused import Refused
from gluon_linalg.jobs.serving.service import Service
from gluon_linalg.jobs.serving.streams import Streams

# How many steps after the last observation a request has the covariates of.
AHEAD = {"statespace": 3, "semicolons": 2}
NAMES = {"panel": "7"}


@contextlib.contextmanager
def kept(task, folder):
    """The `Streams` of a trained model."""
    streams = Streams(Service(str(trained(task)), "cpu"), str(folder))
    try:
        yield streams
    finally:
        streams.close()


def series_of(task):
    """The header and the rows of one series, its name left out, and the place of y."""
    header, *rows = ROWS[task].split("\n")[:-1]
    if task == "panel":
        header, rows = "day,y", [row[2:] for row in rows if row.startswith("7,")]
    separator = ";" if ";" in header else ","
    rows = [row.split(separator) for row in rows]
    return header.split(separator), rows, separator


def body_of(header, rows, separator):
    return "\n".join(separator.join(cells) for cells in [header, *rows]).encode() + b"\n"


def requests_of(task):
    """A body for each observation: its row, missing ones before it, and covariates ahead."""
    header, rows, separator = series_of(task)
    place, ahead, waiting = header.index("y"), AHEAD.get(task, 0), []
    for index in range(len(rows) - ahead):
        waiting.append(rows[index])
        if rows[index][place]:
            later = [list(cells) for cells in rows[index + 1 : index + 1 + ahead]]
            for cells in later:
                cells[place] = ""
            yield body_of(header, [*waiting, *later], separator)
            waiting = []


def whole(task, path):
    """The forecast that `predict` makes of all rows."""
    header, rows, separator = series_of(task)
    if task == "panel":
        header, rows = ["shop", *header], [["7", *cells] for cells in rows]
    path.write_bytes(body_of(header, rows, separator))
    predict_file(trained(task), path, path.with_suffix(".out"), "cpu")
    with open(path.with_suffix(".out"), encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("task", ["statespace", "counted", "panel", "semicolons"])
def test_one_by_one_equals_the_whole(task, tmp_path):
    """Of a server that ends, and starts again, after the third observation."""
    bodies, name = list(requests_of(task)), NAMES.get(task, "a/b ü")
    for part in (bodies[:3], bodies[3:]):
        with kept(task, tmp_path / "states") as streams:
            for body in part:
                answer, _ = streams.update(name, body, CSV)
    right = whole(task, tmp_path / "new.csv")
    assert len(answer["predictions"]) == len(right) > 1
    for found, expected in zip(answer["predictions"], right):
        expected.pop("shop", None)
        assert list(found) == list(expected)
        label, *rest = found
        assert str(found[label]) == expected[label]
        assert [found[k] for k in rest] == pytest.approx([float(expected[k]) for k in rest], 1e-9)
    with kept(task, tmp_path / "states") as streams:
        assert streams.answer(name) == answer
    assert answer["series"] == name
    assert answer["observations"] == len(bodies)


def test_a_gap_counts_as_missing(tmp_path):
    """Rows that are absent are steps without an observation, as in a file."""
    with kept("panel", tmp_path) as streams:
        streams.update("7", b"day,y\n2020-01,3\n", CSV)
        found, steps = streams.update("7", b"day,y\n2020-05,4\n", CSV)
        assert steps == 4
        whole_one, _ = streams.update("7 again", b"day,y\n2020-01,3\n2020-05,4\n", CSV)
        own, _ = streams.update("8", b"day,y\n2020-01,3\n", CSV)
    assert found["time"] == "2020-05"
    assert found["predictions"][0]["day"] == "2020-06"
    assert found["predictions"][0]["std"] > own["predictions"][0]["std"] * 0.5
    # The offset of an unknown name is another one, and changes nothing.
    for a, b in zip(found["predictions"], whole_one["predictions"]):
        assert a["mean"] == pytest.approx(b["mean"], rel=1e-9)
        assert a["std"] == pytest.approx(b["std"], rel=1e-9)


def test_what_is_refused_changes_nothing(tmp_path):
    with kept("panel", tmp_path) as streams:
        with pytest.raises(Refused, match="no series 'a' yet") as caught:
            streams.answer("a")
        assert caught.value.status == 404
        answer, _ = streams.update("a", b"day,y\n2020-01,3\n2020-02,2\n", CSV)
        for body, message in (
            (b"day,y\n2020-02,3\n", "2020-02"),
            (b"day,y\n2020-03,\n", "there is no observation after 2020-02"),
            (b"day,y\n2020-03,x\n", "'x' is not a finite number"),
            (b"day\n2020-03\n", "y"),
            (b"day,y\n2929-03,1\n", "at most 10000"),
        ):
            with pytest.raises(Refused, match=message) as caught:
                streams.update("a", body, CSV)
            assert caught.value.status == 422
            assert streams.answer("a") == answer
        with pytest.raises(Refused, match="1 to 200 characters"):
            streams.answer("a" * 201)
        streams.forget("a")
        with pytest.raises(Refused, match="no series 'a'"):
            streams.forget("a")


def test_states_of_another_model(tmp_path):
    with kept("panel", tmp_path) as streams:
        streams.update("7", b"day,y\n2020-01,3\n", CSV)
    with kept("standardized", tmp_path) as streams:
        with pytest.raises(Refused, match="of another model") as caught:
            streams.update("7", b"day,y\n2020-02,3\n", CSV)
        assert caught.value.status == 409
        streams.forget("7")


def test_what_cannot_keep_states(tmp_path):
    with pytest.raises(JobError, match="no state can be kept for this model"):
        Streams(Service(str(trained("gp")), "cpu"), str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot keep states"):
        Streams(Service(str(trained("panel")), "cpu"), str(tmp_path / "file"))
    taken, refused = str(tmp_path / "states"), pytest.raises(JobError, match="another server")
    with kept("panel", taken), refused:
        Streams(Service(str(trained("panel")), "cpu"), taken)


def test_until_the_initial_states_are_known(tmp_path):
    with kept("standardized", tmp_path) as streams:
        first, _ = streams.update("7", b"day,y\n2020-01,3\n", CSV)
        assert first["predictions"] == []
        second, _ = streams.update("7", b"day,y\n2020-02,4\n", CSV)
        assert len(second["predictions"]) == 2


@contextlib.contextmanager
def process(folder, states):
    command = [sys.executable, "-m", "gluon_linalg.jobs", "serve", str(folder), "--port", "0"]
    running = subprocess.Popen(
        [*command, "--context", "cpu", "--states", str(states)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = running.stdout.readline()
        assert line.startswith(f"{folder}: http://127.0.0.1:"), line
        yield running, int(line.split(" ")[1].rpartition(":")[2])
    finally:
        running.kill()
        running.communicate()


def test_a_killed_server_goes_on(tmp_path):
    """Over HTTP: what was answered before the kill is there after it."""
    bodies, path = list(requests_of("panel")), "/series/7"
    states, answer = tmp_path / "states", None
    for number, part in enumerate((bodies[:2], bodies[2:4])):
        with process(trained("panel"), states) as (running, port):
            if number:
                assert json.loads(ask(port, path=path)[2]) == answer
            for body in part:
                status, headers, text = ask(port, body.decode(), CSV, path=path)
                assert (status, headers["Content-Type"]) == (200, JSON)
                answer = json.loads(text)
            if number:
                assert ask(port, bodies[0].decode(), CSV, path=path)[0] == 422
                assert json.loads(ask(port, path=path)[2]) == answer
                row = b'{"instances": [{"day": "2020-05", "y": 2.5}]}'
                assert json.loads(ask(port, row, path=path)[2])["observations"] == 5
                assert ask(port, path="/series/8")[0] == 404
                assert ask(port, method="DELETE", path=path)[0] == 200
                assert ask(port, path=path)[0] == 404
                document = json.loads(ask(port, path="/openapi.json")[2])
                assert set(document["paths"]["/series/{name}"]) == {"get", "post", "delete"}
            running.send_signal(signal.SIGKILL)
            running.wait()
