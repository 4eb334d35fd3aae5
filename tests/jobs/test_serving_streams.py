"""Series that grow: one by one equals the whole, a killed server goes on, what is refused."""

import contextlib
import csv
import http.client
import io
import json
import os
import signal
import subprocess
import sys
from urllib.parse import quote

import pytest
from small_job import ROOT
from small_serving import CSV, JSON, ROWS, ask, serving, trained

from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.predict import TrainedModel, predict_file
from gluon_linalg.jobs.serving.service import Service
from gluon_linalg.jobs.serving.streams import Streams
from gluon_linalg.jobs.statespace import streaming

TASKS = ["statespace", "counted", "panel", "semicolons"]


def parts_of(task):
    """The header, and the rows of a series; of a panel those of one, without its name."""
    header, *rows = ROWS[task].split("\n")[:-1]
    if task == "panel":
        header, rows = "day,y", [row[2:] for row in rows if row.startswith("7,")]
    return header, rows


@contextlib.contextmanager
def streams_of(task, folder):
    """The `Streams` of a trained model, without a server."""
    streams = Streams(Service(str(trained(task)), "cpu"), str(folder))
    try:
        yield streams
    finally:
        streams._lock.close()


def whole(task, text, path):
    """What `predict` forecasts from all rows, as numbers by column."""
    if task == "panel":
        header, *rows = text.split("\n")[:-1]
        text = "\n".join([f"shop,{header}", *(f"7,{row}" for row in rows), ""])
    path.write_text(text, encoding="utf-8")
    predict_file(trained(task), path, path.with_suffix(".out"), "cpu")
    rows = csv.DictReader(io.StringIO(path.with_suffix(".out").read_text(encoding="utf-8")))
    return [{k: v for k, v in row.items() if k != "shop"} for row in rows]


def numbers(rows):
    return [[float(row[k]) for k in ("mean", "std", "lower_95", "upper_95")] for row in rows]


@pytest.mark.parametrize("task", TASKS)
def test_one_by_one_equals_the_whole(task, tmp_path):
    """Each row alone, with the covariates of the steps after it; the server restarted between."""
    header, rows = parts_of(task)
    ahead = {"statespace": 3, "semicolons": 2}.get(task, 0)
    count = len(rows) - ahead
    name = "7" if task == "panel" else "a/b ü"
    place = header.replace(";", ",").split(",").index("y")
    separator = ";" if ";" in header else ","

    def known(row):
        """The row without its target."""
        cells = row.split(separator)
        cells[place] = ""
        return separator.join(cells)

    for index in range(count):
        with contextlib.ExitStack() as stack:
            if index in (0, 3):
                streams = stack.enter_context(streams_of(task, tmp_path / "states"))
            own = [rows[index], *(known(row) for row in rows[index + 1 : index + 1 + ahead])]
            if not rows[index].split(separator)[place]:
                # A missing observation is told by the next one.
                continue
            before = [rows[index - 1]] if index and not known_y(rows[index - 1], separator, place) else []
            body = "\n".join([header, *before, *own, ""]).encode()
            if index in (0, 3):
                stack.pop_all()
                if index == 0:
                    first = streams
                else:
                    first._lock.close()
            answer, _ = streams.update(name, body, CSV)
        if index == 2:
            streams._lock.close()
    text = "\n".join([header, *rows, ""])
    right = whole(task, text, tmp_path / "new.csv")
    found = answer["predictions"]
    label = next(iter(right[0]))
    assert [str(row[label]) for row in found] == [row[label] for row in right]
    for a, b in zip(numbers(found), numbers(right)):
        assert a == pytest.approx(b, rel=1e-9)
    assert streams.answer(name) == json.loads(json.dumps(answer))
    streams._lock.close()


def known_y(row, separator, place):
    return row.split(separator)[place] != ""
