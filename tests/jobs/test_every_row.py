"""A row is answered for each row, or one line says which is wrong: none is passed over."""

import contextlib
import csv
import io
import json

import numpy as np
import pytest
import yaml
from small_job import JOB, changed
from small_serving import CSV, JSON, Servers, as_json, ask, serving, trained

from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.predict import predict_file
from gluon_linalg.jobs.reading import read_job
from gluon_linalg.jobs.train import train

GOOD = {
    "gp": "x\n0.5\n1.5\n2.5\n",
    "blr": "z,x\n1,0.1\n2,1.5\n3,-3\n",
    "pca": "y,z,x\n1,0.1,5\n2,1.5,0\n0,1,2\n",
    "lda": "y,x\n1,0.1\n2,1.5\n0,1\n",
    "dates": "day\n2020-07\n2021-02-03\n2021-03-01\n",
    "statespace": "year,price,y\n1,2,3\n2,1,4\n3,0,3.5\n4,1,\n5,1,\n6,1,\n",
    "panel": "shop,day,y\n7,2020-01,1\n7,2020-02,3\n8,2020-02,2\n",
    "forecast": "shop,day,y\na,2020-01,1\na,2020-02,2\na,2020-03,0\n",
}


@pytest.fixture(scope="module")
def servers():
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("task", GOOD)
def test_rows_without_values(servers, tmp_path, task, place):
    """Empty cells in CSV, nulls and empty texts in JSON; at the beginning, inside, at the end."""
    port = servers(task).port
    assert ask(port, GOOD[task], CSV)[0] == 200
    header, *rows = GOOD[task].splitlines()
    at = place % (len(rows) + 1)
    # A line of a table of one column is empty without quotes, too, but at the end of the file.
    empty = "," * header.count(",") or '""'
    table = "\n".join([header, *rows[:at], empty, *rows[at:], ""])
    number = at + 2
    status, _, body = ask(port, table, CSV)
    assert status == 422 and f"row {number}" in json.loads(body)["error"], body
    (tmp_path / "new.csv").write_text(table)
    with pytest.raises(JobError, match=f"row {number}"):
        predict_file(trained(task), tmp_path / "new.csv", tmp_path / "out.csv", "cpu")
    instances = json.loads(as_json(GOOD[task]))["instances"]
    for nothing in (None, ""):
        instances.insert(at, dict.fromkeys(instances[0], nothing))
        status, _, body = ask(port, json.dumps({"instances": instances}))
        assert status == 422 and f"row {at + 1}" in json.loads(body)["error"], body
        del instances[at]


@pytest.mark.parametrize("task, column", [("gp", "x"), ("dates", "day")])
def test_blank_lines_of_one_column(servers, task, column):
    """These are rows, as they are for pandas; in a table of several they are none."""
    header, *rows = GOOD[task].splitlines()
    table = "\n".join([header, rows[0], "", *rows[1:], "", ""])
    status, _, body = ask(servers(task).port, table, CSV)
    assert status == 422 and f"row 3, column '{column}': the cell is empty" in body.decode()
    status, _, body = ask(servers("blr").port, "z,x\n1,2\n\n\n3,4\n\n", CSV, accept=JSON)
    assert status == 200 and len(json.loads(body)["predictions"]) == 2


@pytest.mark.parametrize("task", ["gp", "blr", "pca", "lda", "dates"])
def test_a_row_for_each_row(servers, task):
    """In their order."""
    header, *rows = GOOD[task].splitlines()
    alone = [
        json.loads(ask(servers(task).port, f"{header}\n{row}\n", CSV, accept=JSON)[2])
        for row in rows
    ]
    together = json.loads(ask(servers(task).port, GOOD[task], CSV, accept=JSON)[2])
    assert len(together["predictions"]) == len(rows) == 3
    for found, own in zip(together["predictions"], alone):
        (own,) = own["predictions"]
        assert found.keys() == own.keys()
        numbers = [name for name in own if isinstance(own[name], float)]
        np.testing.assert_allclose(
            [found[name] for name in numbers], [own[name] for name in numbers], rtol=1e-5
        )


@pytest.mark.parametrize("separator", [";", "\t"])
def test_bodies_from_spreadsheets(servers, separator):
    """The answer is plain CSV."""
    port, table = servers("blr").port, "z,x\n1,0.25\n2,1.5\n"
    other = table.replace(",", separator).replace(".", ",").replace("\n", "\r\n")
    expected = ask(port, table, CSV)
    for body in (other.encode(), b"\xef\xbb\xbf" + other.encode(), other.encode("utf-16")):
        status, _, answer = ask(port, body, CSV)
        assert (status, answer) == (200, expected[2])
    status, _, answer = ask(port, f"sep={separator}\r\n{other}", CSV)
    assert (status, answer) == (200, expected[2])


def test_names_and_truth_values(workspace):
    """Rows of a model with a column of names and one of True and False."""
    (workspace / "table.csv").write_text(
        "x,region,open,y\n"
        + "".join(f"{i},{'ab'[i % 2]},{i % 3 == 0},{i * i % 7}\n" for i in range(12))
    )
    changes = {"data.inputs": ["x", "region", "open"], "data.categorical": ["region"]}
    job = changed(JOB, {**changes, "training.iterations": 0})
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    train(read_job("job.yaml"))
    with serving(workspace / "out") as running:
        rows = "region,x,open\na,1,True\nb,2,False\n"
        status, _, body = ask(running.port, rows, CSV, accept=JSON)
        assert status == 200
        found = json.loads(body)["predictions"]
        assert [(row["region"], row["open"]) for row in found] == [("a", 1.0), ("b", 0.0)]
        instances = [{"x": 1, "region": "a", "open": 1}, {"x": 2, "region": "b", "open": 0}]
        answer = ask(running.port, json.dumps({"instances": instances}))
        assert [row["mean"] for row in json.loads(answer[2])["predictions"]] == [
            row["mean"] for row in found
        ]
        instances[1]["region"] = "c"
        status, _, body = ask(running.port, json.dumps({"instances": instances}))
        assert status == 422
        assert (
            "row 2, column 'region': 'c' is none of the levels of the training: a, b"
            in (json.loads(body)["error"])
        )
        instances[1].update(region="b", open=True)
        assert (
            b"1 for true, 0 for false" in ask(running.port, json.dumps({"instances": instances}))[2]
        )
        answer = ask(running.port, rows, CSV)[2].decode()
        assert next(csv.DictReader(io.StringIO(answer)))["open"] == "True"
