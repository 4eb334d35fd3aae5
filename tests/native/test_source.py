"""Rules for the sources of the operators, and what of them is installed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gluon_linalg.native import library

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "gluon_linalg" / "native" / "source"


def families():
    return sorted(SOURCE.glob("*.cc"))


def test_there_are_families():
    assert families()


@pytest.mark.parametrize("path", families(), ids=lambda path: path.stem)
def test_a_family_takes_nothing_from_the_standard_library_but_headers_of_c(path):
    # The linker keeps one copy of a template for all instruction sets: a processor without AVX-512
    # would run into the one that was compiled with it.
    allowed = {"cmath", "cstddef", "cstdint", "cstring", "cfloat", "climits"}
    for name in re.findall(r"#include <(\w+)>", path.read_text(encoding="utf-8")):
        assert name in allowed, f"{path.name} includes <{name}>"


@pytest.mark.slow
@pytest.mark.parametrize("path", families(), ids=lambda path: path.stem)
def test_a_family_shares_no_code_with_another_instruction_set(path, tmp_path):
    made = tmp_path / "made.o"
    options = ["-std=c++17", "-O3", "-fPIC", "-DGL_LEVEL=plain", "-DGL_BYTES=16", f"-I{SOURCE}"]
    subprocess.run(["g++", *options, "-c", str(path), "-o", str(made)], check=True)
    symbols = subprocess.run(
        ["nm", "--demangle", str(made)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    weak = [line for line in symbols.splitlines() if re.match(r"^\w+ [Wu] ", line)]
    assert all("gluon_linalg::plain::" in line for line in weak), weak


@pytest.mark.slow
def test_a_wheel_is_for_any_python_and_made_without_a_compiler_too(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".git", "build", "*.so", "out", "*.egg-info")
    )
    for compiler, there in (("g++", True), ("no-such-compiler", False)):
        folder = tmp_path / compiler
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, copy],
            check=True,
            env={**__import__("os").environ, "CXX": compiler},
        )
        shutil.rmtree(copy / "build", ignore_errors=True)
        (wheel,) = folder.iterdir()
        assert re.search(r"-py3-none-\w+\.whl$", wheel.name)
        names = subprocess.run(
            [sys.executable, "-m", "zipfile", "-l", str(wheel)], stdout=subprocess.PIPE, text=True
        ).stdout
        assert ("native/operators.so" in names) is there


def test_the_library_was_compiled_where_there_is_a_compiler():
    if shutil.which("g++"):
        assert library.PATH.exists()
