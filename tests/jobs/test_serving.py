"""The HTTP service in this process: what it answers, and what it refuses."""

import contextlib
import csv
import json
import logging
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import small_forecast_job
from jsonschema import Draft202012Validator
from small_serving import (
    CSV,
    FEATURE_JOBS,
    GENEROUS,
    JOBS,
    JSON,
    ROWS,
    TEXTS,
    Servers,
    as_json,
    ask,
    rows_of_table,
    serving,
    trained,
)

from gluon_linalg.jobs.predict import predict_file
from gluon_linalg.jobs.serving.server import Limits, listen
from gluon_linalg.jobs.serving.worker import MOST_WAITING


@pytest.fixture(scope="module")
def servers():
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="module")
def server(servers):
    return servers("gp")


def predicted(folder, text, path):
    """What `gluon-linalg predict` writes for the CSV text."""
    path.write_text(text, encoding="utf-8")
    predict_file(folder, path, path.with_suffix(".out"), "cpu")
    return path.with_suffix(".out").read_bytes()


@pytest.mark.parametrize("task", JOBS)
def test_answers_are_those_of_predict(servers, task, tmp_path):
    expected = predicted(trained(task), ROWS[task], tmp_path / "new.csv")
    rows = [
        {n: cell if n in TEXTS else float(cell) for n, cell in row.items()}
        for row in csv.DictReader(expected.decode().splitlines())
    ]
    assert len(rows) > 1
    port, table, document = servers(task).port, ROWS[task], as_json(ROWS[task])
    status, headers, body = ask(port, table, CSV)
    assert (status, headers["Content-Type"], body) == (200, f"{CSV}; charset=utf-8", expected)
    status, headers, body = ask(port, document)
    assert (status, headers["Content-Type"]) == (200, JSON)
    assert json.loads(body) == {"predictions": rows}
    assert json.loads(ask(port, table, CSV, accept=JSON)[2]) == {"predictions": rows}
    status, _, body = ask(port, document, accept=CSV)
    found = csv.DictReader(body.decode().splitlines())
    assert [{n: c if n in TEXTS else float(c) for n, c in row.items()} for row in found] == rows


def test_json_numbers_keep_their_digits(server):
    """Rows are labelled with what was sent, and 0.1 is read as a file's 0.1 is."""
    body = b'{"instances": [{"x": 0.10, "id": 3}, {"x": -3E-1}]}'
    _, _, answer = ask(server.port, body, accept=CSV)
    assert [line.split(",")[0] for line in answer.decode().split()] == ["x", "0.10", "-3E-1"]
    assert answer == ask(server.port, b"x\n0.10\n-3E-1\n", CSV)[2]


def test_ping(server, monkeypatch):
    status, _, body = ask(server.port, path="/ping")
    assert (status, json.loads(body)) == (200, {"status": "ok"})

    def broken():
        raise RuntimeError("no answer")

    monkeypatch.setattr(server.service, "check", broken)
    assert ask(server.port, path="/ping")[0] == 500


def as_numbers(row):
    return {name: v if name in TEXTS or not v else float(v) for name, v in row.items()}


@pytest.mark.parametrize("task", JOBS)
def test_description_names_the_columns(servers, task):
    port = servers(task).port
    document = json.loads(ask(port, path="/openapi.json")[2])
    operation = document["paths"]["/invocations"]["post"]
    request = operation["requestBody"]["content"]
    row = request[JSON]["schema"]["properties"]["instances"]["items"]
    row = row["anyOf"][0] if JOBS[task]["task"] == "forecast" else row
    header = set(next(rows_of_table(ROWS[task])))
    assert set(row["properties"]) == set(row["required"]) == header
    # The examples are requests that work, the JSON one and the CSV one the same.
    status, _, body = ask(port, json.dumps(request[JSON]["example"]))
    assert status == 200
    answers = operation["responses"]["200"]["content"]
    columns = answers[JSON]["schema"]["properties"]["predictions"]["items"]["properties"]
    assert list(json.loads(body)["predictions"][0]) == list(columns)
    assert body == ask(port, request[CSV]["example"], CSV, accept=JSON)[2]
    assert json.loads(body) == answers[JSON]["example"]
    assert ask(port, request[CSV]["example"], CSV)[2].decode() == answers[CSV]["example"]
    # They are rows of the data.
    table = trained(task).parent / JOBS[task]["data"]["path"]
    rows = [as_numbers(found) for found in rows_of_table(table.read_text(encoding="utf-8"))]
    for found in request[JSON]["example"]["instances"]:
        known = {n: v for n, v in found.items() if v is not None}
        assert any(as_numbers(known).items() <= own.items() for own in rows)
    if task == "business":
        # The file told which number is the day; the last dates alone do not.
        assert len(request[JSON]["example"]["instances"]) == 3
    if task == "statespace":
        assert {"type": "null"} in row["properties"]["price"]["anyOf"]
        assert request[JSON]["example"]["instances"][-1]["y"] is None
    if task == "panel":
        assert row["properties"]["shop"] == columns["shop"] == {"type": "string"}


@pytest.mark.parametrize("task, column", [("gp", "x"), ("statespace", "y"), ("panel", "shop")])
def test_what_is_described_is_what_is_taken(servers, task, column):
    port = servers(task).port
    document = json.loads(ask(port, path="/openapi.json")[2])
    request = document["paths"]["/invocations"]["post"]["requestBody"]["content"][JSON]
    is_described = Draft202012Validator(request["schema"]).is_valid
    first, *others = request["example"]["instances"]
    bodies = [{"instances": [{**first, column: v}, *others]} for v in (None, [1], {}, True, "a")]
    rest = {name: value for name, value in first.items() if name != column}
    bodies += [{"instances": rows} for rows in ([rest, *others], [1, *others], [], {}, None)]
    bodies += [{**request["example"], "parameters": {}}, {}, [], request["example"]]
    bodies += [{"instances": [{**first, "another": {}}, *others]}]
    for body in bodies:
        status, _, answer = ask(port, json.dumps(body))
        assert (status == 200) == is_described(body), (body, answer)


@pytest.mark.parametrize("task", FEATURE_JOBS)
def test_series_with_features(servers, task, tmp_path):
    """Whole series, as JSON lines have them: no table has features."""
    port, path = servers(task).port, tmp_path / "new.jsonl"
    found = list(small_forecast_job.with_features())[1:]
    path.write_text("\n".join(map(json.dumps, found)))
    predict_file(trained(task), path, path.with_suffix(".csv"), "cpu")
    expected = path.with_suffix(".csv").read_bytes()
    assert ask(port, json.dumps({"instances": found}), accept=CSV)[2] == expected
    rows = list(csv.DictReader(expected.decode().splitlines()))
    assert [row["item"] for row in rows] == 4 * ["b"] + 4 * ["c"]
    document = json.loads(ask(port, path="/openapi.json")[2])
    request = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert list(request) == [JSON]
    answers = document["paths"]["/invocations"]["post"]["responses"]["200"]["content"]
    for kind in (JSON, CSV):
        status, _, body = ask(port, json.dumps(request[JSON]["example"]), accept=kind)
        example = answers[kind]["example"]
        assert status == 200 and body.decode() == (example if kind == CSV else json.dumps(example))
    # What is missing or wrong is named.
    del found[1]["feat_dynamic_real"]
    status, _, body = ask(port, json.dumps({"instances": found}))
    assert status == 422 and b"'c': there is no feat_dynamic_real" in body
    status, _, body = ask(port, "timestamp,target\n2020-01,1\n", CSV)
    assert status == 422 and b"feat_dynamic_real" in body and b"rows do not have" in body
    status, _, body = ask(port, '{"instances": [{"start": "2020-01", "target": [1, "x"]}]}')
    assert status == 422 and b"series 1: target" in body
    status, _, body = ask(port, '{"instances": [{"start": "2020-01", "target": [1]}, 2]}')
    assert status == 422 and b"series 2: expected an object" in body


def test_whole_series_where_rows_are_taken(servers):
    """A forecast takes both; rows of numbers are no series."""
    values = [7.0, 9.5, 8.25, 7.5]
    times = [f"2020-0{month}" for month in range(1, 5)]
    whole = {"item_id": "a", "start": times[0], "target": values}
    rows = [{"shop": "a", "day": time, "y": value} for time, value in zip(times, values)]
    answers = [
        ask(servers("forecast").port, json.dumps({"instances": instances}))
        for instances in ([whole], rows)
    ]
    assert answers[0][0] == answers[1][0] == 200 and answers[0][2] == answers[1][2]
    status, _, body = ask(servers("gp").port, json.dumps({"instances": [whole]}))
    assert status == 422 and b"expected a number" in body


def test_head_is_get_without_a_body(server):
    pages = ["/ping", "/docs", "/openapi.json"]
    page = ask(server.port, path="/docs")[2].decode()
    pages += [word for word in page.split('"') if word.startswith("/static")]
    assert len(pages) > 4
    for path in pages:
        status, headers, body = ask(server.port, path=path)
        found = ask(server.port, method="HEAD", path=path)
        assert (status, found[0], found[2]) == (200, 200, b""), path
        assert found[1]["Content-Type"] == headers["Content-Type"]
        assert int(found[1]["Content-Length"]) == len(body)
    document = json.loads(ask(server.port, path="/openapi.json")[2])
    assert list(document["paths"]["/ping"]) == ["get"]


def test_page_needs_no_other_host(server):
    status, headers, page = ask(server.port, path="/docs")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert b"//" not in page.replace(b"// ", b""), "an address of another host"
    assert b'"validatorUrl": null' in page
    for word in page.decode().split('"'):
        if word.startswith("/static"):
            assert ask(server.port, path=word)[0] == 200


def test_accept_chooses_the_format(server):
    def answered(accept, kind=JSON):
        body = as_json(ROWS["gp"]) if kind == JSON else ROWS["gp"]
        status, headers, _ = ask(server.port, body, kind, accept)
        return headers["Content-Type"].split(";")[0] if status == 200 else status

    assert answered(None) == answered("*/*") == answered("application/*") == JSON
    assert answered(None, CSV) == answered("*/*", CSV) == answered("TEXT/CSV; q=0.5") == CSV
    assert answered("application/json;q=0.1, text/csv;q=0.9") == CSV
    assert answered("text/html, */*;q=0.1") == JSON
    assert answered("text/html") == answered("application/json;q=0, text/csv;q=x") == 406


def test_content_types(server):
    def status(kind, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(server.port, ROWS["gp"], kind, headers=names)[0]

    assert status("text/csv; charset=UTF-8") == status('Text/CSV; charset="utf-8"') == 200
    assert status("text/csv; header=present") == status(CSV, Content_Encoding="identity") == 200
    assert status(None) == status("text/plain") == status("text/csv; charset=latin-1") == 415
    assert status(CSV, Content_Encoding="gzip") == 415


def test_byte_order_mark(server):
    assert ask(server.port, b"\xef\xbb\xbf" + ROWS["gp"].encode(), CSV)[0] == 200
    assert ask(server.port, b"\xef\xbb\xbf" + as_json(ROWS["gp"]).encode())[0] == 200


def test_size_limits(server):
    limit = GENEROUS.most_bytes
    padded = as_json(ROWS["gp"]).ljust(limit).encode()
    assert ask(server.port, padded)[0] == 200
    status, headers, body = ask(server.port, padded + b" ")
    assert (status, headers["Connection"]) == (413, "close") and b"100000 bytes" in body
    # Without a length, in chunks.
    assert ask(server.port, iter([padded]))[0] == 200
    assert ask(server.port, iter([padded, b" "]))[0] == 413
    rows = "x\n" + "1\n" * GENEROUS.most_rows
    assert ask(server.port, rows, CSV)[0] == 200
    assert ask(server.port, as_json(rows))[0] == 200
    for body, kind in ((rows + "1\n", CSV), (as_json(rows + "1\n"), JSON)):
        status, _, answer = ask(server.port, body, kind)
        assert status == 413 and b"1001 rows; at most 1000" in answer


def test_an_endless_body_is_cut_off(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(10)
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        sent, chunk = 0, b"10000\r\n" + b"1" * 0x10000 + b"\r\n"
        with pytest.raises(OSError):
            while sent < 500 * GENEROUS.most_bytes:
                connection.sendall(chunk)
                sent += 0x10000
    # What is in the buffers of the system comes on top.
    assert sent < 200 * GENEROUS.most_bytes
    assert ask(server.port, ROWS["gp"], CSV)[0] == 200


def test_absent_steps_count_as_rows(servers):
    table = "year,price,y\n1,0,1\n1999,0,1\n" + "".join(f"{1999 + i},0,\n" for i in (1, 2, 3))
    status, _, body = ask(servers("statespace").port, table, CSV)
    assert status == 413 and b"1999 rows; at most 1000" in body


def held(service, released):
    """A service that does not answer before the event `released`."""

    def answer(*arguments):
        assert released.wait(60)
        return service.answer(*arguments)

    return SimpleNamespace(**{**vars(service), "check": service.check, "answer": answer})


def eventually(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_slow_answer_is_given_up(server):
    released, limits = threading.Event(), Limits(1000, 1000, 0.3)
    with serving(None, limits, held(server.service, released)) as running:
        status, _, body = ask(running.port, ROWS["gp"], CSV)
        assert status == 503 and b"no answer within 0.3 s" in body
        # Still computing, for nobody: the model does not answer.
        eventually(lambda: ask(running.port, path="/ping")[0] == 503)
        assert b"has been computing" in ask(running.port, path="/ping")[2]
        status, _, body = ask(running.port, ROWS["gp"], CSV)
        assert status == 503
        released.set()
        eventually(lambda: ask(running.port, path="/ping")[0] == 200)
        assert ask(running.port, ROWS["gp"], CSV)[0] == 200


def test_too_many_are_not_kept_waiting(server):
    released, statuses = threading.Event(), []
    with serving(None, GENEROUS, held(server.service, released)) as running:

        def ask_once():
            statuses.append(ask(running.port, ROWS["gp"], CSV)[0])

        running.worker.waiting = MOST_WAITING - 2
        threads = [threading.Thread(target=ask_once) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(statuses) == 2)
        # Busy, but for less than the time limit: as healthy as can be.
        assert ask(running.port, path="/ping")[0] == 200
        released.set()
        for thread in threads:
            thread.join()
        assert statuses == [503, 503, 200, 200]


def test_a_body_that_does_not_end(server):
    with serving(None, Limits(1000, 1000, 0.3), server.service) as running:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 100\r\n\r\nx\n"
            )
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 408") and b"did not arrive within 0.3 s" in answer
        assert time.monotonic() - began < 5
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 100\r\n\r\nx\n"
            )
        assert ask(running.port, ROWS["gp"], CSV)[0] == 200


def test_an_error_of_the_server_is_no_answer(server, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(server.service, "answer", broken)
    status, _, body = ask(server.port, ROWS["gp"], CSV)
    assert status == 500 and b"a bug" not in body
    # It is logged after the answer.
    eventually(lambda: "RuntimeError: a bug" in caplog.text)


def test_log_lines(server, monkeypatch):
    lines = []
    monkeypatch.setattr(
        "gluon_linalg.jobs.serving.access_log.log.event", lambda name, **f: lines.append((name, f))
    )
    ask(server.port, ROWS["gp"], CSV)
    ask(server.port, "x\na\n", CSV)
    ask(server.port, path="/nothing%0a{}")
    eventually(lambda: len(lines) == 3)
    (good, bad, nothing) = [fields for _, fields in lines]
    assert {name for name, _ in lines} == {"request"}
    assert (good["method"], good["path"], good["status"]) == ("POST", "/invocations", 200)
    assert good["rows"] == 3 and good["milliseconds"] > 0 and good["client"] == "127.0.0.1"
    assert bad["status"] == 422 and "'a' is not a finite number" in bad["error"]
    assert nothing["status"] == 404 and nothing["path"] == "/nothing\n{}"


def test_uvicorn_says_nothing_of_ordinary_requests(server, caplog):
    with caplog.at_level(logging.INFO):
        ask(server.port, path="/ping")
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_connections_do_not_wait_to_send():
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
