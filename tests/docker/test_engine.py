"""The CPU image and compose.yaml in a Docker engine, by the commands of docs/containers.md.

Needs root, debootstrap, and an engine with the plugins buildx and compose. Where there is no base
image and none can be pulled, a Debian with its own Python 3.11, which knows how this machine
reaches the network, stands for it. The built image stays, as gluon-linalg:cpu.
"""

import json
import os
import shutil
import subprocess
import urllib.request

import pytest
from chroot import base_image, know_the_network
from docker_files import CPU, DOCKER, JOB, ROOT, answers, wait_for
from dockerfile import instructions
from sagemaker_files import PANEL_TABLE, TABLE, write_job

from gluon_linalg.jobs.launch import free_port

IMAGE, PROJECT = "gluon-linalg:cpu", "gluon-linalg-test"
PANEL_JOB = """\
task: statespace
data: {path: panel.csv, series: firm, time: t, step: 1, target: y}
model: {components: [{level: {}}]}
training: {iterations: 5}
"""

pytestmark = pytest.mark.slow


def works(*command):
    try:
        return subprocess.run(command, capture_output=True, timeout=600).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def docker(*arguments, **options):
    """What `docker` prints."""
    ran = subprocess.run(
        ["docker", *map(str, arguments)], capture_output=True, text=True, **options
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory):
    needed = {"a Docker engine": "info", "buildx": "buildx version", "compose": "compose version"}
    missing = [name for name, what in needed.items() if not works("docker", *what.split())]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, and {', '.join(missing or needed)}")
    base = next(value for name, value in instructions(CPU) if name == "ARG").partition("=")[2]
    if not works("docker", "image", "inspect", base) and not works("docker", "pull", base):
        base = stand_in(tmp_path_factory.mktemp("base"))
    build = ["build", "--platform", "linux/amd64", "--build-arg", f"PYTHON_IMAGE={base}"]
    docker(*build, "-f", CPU, "-t", IMAGE, ROOT)


def stand_in(folder):
    """The name of an image of the file system by which other tests stand for the base image."""
    root = folder / "root"
    subprocess.run(["cp", "-a", base_image(), root], check=True)
    know_the_network(root)
    archive = folder / "root.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    shutil.rmtree(root)
    name = "gluon-linalg-test:python"
    docker("import", archive, name)
    return name


@pytest.fixture
def jobs(tmp_path):
    """A folder of jobs, and one for results that any user may write to."""
    (tmp_path / "jobs").mkdir()
    for name, text in {
        "short.yaml": JOB % 10,
        "long.yaml": JOB % 10**6,
        "table.csv": TABLE,
        "panel.yaml": PANEL_JOB,
        "panel.csv": PANEL_TABLE,
    }.items():
        (tmp_path / "jobs" / name).write_text(text)
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    return tmp_path


@pytest.fixture
def start():
    """Starts a container in the background; returns its name."""
    started = []

    def start_container(*arguments):
        started.append(docker("run", "-d", *arguments).strip())
        return started[-1]

    yield start_container
    docker("rm", "--force", *started)


def mounts(folder):
    return ["-v", f"{folder}/jobs:/jobs:ro", "-v", f"{folder}/out:/out"]


def test_a_job_is_trained_for_any_user(jobs):
    user = ["--user", "1234:4321"]
    train = ["train", "short.yaml", "--output", "/out/model"]
    out = docker(
        "run", "--rm", "--read-only", "--tmpfs", "/tmp", *user, *mounts(jobs), IMAGE, *train
    )
    assert "results in /out/model" in out
    assert (jobs / "out" / "model" / "plot.png").stat().st_uid == 1234


def test_the_image_has_native_operators_and_no_compiler():
    out = docker("run", "--rm", IMAGE, "sh", "-c", "! command -v g++ && gluon-linalg info")
    assert "native operators on the CPU" in out


def test_the_limit_of_processors_is_seen():
    show = ["printenv", "OMP_NUM_THREADS"]
    assert docker("run", "--rm", "--cpus", "1.5", IMAGE, *show) == "2\n"


def test_stop_saves_a_training_which_then_continues(jobs, start):
    train = [*mounts(jobs), IMAGE, "train", "long.yaml", "--output", "/out/model"]
    name = start("--health-interval", "2s", "--health-start-period", "1s", *train)
    wait_for(lambda: (jobs / "out" / "model" / "checkpoint.params").exists())
    wait_for(lambda: health(name) == "healthy")
    docker("stop", name)
    assert state(name)["ExitCode"] == 143
    assert not (jobs / "out" / "model" / "metrics.json").exists()
    docker("start", name)
    wait_for(lambda: state(name)["Running"] and health(name) == "healthy")


def test_a_model_is_served(jobs, start):
    docker("run", "--rm", *mounts(jobs), IMAGE, "train", "short.yaml", "--output", "/out/model")
    port = free_port()
    name = start(
        "-p", f"127.0.0.1:{port}:8080", "--health-interval", "2s", "-v", f"{jobs}/out:/out:ro",
        IMAGE, "serve", "/out/model", "--host", "0.0.0.0",
    )  # fmt: skip
    wait_for(lambda: health(name) == "healthy")
    assert predictions(port) == 2
    docker("stop", name)
    assert state(name)["ExitCode"] == 0


def test_the_sagemaker_layout(tmp_path, start):
    base = write_job(tmp_path / "ml")
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    docker("run", "--rm", *user, "-v", f"{base}:/opt/ml", IMAGE, "train")
    assert (base / "model" / "metrics.json").exists()
    port = free_port()
    start("-p", f"127.0.0.1:{port}:8080", "-v", f"{base}:/opt/ml:ro", IMAGE, "serve")
    wait_for(lambda: answers(port))
    assert predictions(port) == 2


@pytest.fixture
def compose(jobs):
    """`docker compose` with the jobs of `jobs`, in a project of its own that is taken down."""
    port = free_port()
    settings = {**os.environ, "JOBS": str(jobs / "jobs"), "DATA": str(jobs), "PORT": str(port)}
    command = ["compose", "-p", PROJECT, "-f", DOCKER / "compose.yaml"]

    def run(*arguments, **more):
        return docker(*command, *arguments, env={**settings, **more})

    run.port = port
    yield run
    run("--profile", "*", "down", "--volumes")


def test_compose_trains_and_serves(compose):
    job = {"JOB": "short.yaml", "CPUS": "1.5"}
    assert "results in /out/short.yaml" in compose("run", "--rm", "train-cpu", **job)
    compose("--profile", "serve", "up", "-d", "--wait", "serve", **job)
    assert predictions(compose.port) == 2


def test_compose_trains_on_several_containers(compose):
    services = ["scheduler", "server", "worker"]
    group = ["--profile", "distributed"]
    compose(*group, "up", "--abort-on-container-exit", *services, JOB="panel.yaml")
    # Not all that is said is shown by then.
    said = compose(*group, "logs", JOB="panel.yaml")
    assert said.count("results in /out/panel.yaml") == 1
    assert "Traceback" not in said and "stopped by" not in said
    assert " (0) " in compose(*group, "ps", "-a", JOB="panel.yaml")
    show = ["run", "--rm", "--entrypoint", "cat", "train-cpu", "/out/panel.yaml/metrics.json"]
    assert json.loads(compose(*show))["workers"] == 2


def state(name):
    return json.loads(docker("inspect", name))[0]["State"]


def health(name):
    return state(name)["Health"]["Status"]


def predictions(port):
    """How many a server gives for two rows."""
    body = json.dumps({"instances": [{"x": 0.1}, {"x": 0.2}]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return len(json.load(answer)["predictions"])
