"""Several series that grow together: row by row equals the whole, also where columns are empty."""

import csv
import json

import numpy as np
import pytest
import yaml
from small_job import changed
from small_serving import CSV
from test_multivariate_job import JOB, STEPS, series, table

from gluon_linalg.jobs.predict import predict_file
from gluon_linalg.jobs.serving.refused import Refused
from gluon_linalg.jobs.serving.service import Service
from gluon_linalg.jobs.serving.streams import Streams

RELATED = {
    "model": {"process": {"related": {"components": [{"level": {}}]}}},
    "data.covariates": ["x"],
    "data.target_scaling": "standardize",
    "levels": [80, 95],
    "forecast": {"steps": 2},
}
KINDS = {"common levels with a covariate": RELATED, "counted rows": {"data.time": None}}


@pytest.mark.parametrize("kind", KINDS)
def test_one_by_one_equals_the_whole(kind, run, workspace):
    job = changed(JOB, KINDS[kind])
    if kind == "counted rows":
        job["data"].pop("step")
    (workspace / "table.csv").write_text(table(*series()))
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    assert run("train", "job.yaml")[0] == 0
    header, *rows = [line.split(",") for line in table(*series()).splitlines()]
    steps = job["forecast"]["steps"]
    folder, states = str(workspace / "out"), str(workspace / "states")

    def told(streams, begin, end):
        """The answer after rows, and the covariates of those that a forecast needs."""
        later = [[year, "", "", "", x] for year, _, _, _, x in rows[end : end + steps]]
        lines = [header, *rows[begin:end], *(later if "covariates" in job["data"] else [])]
        body = "\n".join(",".join(cells) for cells in lines) + "\n"
        return streams.update("all", body.encode(), CSV)[0]

    streams = Streams(Service(folder, "cpu"), states)
    # Of the second column nothing is observed in step 7, of neither in step 8.
    for begin, end in ((0, 1), (1, 7), (7, 8), (8, 10), (10, STEPS)):
        answer = told(streams, begin, end)
        assert answer["observations"] == int((~np.isnan(series()[0][:end, :2])).sum())
    last = STEPS + steps if "covariates" in job["data"] else STEPS
    with open(workspace / "new.csv", "w", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows[:last]])
    predict_file(folder, "new.csv", "right.csv", "cpu")
    with open("right.csv", encoding="utf-8") as file:
        right = list(csv.DictReader(file))
    assert len(right) == len(answer["predictions"]) == 2 * steps
    for found, expected in zip(answer["predictions"], right):
        assert list(found) == list(expected)
        name, label, *rest = found
        assert [str(found[name]), str(found[label])] == [expected[name], expected[label]]
        assert [found[k] for k in rest] == pytest.approx([float(expected[k]) for k in rest], 1e-8)
        if "levels" in KINDS[kind]:
            assert rest == ["mean", "std", "lower_80", "upper_80", "lower_95", "upper_95"]
    with pytest.raises(Refused, match="there is no observation after"):
        streams.update("all", b"year,a,b,q,x\n1990,,,,1\n1991,,,,1\n1992,,,,1\n", CSV)
    assert streams.answer("all") == answer
    streams.close()


def test_what_the_observations_leave_open_has_no_rows(run, workspace):
    """The first row has one of two columns: the other one is open until it is seen."""
    (workspace / "table.csv").write_text(table(*series()))
    job = changed(JOB, {**RELATED, "data.covariates": []})
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    assert run("train", "job.yaml")[0] == 0
    metrics = json.loads((workspace / "out" / "metrics.json").read_text())
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"]
    streams = Streams(Service(str(workspace / "out"), "cpu"), str(workspace / "states"))
    answer, _ = streams.update("new", b"year,a,b\n2000,,1.5\n", CSV)
    assert {row["series"] for row in answer["predictions"]} == {"b"}
    answer, _ = streams.update("new", b"year,a,b\n2001,2,\n", CSV)
    assert {row["series"] for row in answer["predictions"]} == {"a", "b"}
    with pytest.raises(Refused, match="columns 'a', 'b': no value is observed"):
        streams.update("newer", b"year,a,b\n2001,,\n", CSV)
    streams.close()
