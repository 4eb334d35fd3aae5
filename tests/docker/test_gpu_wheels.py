"""The packages of Dockerfile.gpu, installed as it says and imported without a GPU.

Slow: 2.4 GB of downloads into an environment that is kept for the next run (4.3 GB). libcuda.so.1
is a stub (stub_driver.c); no operator runs on a GPU here.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from chroot import CACHE
from docker_files import GPU, ROOT, python311
from dockerfile import instructions
from stub_driver import compile_stub

from harness.operators import GPU_OPERATORS

pytestmark = pytest.mark.slow

LOCK = ROOT / "docker" / "requirements-gpu.lock"


@pytest.fixture(scope="module")
def environment():
    """A virtual environment of exactly the lock file; the folder is named for its content."""
    python = python311()
    assert python, "this test needs a Python 3.11, with venv, on the path"
    folder = CACHE / f"gpu-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        run_line = next(v for n, v in instructions(GPU) if n == "RUN" and "--require-hashes" in v)
        install = run_line[run_line.index("pip install") :]
        environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        subprocess.run(["sh", "-c", install], cwd=LOCK.parent, env=environment, check=True)
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    """Runs its Python with the checkout, and the stub driver unless there is none."""
    stub = compile_stub(tmp_path_factory.mktemp("driver")).parent

    def run_python(*arguments, driver=True, **settings):
        settings["PYTHONPATH"] = str(ROOT)
        if driver:
            settings["LD_LIBRARY_PATH"] = str(stub)
        return subprocess.run(
            [environment / "bin" / "python", *arguments],
            env={**os.environ, **settings},
            cwd=stub,
            capture_output=True,
            text=True,
        )

    return run_python


def test_pip_check_is_clean(run):
    checked = run("-m", "pip", "check")
    assert (checked.returncode, checked.stdout) == (0, "No broken requirements found.\n")


def test_mxnet_is_imported_and_computes(run):
    code = (
        "import gluon_linalg, mxnet as mx; print(mx.__version__, mx.context.num_gpus(),"
        " mx.runtime.Features().is_enabled('CUDA'), mx.nd.linalg.potrf(mx.nd.eye(2) * 4).asnumpy())"
    )
    ended = run("-c", code)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("1.9.1 0 True [[2. 0.]")
    assert ended.stderr == ""


def test_the_container_tells_devices_and_versions(run):
    ended = run("-m", "gluon_linalg.jobs.container", "--version", STUB_CAPABILITIES="8.6")
    assert ended.returncode == 0, ended.stderr
    first, *rest = ended.stderr.splitlines()
    assert "MXNet 1.9.1 with CUDA 11.8" in first.split(", ")
    assert rest == ["NVIDIA driver for CUDA 11.8", "gpu(0), Stub 0, compute capability 8.6"]


@pytest.mark.parametrize("command", [["--version"], ["train", "job.yaml"], ["serve"], ["train"]])
def test_the_container_refuses_compute_capability_9(run, command, tmp_path):
    base = str(tmp_path)
    command = ["-m", "gluon_linalg.jobs.container", *command]
    ended = run(*command, STUB_CAPABILITIES="8.6,9.0", SAGEMAKER_BASE_DIR=base)
    assert (ended.returncode, ended.stdout) == (2, "")
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("gpu(1), Stub 1, compute capability 9.0: MXNet 1.9.1 has machine code")
    failure = Path(base) / "output" / "failure"
    if command[-1] == "train":
        assert failure.read_text() == last + "\n"


def test_the_container_refuses_an_old_driver(run):
    settings = {"STUB_CAPABILITIES": "7.5", "STUB_DRIVER_VERSION": "10020"}
    ended = run("-m", "gluon_linalg.jobs.container", "--version", **settings)
    assert ended.returncode == 2
    assert "driver is for CUDA 10.2" in ended.stderr


def test_without_a_driver_the_import_says_so(run):
    ended = run("-c", "import gluon_linalg", driver=False)
    assert ended.returncode == 1
    assert "needs the NVIDIA driver (libcuda.so.1)" in ended.stderr.splitlines()[-1]


def test_every_operator_of_the_list_has_a_gpu_function_in_this_wheel(run, environment, tmp_path):
    # The list, against which every block's graph is checked, was made from MXNet's sources.
    site = environment / "lib" / "python3.11" / "site-packages"
    program = tmp_path / "gpu_operators"
    flags = ["-std=c++14", "-w", "-D_GLIBCXX_USE_CXX11_ABI=0", "-DMSHADOW_STAND_ALONE=1"]
    flags += ["-DMSHADOW_USE_CUDA=0", "-DMXNET_USE_CUDA=0", f"-I{site / 'mxnet' / 'include'}"]
    source = Path(__file__).parent / "gpu_operators.cc"
    library = site / "mxnet" / "libmxnet.so"
    link = [library, "-Wl,--allow-shlib-undefined", "-o", program]
    subprocess.run(["g++", *flags, source, *link], check=True)
    folders = [compile_stub(tmp_path).parent, library.parent, *site.glob("nvidia/*/lib")]
    paths = {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
    listed = subprocess.run([program], env=paths, check=True, capture_output=True, text=True)
    with_gpu, without = (set(part.split()) for part in listed.stdout.split("\n\n"))
    assert len(with_gpu) > 1000 and without
    assert GPU_OPERATORS & without == set()
    # What is neither is no operator: names of macros that the sources have.
    unknown = GPU_OPERATORS - with_gpu
    assert len(unknown) < 30
    assert {"_linalg_potrf", "_linalg_gelqf", "_linalg_syevd", "batch_dot", "_foreach"} <= with_gpu
