"""Where the files of docker/ are, and what tests of them need of this machine."""

import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKER = ROOT / "docker"
CPU, GPU = DOCKER / "Dockerfile.cpu", DOCKER / "Dockerfile.gpu"
# A job of sagemaker_files.TABLE, for a number of iterations.
JOB = """\
task: gp
data: {path: table.csv, inputs: [x], target: y}
model: {kernel: {rbf: {variance: 1, lengthscale: 1}}, noise_variance: 0.1}
training: {optimizer: adam, iterations: %d}
output: /out/model
"""


def python311():
    """A Python of the version of the images, whose packages the lock files name."""
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    candidates = [shutil.which("python3.11")]
    candidates += sorted(Path.home().glob(".pyenv/versions/3.11.*/bin/python"))
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", "import venv, ensurepip"]).returncode == 0:
            return str(candidate)
    return None


def wait_for(happened, seconds=180):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answers(port):
    """Whether a server says that it is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
