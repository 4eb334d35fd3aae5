"""Dockerfile.cpu executed line by line in a Debian file system, and its containers run.

Needs root and debootstrap: apt-get, useradd, users, a read-only root and process 1 are real. Only
the base image is not the one of the Dockerfile: Debian's own Python 3.11 stands for it.
"""

import os
import shutil
import signal
import time

import pytest
from chroot import Chroot
from docker_files import CPU, JOB, ROOT, answers, wait_for
from dockerfile import build, copy_context, instructions
from sagemaker_files import TABLE, write_job

from gluon_linalg.jobs.launch import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="needs debootstrap"),
]
USER = 10001


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    # The user of the image must be able to enter it.
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    machine = Chroot(folder)
    image = build(CPU, copy_context(ROOT, folder / "context"), machine)
    yield machine, image
    shutil.rmtree(folder)


@pytest.fixture
def start(built):
    """Starts a container of the image."""
    machine, image = built
    started = []

    def start_container(*arguments, **options):
        started.append(machine.start(image, arguments, **options))
        return started[-1]

    yield start_container
    for container in started:
        container.kill()


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", USER, USER)
    return tmp_path / "out"


def jobs(tmp_path, iterations):
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "job.yaml").write_text(JOB % iterations)
    (folder / "table.csv").write_text(TABLE)
    return folder


def test_every_run_was_executed(built):
    machine, _ = built
    runs = [value for name, value in instructions(CPU) if name == "RUN"]
    executed = [command for _, command in machine.executed]
    assert len(executed) == len(runs)
    for value, command in zip(runs, executed):
        assert value.endswith(command)
    # The last one is run by the user of the image.
    assert [user for user, _ in machine.executed] == ["root"] * (len(runs) - 1) + ["10001:10001"]


def test_the_image_belongs_to_root_and_the_user_is_nobody_special(built, start):
    container = start("sh", "-c", "id -u; id -g; pwd; touch /jobs/x /opt/x /usr/x; echo $PATH")
    status, out, err = container.wait()
    assert status == 0
    assert out.splitlines()[:3] == ["10001", "10001", "/jobs"]
    assert err.count("Read-only file system") == 3
    machine, _ = built
    assert machine.real("/opt/gluon-linalg/bin/python").lstat().st_uid == 0
    assert machine.real("/out").stat().st_uid == USER
    assert not list(machine.real("/var/lib/apt/lists").iterdir())


def test_the_image_has_native_operators_and_no_compiler(start):
    status, out, err = start("sh", "-c", "! command -v g++ && gluon-linalg info").wait()
    assert status == 0, err
    assert "native operators on the CPU" in out


def test_a_job_is_trained_with_a_read_only_root(start, out, tmp_path):
    mounts = [(jobs(tmp_path, 10), "/jobs"), (out, "/out")]
    container = start("train", "job.yaml", mounts=mounts, OMP_NUM_THREADS="1")
    status, _, err = container.wait()
    assert status == 0, err
    assert err.startswith("gluon-linalg ")
    assert (out / "model" / "metrics.json").stat().st_uid == USER
    assert (out / "model" / "plot.png").exists()


def test_sigterm_ends_a_training_with_its_checkpoint_and_status_0(start, out, built, tmp_path):
    _, image = built
    mounts = [(jobs(tmp_path, 10**6), "/jobs"), (out, "/out")]
    container = start("gluon-linalg", "train", "job.yaml", mounts=mounts, OMP_NUM_THREADS="1")
    wait_for(lambda: (out / "model" / "checkpoint.params").exists())
    # It uses the processor, so it is healthy, at the first look and at the second.
    for _ in range(2):
        assert container.execute(image.health_check) == (0, "")
        time.sleep(0.5)
    # A stopped process does not.
    os.kill(container.first, signal.SIGSTOP)
    container.execute(image.health_check)
    status, said = container.execute(image.health_check)
    assert status == 1 and "no processor time" in said
    os.kill(container.first, signal.SIGCONT)
    container.stop(getattr(signal, image.stop_signal))
    status, _, err = container.wait()
    assert status == 143, err
    assert not (out / "model" / "metrics.json").exists()


def test_the_sagemaker_layout_is_trained_and_served(start, built, tmp_path):
    _, image = built
    base = write_job(tmp_path / "ml")
    for folder in (base / "model", base / "output"):
        os.chown(folder, USER, USER)
    mounts = [(base, "/opt/ml")]
    status, _, err = start("train", mounts=mounts, OMP_NUM_THREADS="1").wait()
    assert status == 0, err
    assert (base / "model" / "metrics.json").exists()

    port = free_port()
    server = start("serve", mounts=mounts, SAGEMAKER_BIND_TO_PORT=str(port))
    wait_for(lambda: answers(port))
    assert server.execute(image.health_check) == (0, "")
    server.stop(signal.SIGSTOP)
    status, said = server.execute(image.health_check)
    assert status == 1 and "/ping" in said
    server.stop(signal.SIGCONT)
    server.stop(signal.SIGTERM)
    assert server.wait()[0] == 0


def test_a_failure_is_written_for_sagemaker(start, tmp_path):
    base = write_job(tmp_path / "ml", {"data.target": "z"})
    for folder in (base / "model", base / "output"):
        os.chown(folder, USER, USER)
    status, _, err = start("train", mounts=[(base, "/opt/ml")]).wait()
    assert status == 2
    assert "'z'" in (base / "output" / "failure").read_text().splitlines()[0], err
