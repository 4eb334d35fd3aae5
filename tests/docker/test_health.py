"""What the health check concludes from the processes of a container."""

import importlib.util
import os

import pytest
from docker_files import DOCKER

PYTHON = ["python", "-m", "gluon_linalg.jobs.container"]


@pytest.fixture
def health(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("health", DOCKER / "health.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PROCESSES", "/proc")
    monkeypatch.setattr(module, "LAST_LOOK", str(tmp_path / "last"))
    return module


@pytest.fixture
def conclude(health, monkeypatch):
    """The exit status for these processes, which have used so much time."""

    def run(*commands, ticks=7, environment=None):
        monkeypatch.setattr(health, "processes", lambda: enumerate(commands))
        monkeypatch.setattr(health, "ticks", lambda _: ticks)
        monkeypatch.setattr(health, "variable", lambda _, name: (environment or {}).get(name))
        monkeypatch.setattr(health, "ping", lambda port: f"ping {port}")
        try:
            health.main()
        except SystemExit as ended:
            return ended.code
        return 0

    return run


def test_a_server_is_asked_at_its_port(conclude):
    assert conclude([*PYTHON, "serve", "out"]) == "ping 8080"
    assert conclude([*PYTHON, "serve", "out", "--port", "90"]) == "ping 90"
    assert conclude([*PYTHON, "serve", "out", "--port=91"]) == "ping 91"
    assert conclude([*PYTHON, "serve"], environment={"SAGEMAKER_BIND_TO_PORT": "92"}) == "ping 92"


def test_a_training_must_use_the_processor(conclude):
    child = ["python", "-m", "gluon_linalg.jobs", "train", "job.yaml"]
    assert conclude([*PYTHON, "train"], child) == 0
    assert conclude([*PYTHON, "train"], child) == 1
    assert conclude([*PYTHON, "train"], child, ticks=8) == 0


def test_others_are_not_judged(conclude):
    for _ in range(2):
        assert conclude(["bash"], ["python", "train.py"]) == 0
        assert conclude([*PYTHON, "train", "j"], environment={"DMLC_ROLE": "server"}) == 0


def test_a_server_that_does_not_answer(health, capsys):
    assert health.ping(1) == 1
    assert "/ping" in capsys.readouterr().out


def test_the_processes_of_this_machine_are_read(health):
    mine = str(os.getpid())
    assert mine in dict(health.processes())
    before = health.ticks(mine)
    while health.ticks(mine) == before:
        sum(range(10**6))
    assert health.variable(mine, "PATH")
