"""`gluon-linalg serve` as a process: load, memory, signals, and why it does not start."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from small_job import ROOT
from small_serving import CSV, JSON, ROWS, as_json, ask, trained

from gluon_linalg.jobs.data import TableRows
from gluon_linalg.jobs.kinds import NAMES
from gluon_linalg.jobs.predict import TrainedModel
from gluon_linalg.jobs.serving.formats import write_csv, write_json

CLIENTS = 8
# Fewer rows leave a forecast open: the example of a state space model has two initial values.
FEWEST = {"statespace": 2}


@contextlib.contextmanager
def process(folder, *options):
    """A server process: itself, its port, and the file of its log."""
    command = [sys.executable, "-m", "gluon_linalg.jobs", "serve", str(folder), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.NamedTemporaryFile("w+") as log:
        running = subprocess.Popen(
            [*command, "--context", "cpu", *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            line = running.stdout.readline()
            assert line.startswith(f"{folder}: http://127.0.0.1:"), line
            yield running, int(line.split(" ")[1].rpartition(":")[2]), log
        finally:
            running.kill()
            running.communicate()


def resident(running):
    """Megabytes of memory of a process."""
    with open(f"/proc/{running.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def table_of(task, size):
    """A request for `size` rows."""
    header, *rows = ROWS[task].split("\n")[:-1]
    chosen = [rows[index % len(rows)] for index in range(size)]
    if task == "statespace":
        known = [f"{step},{step % 3},{step % 7}" for step in range(size)]
        chosen = known + [f"{size + step},1," for step in range(3)]
    if task == "forecast":
        chosen = [f"a,{2000 + step // 12}-{1 + step % 12:02d},{step % 7}" for step in range(size)]
    return "\n".join([header, *chosen]) + "\n"


def expected_answers(folder, texts):
    """What this process computes for CSV texts, in the formats of answers."""
    model, answers = TrainedModel(folder, "cpu"), {}
    for text in texts:
        rows = [(line, cells.split(",")) for line, cells in enumerate(text.split(), start=1)]
        table = model.predict(model.read(TableRows("rows", rows)))
        columns = model.predictor.columns
        answers[text] = {CSV: write_csv(table, columns), JSON: write_json(table, columns)}
    return answers


def ask_for_sizes(port, task, sizes):
    for size in sizes:
        assert ask(port, table_of(task, size), CSV)[0] == 200


def load(port, answers, seconds, clients=CLIENTS):
    """Asks from several clients at once, and compares; returns how many answers there were."""
    texts, documents = list(answers), {text: as_json(text) for text in answers}
    until, problems, counts = time.monotonic() + seconds, [], [0] * clients

    def ask_on(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while time.monotonic() < until and not problems:
                text = texts[(number * 31 + counts[number]) % len(texts)]
                kind, wanted = ((CSV, JSON), (CSV, CSV), (JSON, JSON))[counts[number] % 3]
                body = text if kind == CSV else documents[text]
                connection.request("POST", "/invocations", body, {
                    "Content-Type": kind, "Accept": wanted,
                })  # fmt: skip
                answer = connection.getresponse()
                found = answer.read()
                if answer.status != 200 or found != answers[text][wanted]:
                    problems.append((text, kind, wanted, answer.status, found[:500]))
                counts[number] += 1
        except (OSError, http.client.HTTPException) as error:
            problems.append(repr(error))
        connection.close()

    threads = [threading.Thread(target=ask_on, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]
    assert min(counts) > 0
    return sum(counts)


def test_clients_at_once():
    """float32 with a network, which oneDNN prepares anew for each size, is the hard case.

    Also: Ctrl-C is as good as SIGTERM, and the log has a JSON object for each request.
    """
    folder = trained("blr")
    answers = expected_answers(folder, [table_of("blr", size) for size in range(1, 100)])
    with process(folder) as (running, port, log):
        count = load(port, answers, 1.5)
        ask_for_sizes(port, "blr", range(100, 200))
        before = resident(running)
        ask_for_sizes(port, "blr", range(200, 400))
        assert resident(running) - before < 10
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        # The process has moved the position of the file that both have open.
        log.seek(0)
        lines = [json.loads(line) for line in log]
    events = [line["event"] for line in lines]
    assert events[0] == "serving" and events[-1] == "stopped"
    assert events.count("request") == count + 300
    assert {line["status"] for line in lines if line["event"] == "request"} == {200}


@pytest.mark.slow
@pytest.mark.parametrize("task", NAMES)
def test_clients_for_a_minute(task):
    sizes = range(FEWEST.get(task, 1), 60 if task == "statespace" else 300)
    texts = [table_of(task, size) for size in sizes]
    answers = expected_answers(trained(task), texts)
    with process(trained(task)) as (running, port, _):
        ask_for_sizes(port, task, sizes)
        load(port, answers, 5)
        before = resident(running)
        count = load(port, answers, 60)
        after = resident(running)
        running.terminate()
        assert running.wait(30) == 0
    print(f"\n{task}: {count} answers to {CLIENTS} clients, {before:.1f} -> {after:.1f} MB")
    assert after - before < 10


@pytest.mark.slow
@pytest.mark.parametrize("task", NAMES)
def test_memory_with_many_sizes(task):
    sizes = range(FEWEST.get(task, 1), 300 if task == "statespace" else 1500)
    with process(trained(task)) as (running, port, _):
        ask_for_sizes(port, task, sizes[::3])
        before = resident(running)
        ask_for_sizes(port, task, sizes)
        after = resident(running)
    print(f"\n{task}: {before:.1f} -> {after:.1f} MB over {len(sizes)} sizes")
    assert after - before < 20


def test_the_end_waits_for_what_was_accepted():
    """Even for a body that has not arrived."""
    body = ROWS["gp"].encode()
    with process(trained("gp")) as (running, port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
                b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            # Now it reads the body.
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.5)
            assert running.poll() is None
            connection.sendall(body)
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 OK") and b"upper_95" in answer
        assert running.wait(60) == 0
        with pytest.raises(OSError):
            ask(port, path="/ping")


@pytest.fixture
def refused(run, tmp_path):
    def refuse(*arguments):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "") and err.count("\n") == 1 and err.endswith("\n"), err
        return err.strip()

    return refuse


@pytest.mark.parametrize("command", ["serve", "bench"])
def test_only_a_finished_job(refused, tmp_path, command):
    assert "there is no finished job here" in refused(command, tmp_path / "nothing")
    shutil.copytree(trained("gp"), tmp_path / "started")
    os.remove(tmp_path / "started" / "metrics.json")
    assert "there is no finished job here" in refused(command, tmp_path / "started")


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGES = {
    "no symbol": lambda out: os.remove(out / "model-symbol.json"),
    "no params": lambda out: os.remove(out / "model-0000.params"),
    "half a symbol": lambda out: cut(out / "model-symbol.json"),
    "half of the params": lambda out: cut(out / "model-0000.params"),
    "empty params": lambda out: (out / "model-0000.params").write_bytes(b""),
    "garbage for params": lambda out: (out / "model-0000.params").write_bytes(b"garbage" * 99),
    "JSON, but no symbol": lambda out: (out / "model-symbol.json").write_text("{}"),
    "no description": lambda out: os.remove(out / "model-io.json"),
    "half a description": lambda out: cut(out / "model-io.json"),
    "a list": lambda out: (out / "model-io.json").write_text("[]"),
    "unknown task": lambda out: edit(out, task="gpp"),
    "no units": lambda out: edit(out, input_offset=None),
    "text for a number": lambda out: edit(out, target_scale="1", noise_variance="x"),
    "another number of inputs": lambda out: edit(out, inputs=["x", "y"], input_offset=[0, 0]),
    "another dtype": lambda out: edit(out, dtype="complex"),
}


def edit(out, **changes):
    path = out / "model-io.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model(refused, tmp_path, damage):
    out = tmp_path / "out"
    shutil.copytree(trained("gp"), out)
    DAMAGES[damage](out)
    line = refused("serve", out, "--port", "0")
    assert str(out) in line and line.endswith("train again with --overwrite")
    for word in ("Traceback", "Check failed", "MXNetError"):
        assert word not in line


def test_a_damaged_predictor(refused, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(trained("forecast"), out)
    (parameters,) = (out / "predictor").glob("*.params")
    parameters.write_bytes(b"garbage" * 99)
    line = refused("serve", out, "--port", "0")
    why = "the predictor is damaged (Invalid NDArray file format); train again with --overwrite"
    assert line == f"{out}/predictor: {why}"


def test_a_port_in_use(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("serve", trained("gp"), "--port", port)
        assert f"127.0.0.1:{port}: cannot listen there: Address already in use" in line
    assert "cannot listen" in refused("serve", trained("gp"), "--host", "no.such.host.invalid")
    assert "cannot listen" in refused("serve", trained("gp"), "--host", "203.0.113.1")


def test_options(run, refused):
    for wrong in (["--port", "70000"], ["--max-rows", "0"], ["--timeout", "nan"], ["--max-body=x"]):
        refused("serve", "out", *wrong)
    status, out, _ = run("serve", "--help")
    assert status == 0
    for word in ("--host", "--port", "--max-body", "--max-rows", "--timeout", "/invocations"):
        assert word in out


def test_without_the_extra_the_rest_works():
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from gluon_linalg.jobs.cli import main\n"
        "try: main(['bench', sys.argv[1], '--rows=1', '--seconds=0.01'])\n"
        "except SystemExit as ended: assert not ended.code\n"
        "main(['serve', sys.argv[1]])"
    )
    command = [sys.executable, "-c", code, trained("gp")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == (
        'gluon-linalg needs fastapi, which is not installed: pip install "gluon-linalg[serve]"\n'
    )
