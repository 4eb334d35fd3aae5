"""The lock files: complete, of this package's requirements, and accepted by pip."""

import re
import runpy
import subprocess
import sys

import pytest
import setuptools
from docker_files import DOCKER, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = {kind: DOCKER / f"requirements-{kind}.lock" for kind in ("cpu", "gpu")}
ENTRY = re.compile(r"([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")


@pytest.fixture
def extras(monkeypatch):
    arguments = {}
    monkeypatch.setattr(setuptools, "setup", arguments.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return {"core": arguments["install_requires"], **arguments["extras_require"]}


def pins(kind):
    return {name: version for name, version, _ in ENTRY.findall(LOCKS[kind].read_text())}


@pytest.mark.parametrize("kind", LOCKS)
def test_every_line_is_a_version_with_its_hashes(kind):
    rest = ENTRY.sub("", LOCKS[kind].read_text())
    assert [line for line in rest.splitlines() if not line.startswith("#")] == []
    # No address of a package index: pip's own configuration says where packages come from.
    assert "://" not in LOCKS[kind].read_text()


@pytest.mark.parametrize("kind", LOCKS)
def test_the_locks_satisfy_setup_py(kind, extras):
    locked = pins(kind)
    wanted = (DOCKER / "requirements.in").read_text().splitlines()
    lines = [line for line in wanted if line and not line.startswith("#")]
    lines += [*extras["core"], *extras[kind], *extras["jobs"], *extras["serve"]]
    for line in lines:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"python_version": "3.11"}):
            continue
        version = locked.get(canonicalize_name(requirement.name))
        remedy = f"{line} is not in requirements-{kind}.lock ({version}): run docker/lock.sh"
        assert version is not None and requirement.specifier.contains(version), remedy


def test_the_gpu_image_has_the_same_packages_but_for_mxnet_and_cuda():
    cpu, gpu = pins("cpu"), pins("gpu")
    more = {name for name in gpu if name not in cpu}
    assert {name for name in cpu if cpu[name] != gpu.get(name)} == {"mxnet"}
    assert "mxnet-cu117" in more
    assert all(name.startswith("nvidia-") for name in more - {"mxnet-cu117"})


@pytest.mark.slow
def test_pip_accepts_the_hashes(tmp_path):
    # As for the Python and the system of the image, whichever run this test. Those of the GPU are
    # accepted by test_gpu_wheels.py, after 2.4 GB of downloads.
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
    command += ["--require-hashes", "--no-deps", "-r", LOCKS["cpu"]]
    command += ["--target", tmp_path, "--only-binary=:all:", "--python-version=3.11"]
    command += [f"--platform=manylinux_2_{minor}_x86_64" for minor in (17, 26, 27, 28)]
    command += ["--platform=manylinux2014_x86_64", "--platform=linux_x86_64"]
    if sys.version_info < (3, 11):
        # Its pip compares the Python that runs it with what is required, in a dry run.
        command += ["--ignore-requires-python"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
