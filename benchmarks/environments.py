"""The peers' virtual environments, one for each file of `requirements/`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import List

from .case import HERE

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
# A copy of the requirements, written when all of them are installed.
STAMP = "requirements.txt"


def names() -> List[str]:
    """Of the peers' environments."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def default_folder() -> Path:
    """Where the environments are, outside of the checkout."""
    given = os.environ.get("GLUON_LINALG_BENCHMARKS")
    return Path(given or Path.home() / ".cache" / "gluon_linalg_benchmarks").expanduser()


def set_up(name: str, folder: Path, python: str = sys.executable) -> None:
    """Makes the environment anew; does nothing where it is there with the same requirements."""
    if not _trouble(name, folder):
        return
    subprocess.run([python, "-m", "venv", "--clear", str(folder / name)], check=True)
    pip = [_python(name, folder), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-r", str(_requirements(name))], check=True)
    (folder / name / STAMP).write_text(_requirements(name).read_text(encoding="utf-8"))


def python_of(name: str, folder: Path) -> str:
    """The interpreter of an environment. Raises LookupError where it is not set up."""
    if name == HERE:
        return sys.executable
    trouble = _trouble(name, folder)
    if trouble:
        raise LookupError(f"{trouble}; run `python -m benchmarks setup {name}`")
    return _python(name, folder)


def _trouble(name, folder):
    """Why an environment cannot be used, or nothing."""
    stamp = folder / name / STAMP
    if not stamp.exists():
        return f"the environment {name} is not set up"
    if stamp.read_text() != _requirements(name).read_text(encoding="utf-8"):
        return f"the environment {name} has other versions than {_requirements(name).name}"
    return ""


def _requirements(name):
    return REQUIREMENTS / f"{name}.txt"


def _python(name, folder):
    return str(folder / name / "bin" / "python")
