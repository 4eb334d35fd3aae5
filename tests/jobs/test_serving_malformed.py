"""Malformed requests: each is refused in one line, and changes nothing for the next good one."""

import contextlib
import http.client
import json
import socket

import numpy as np
import pytest
from small_serving import CSV, JSON, Servers, ask

from gluon_linalg.jobs.kinds import NAMES

# A short table of each task that is answered.
GOOD = {
    "gp": "x\n0.5\n1.5\n",
    "blr": "x,z\n0.5,1\n1.5,2\n",
    "statespace": "year,price,y\n1,2,3\n2,1,4\n3,0,3.5\n4,1,\n5,1,\n6,1,\n",
    "multivariate": "x,y\n0.5,1\n1.5,2\n",
    "pca": "x,z,y\n0.5,1,2\n1.5,2,3\n",
    "lda": "x,y\n0.5,1\n1.5,2\n",
    "forecast": "y,shop,day\n0.5,a,2020-01\n1.5,a,2020-02\n",
}
TEXTS = ("a", "2020-01")
# What JSON can hold in place of a number, and what it cannot.
WRONG_VALUES = [
    '"text"', '"1.5"', '""', '"NaN"', "true", "false", "[]", "[1]", "{}", '{"a": 1}', "[[[1]]]",
    "NaN", "Infinity", "-Infinity", "nan", "inf", "1e999", "-1e999", "1" + "0" * 400,
    "-1" + "0" * 9000, "01", "+1", "1.", ".5", "0x10", "1_000", "1,5", "--1", "1e", "undefined",
    "None", "'1'", '"\\ud800"', '"\\u0000"', '"é"', '"\\x41"', '"1958-13"', '"unfinished',
    "\x00", "\t", "", "1 2", "/* 1 */ 1", "1}", "1]", "[1", "{1", '"\U0001f600"', "\u0661",
]  # fmt: skip
WRONG_CELLS = [
    "text", "nan", "NaN", "inf", "-inf", "Infinity", "1e999", "-1e999", "1" * 400, "1" * 200_000,
    "0x10", "1_000", "1 000", "--1", "1e", "1.2.3", "1,5", "None", "null", "true", "\x00", "\x07",
    "é", "\U0001f600", "\u0661", '"', '"1', '1"2"', "1;2", "2020-13", "2020-02-30", "1958-03",
    "=1+1", "$5", "5 %", "\u22125", "1\u00a02", "[1]", "{}", "<1>", "1/2",
]  # fmt: skip
WRONG_DOCUMENTS = [
    "", " ", "\n\n", "null", "true", "0", "1.5", '"text"', "[]", "{}", "[1, 2]", "[[0.5]]", "}",
    "{", "[", "{]", '{"instances"}', '{"instances":', '{"instances": [}', '{"instances": {}}', "][",
    '{"instances": null}', '{"instances": 1}', '{"instances": "x"}', '{"instances": []}',
    '{"instances": [[]]}', '{"instances": [null]}', '{"instances": [1.5]}', '{"instances": [{}]}',
    '{"instances": ["x"]}', '{"instances": [{"unknown": 1}]}', '{"instances": [{"X": 1}]}',
    '{"Instances": []}', '{"inputs": [[1]]}', '{"data": {"ndarray": [[1]]}}',
    "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"instances": ' * 5000,
    '{"a":' * 50_000 + "1" + "}" * 50_000, '{"instances": ' + "[" * 900 + "]" * 900 + "}",
    "\ufeff", "\ufeff\ufeff{}", "x\n0.5\n", "<xml/>", "instances=1", "// {}", "'{}'",
    "\\u007b\\u007d", '{"instances": [{"\\ud800": 1}]}', '{"instances": [{}], "\\udfff": 1}',
]  # fmt: skip
WRONG_TABLES = [
    "", " ", "\n", "\n\n\n", ",", ",,,\n,,,", "\ufeff", '"', '"\n', "0.5", "0.5\n1.5\n",
    "unknown\n1\n", "x\n", "X,Z,Y\n1,2,3\n", "x;z\n1,2\n", "sep=;\nx,z\n1,2\n", "x|z\n1|2\n",
    "{}", "[]", "null", "\x00", "\x00\x00\n\x00", "\r", "x" * 10_000, "," * 50_000, "é,ü\n1,2\n",
    "%PDF-1.7", "x,x,z,y,year,price\n1,2,3,4,5,6\n", "year,year,y,price\n1,2,3,4\n",
    "\n".join("1" * 2000), '"x""\n1\n',
]  # fmt: skip
BINARY = [
    b"\xff\xfe", b"\x80", b"\x00\xff" * 100, bytes(range(256)), b"\x1f\x8b\x08\x00", b"\xc3\x28",
    b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", '{"instances": []}'.encode("utf-16"),
    "x\n1\n".encode("utf-16-le"), b'{"instances": [{"x": "\xff"}]}',
    b"x,z,y,year,price\n\xff,1,1,1,1",
    np.random.default_rng(0).bytes(5000),
]  # fmt: skip
WRONG_TYPES = [
    None, "", "text/plain", "application/xml", "application/x-npy", "application/jsonlines",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "json", "csv", "*/*",
    "application/json; charset=utf-16", "text/csv; charset=latin-1", "application/json,text/csv",
    "image/png", "application/octet-stream", "; charset=utf-8", "TEXT", "a" * 5000,
]  # fmt: skip
# Method, path.
WRONG_TARGETS = [
    *((method, "/invocations") for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")),
    *((method, "/ping") for method in ("POST", "PUT", "DELETE")),
    *(("POST", p) for p in ("/", "/invocation", "/invocations/x", "//invocations", "/INVOCATIONS")),
    *(("GET", p) for p in ("/", "/nope", "/../etc/passwd", "/%2e%2e/", "/%00", "/" + "a" * 5000)),
    *(("GET", "/static-offline-docs/" + p) for p in ("../core.py", "%2e%2e/core.py", "", "nope")),
    ("TRACE", "/ping"), ("FOO", "/invocations"), ("POST", "/docs"), ("POST", "/openapi.json"),
]  # fmt: skip
# Sent as they are.
RAW = [
    b"\r\n\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET\r\n\r\n", b"\x00\x01\x02\x03\r\n\r\n",
    b"GET /ping\r\n\r\n", b"GET /ping HTTP/1.1\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
    b"Content-Length: 99999999999999999999\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]  # fmt: skip


def wrong_rows(task):
    """Requests with a wrong value or column, as arguments of `ask`."""
    header, first, *_ = GOOD[task].split()
    names, cells = header.split(","), first.split(",")

    def document(values):
        quoted = [f'"{v}"' if v in TEXTS else v for v in values]
        inside = ", ".join(f'"{name}": {value}' for name, value in zip(names, quoted))
        return {"body": f'{{"instances": [{{{inside}}}]}}'}

    for wrong in WRONG_VALUES:
        yield document([*cells[:-1], wrong])
    for wrong in WRONG_CELLS:
        yield {"body": f"{header}\n{first}\n{','.join([wrong, *cells[1:]])}\n", "kind": CSV}
    for index in range(len(names)):
        rest = [value for i, value in enumerate(zip(names, cells)) if i != index]
        yield {"body": json.dumps({"instances": [dict(rest)]})}
        yield {"body": "\n".join(map(",".join, zip(*rest))) + "\n", "kind": CSV}
    yield document(["null"] * len(names))
    yield {"body": f"{header}\n{first},9\n", "kind": CSV}
    yield {"body": f"{header},{names[0]}\n{first},9\n", "kind": CSV}
    yield {"body": f"{header}\n", "kind": CSV}
    good = document(cells)["body"]
    yield {"body": good[:-1]}
    yield {"body": good + "{}"}
    yield {"body": good.replace("}]", f', "{names[0]}": 1}}]')}
    yield {"body": good.replace("]}", '], "parameters": {}}')}
    yield {"body": good.replace("instances", "instances\\ud800")}
    yield {"body": f"{header}\n" + f"{first}\n" * 2000, "kind": CSV}


def wrong_requests(task):
    """Requests that are wrong for any model: arguments of `ask`, or bytes to send as they are."""
    yield {"body": "x" * 200_000}
    for body in WRONG_DOCUMENTS:
        yield {"body": body.encode()}
    for body in WRONG_TABLES:
        yield {"body": body.encode(), "kind": CSV}
    for body in BINARY:
        yield {"body": body}
        yield {"body": body, "kind": CSV}
    for kind in WRONG_TYPES:
        yield {"body": GOOD[task], "kind": kind}
    for accept in ("text/html", "application/xml", "text/csv;q=0", "é", ";", ",,,"):
        yield {"body": GOOD[task], "kind": CSV, "headers": {"Accept": accept.encode()}}
    for method, path in WRONG_TARGETS:
        yield {"body": GOOD[task], "kind": CSV, "method": method, "path": path}
    yield from RAW


def send(port, data):
    """The status of the answer to `data`."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        # The answer may come, and the connection end, before all is sent.
        with contextlib.suppress(OSError):
            connection.sendall(data)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status


@pytest.fixture(scope="module")
def servers():
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.mark.parametrize("task", NAMES)
def test_wrong_rows(servers, task):
    cases = list(wrong_rows(task))
    assert len(cases) >= 80
    check(servers, task, cases)


@pytest.mark.parametrize(
    "task", ["gp", *(pytest.param(task, marks=pytest.mark.slow) for task in NAMES[1:])]
)
def test_wrong_requests(servers, task):
    cases = list(wrong_requests(task))
    assert len(cases) >= 120
    check(servers, task, cases)


def check(servers, task, cases):
    """Each is refused, and after each the next good answer is the same."""
    port, wrong = servers(task).port, []
    status, _, good = ask(port, GOOD[task], CSV)
    assert status == 200
    for case in cases:
        problem = answered_wrongly(port, case)
        if problem is None and ask(port, GOOD[task], CSV)[2] != good:
            problem = "the next good answer has changed"
        if problem is not None:
            wrong.append(f"{case!s:.200} -> {problem!s:.200}")
    assert not wrong


def answered_wrongly(port, case):
    """What is wrong with the answer to a malformed request, or None."""
    if isinstance(case, bytes):
        status = send(port, case)
        return None if 400 <= status < 500 else status
    status, headers, body = ask(port, **case)
    if not 400 <= status < 500:
        return status, body
    if case.get("method") == "HEAD":
        return None
    reason = json.loads(body) if headers["Content-Type"] == JSON else None
    if not isinstance(reason, dict) or list(reason) != ["error"]:
        return status, body
    line = reason["error"]
    return None if 0 < len(line) < 500 and len(line.splitlines()) == 1 else (status, line)


@pytest.mark.parametrize("task", NAMES)
def test_extreme_numbers(servers, task):
    """Answered with finite numbers, or refused."""
    header, *rows = GOOD[task].split()
    rows = [row.split(",") for row in rows]
    for number in ("1e308", "-1e200", "1e-308", "1e39", "9" * 30):
        for column in range(len(rows[0])):
            changed = [[*row[:column], number, *row[column + 1 :]] for row in rows[:1]]
            text = "\n".join([header, *map(",".join, [*changed, *rows[1:]])])
            status, _, body = ask(servers(task).port, text, CSV, accept=JSON)
            assert status in (200, 422), body
            if status == 200:
                answers = [v for row in json.loads(body)["predictions"] for v in row.values()]
                assert np.isfinite([v for v in answers if not isinstance(v, str)]).all()
