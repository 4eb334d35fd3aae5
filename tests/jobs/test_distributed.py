"""Several processes on one machine, and several devices of one process."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from small_job import PYTHONPATH, ROOT

from gluon_linalg import server
from gluon_linalg.jobs.launch import free_port
from gluon_linalg.jobs.workers import meeting_point

HERE = ROOT / "tests" / "jobs"
ENVIRONMENT = {**os.environ, "PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1"}
SERIES, STEPS = 6, 30


def roles(workers):
    return ["scheduler", "server"] + ["worker"] * workers


def start(command, workers, cwd):
    """The processes of docs/distributed.md, by hand."""
    # A name, as the machines of a cluster have.
    where = {**meeting_point("localhost", free_port(), 1, workers), "DMLC_INTERFACE": "lo"}
    return [start_one(command, {**where, "DMLC_ROLE": role}, cwd) for role in roles(workers)]


def start_one(command, variables, cwd):
    return subprocess.Popen(
        [sys.executable, *command], cwd=cwd, text=True, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**ENVIRONMENT, **variables},
    )  # fmt: skip


@pytest.mark.slow
def test_sums_are_exact_and_the_same_in_all(tmp_path):
    processes = start([str(HERE / "distributed_workers.py"), str(tmp_path)], 3, tmp_path)
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    assert found == [{"wrong": 0, "right": True, "count": 3}] * 3


@pytest.fixture
def workspace(tmp_path):
    """A job of several series of different lengths, with something missing."""
    rows = ["name,t,y"]
    for series in range(SERIES):
        for t in range(STEPS - 2 * series):
            value = "" if (t + series) % 7 == 3 else f"{(t * (series + 3)) % 11 + 0.3 * t:.1f}"
            rows.append(f"s{series},{2000 + t},{value}")
    (tmp_path / "series.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def write_job(workspace, **training):
    job = {
        "task": "statespace",
        "data": {"path": "series.csv", "series": "name", "time": "t", "step": 1, "target": "y"},
        "model": {"components": [{"level": {}}]},
        "forecast": {"steps": 3},
        "training": {"iterations": 12, "checkpoint_every": 2, **training},
        "output": "out",
    }
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    return "job.yaml"


ADAM = {"optimizer": "adam", "learning_rate": 0.1}
BATCHES = {**ADAM, "batch_size": 4}


def command(workspace, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "gluon_linalg.jobs", *arguments],
        cwd=workspace, env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def nlml(folder):
    return json.loads((folder / "metrics.json").read_text())["nlml"]["trained"]


@pytest.mark.parametrize(
    "training",
    [pytest.param({}, id="lbfgs", marks=pytest.mark.slow), pytest.param(BATCHES, id="adam")],
)
def test_two_workers_reach_the_loss_of_one(run, workspace, monkeypatch, training):
    monkeypatch.chdir(workspace)
    job = write_job(workspace, **training)
    status, _, err = run("train", job, "--output", "one")
    assert status == 0, err
    ran = command(workspace, "launch", "--workers", "2", "--", "train", job)
    assert ran.returncode == 0, ran.stderr
    assert nlml(workspace / "out") == pytest.approx(nlml(workspace / "one"), rel=1e-9)
    assert json.loads((workspace / "out" / "metrics.json").read_text())["workers"] == 2
    # Rank 0 alone writes and tells.
    assert ran.stdout.count("results in") == 1


@pytest.mark.slow
def test_a_finished_job_says_so(workspace):
    distributed = ["launch", "--workers", "2", "--", "train", write_job(workspace, **BATCHES)]
    assert command(workspace, *distributed).returncode == 0
    ran = command(workspace, *distributed)
    assert ran.returncode == 0 and ran.stdout.count("finished before") == 1


@pytest.mark.parametrize("training", [{}, BATCHES], ids=["lbfgs", "adam"])
def test_three_devices_reach_the_loss_of_one(run, workspace, training):
    job = workspace / write_job(workspace, **training)
    for devices in ("cpu", "cpu(0),cpu(1),cpu(2)"):
        status, _, err = run(
            "train", job, "--output", workspace / devices[-1], "--devices", devices
        )
        assert status == 0, err
    assert nlml(workspace / ")") == pytest.approx(nlml(workspace / "u"), rel=1e-9)


def test_a_worker_that_dies_ends_the_job_and_it_continues(workspace):
    job = write_job(workspace, **ADAM, kvstore="dist_sync")
    long = yaml.safe_load((workspace / job).read_text())
    long["training"]["iterations"] = 10**6
    (workspace / "long.yaml").write_text(yaml.safe_dump(long))
    launcher = subprocess.Popen(
        [sys.executable, "-m", "gluon_linalg.jobs", "launch", "--workers", "2", "--", "train",
         "long.yaml"], cwd=workspace, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    checkpoint = workspace / "out" / "checkpoint.params"
    wait_for(checkpoint.exists)
    time.sleep(1.0)
    os.kill(worker_of(launcher.pid), 9)
    _, err = launcher.communicate(timeout=30)
    assert launcher.returncode == 1
    assert "a worker of the distributed job was killed by signal 9; the others are stopped" in err
    assert checkpoint.exists()


def test_a_worker_whose_others_do_not_come(tmp_path):
    code = (
        "from gluon_linalg import server; server.NOTICE = server.PATIENCE = 0.5; "
        "from gluon_linalg.jobs.workers import Workers; Workers()"
    )
    variables = {**meeting_point("localhost", 9, 1, 2), "DMLC_INTERFACE": "lo"}
    worker = start_one(["-c", code], {**variables, "DMLC_ROLE": "worker"}, tmp_path)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 1
    whom = "the scheduler at 127.0.0.1:9, 1 servers and 2 workers"
    assert err == (
        f"worker: waiting for {whom}\n"
        f"worker: not all have come in 0.5 s: {whom}; this process ends\n"
    )


def test_a_scheduler_whose_port_is_taken(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        variables = {**meeting_point("localhost", port, 1, 2), "DMLC_ROLE": "scheduler"}
        scheduler = start_one(["-m", "gluon_linalg.jobs", "train"], variables, tmp_path)
        _, err = scheduler.communicate(timeout=60)
    assert scheduler.returncode == 1
    assert err.startswith(f"scheduler: cannot listen at 127.0.0.1:{port}: ")
    assert err.count("\n") == 1


def test_a_scheduler_without_an_address(monkeypatch):
    def give_up(why):
        raise SystemExit(why)

    monkeypatch.setattr(server, "NAME_PATIENCE", -1)
    monkeypatch.setattr(server, "_give_up", give_up)
    monkeypatch.setenv("DMLC_PS_ROOT_URI", "nowhere.invalid")
    monkeypatch.setenv("PS_HEARTBEAT_INTERVAL", "2")
    monkeypatch.setenv("PS_HEARTBEAT_TIMEOUT", "10")
    with pytest.raises(SystemExit, match="DMLC_PS_ROOT_URI: the address of nowhere.invalid is"):
        server.prepare_environment()


@pytest.mark.slow
def test_a_worker_that_dies_without_a_launcher(workspace):
    job = write_job(workspace, **{**ADAM, "iterations": 10**6}, kvstore="dist_sync")
    processes = start(["-m", "gluon_linalg.jobs", "train", job], 2, workspace)
    wait_for((workspace / "out" / "checkpoint.params").exists)
    began = time.monotonic()
    processes[-1].kill()
    for process in processes[:-1]:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "has died; this process ends" in err
    assert time.monotonic() - began < 45


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def worker_of(launcher):
    """One of the processes that the launcher has started as workers."""
    for name in os.listdir("/proc"):
        try:
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
            environment = Path(f"/proc/{name}/environ").read_text().split("\0")
        except (OSError, IndexError):
            continue
        if parent == str(launcher) and "DMLC_ROLE=worker" in environment:
            return int(name)
    raise AssertionError("there is no worker")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--kvstore", "dist_sync"], "dist_sync needs DMLC_ROLE, DMLC_PS_ROOT_URI"),
        (["--devices", "gpu(0)"], "MXNet sees no GPU"),
        (["--devices", "tpu"], "'tpu' is no device"),
        (["--devices", "cpu(1),cpu(1)"], "named twice"),
        (["--devices", ",".join(f"cpu({i})" for i in range(9))], "9 devices"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, workspace, monkeypatch, arguments, expected):
    monkeypatch.chdir(workspace)
    status, out, err = run("train", write_job(workspace), *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert expected in err
    assert not (workspace / "out").exists()


def test_a_role_without_a_distributed_job_is_refused(workspace):
    job = write_job(workspace)
    # Its process ends at once, whatever else is in it.
    process = start_one(
        ["-m", "gluon_linalg.jobs", "train", job], {"DMLC_ROLE": "worker"}, workspace
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1), err
    assert "training.kvstore is device" in err
    assert not (workspace / "out").exists()
