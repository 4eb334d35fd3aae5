"""Calls with arrays of any shape, of the library as it is and of builds with sanitizers."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gluon_linalg.native import library

ROOT = Path(__file__).resolve().parent.parent.parent
FUZZ = Path(__file__).with_name("fuzz.py")
# Options of the compiler, and what the program of another build has to be started with.
SANITIZERS = {
    "address and undefined behaviour": (
        "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer",
        ["libasan.so", "libubsan.so"],
    ),
    "thread": ("-fsanitize=thread", ["libtsan.so"]),
}
OPTIONS = {
    # Python itself keeps memory to its end.
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:allocator_may_return_null=1",
}


def compiler(name="g++"):
    """The command; a test that needs it fails where it is not there."""
    found = subprocess.run(["sh", "-c", f"command -v {name}"], stdout=subprocess.PIPE, text=True)
    assert found.returncode == 0, f"this test needs {name}: apt-get install g++ (or its cross form)"
    return found.stdout.strip()


def build(folder, **variables):
    """The library, compiled in that folder."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", folder]
    built = subprocess.run(
        [*command, "--build-temp", folder / "objects"], cwd=ROOT,
        env={**os.environ, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    path = folder / "gluon_linalg" / "native" / "operators.so"
    assert built.returncode == 0 and path.exists(), built.stdout + built.stderr
    return path


def fuzz(path, examples, start=(), **variables):
    ended = subprocess.run(
        [*start, sys.executable, FUZZ, path, str(examples)],
        env={**os.environ, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-8000:]


@pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")
def test_shapes_of_all_sizes():
    fuzz(library.PATH, 10, OMP_NUM_THREADS="4")


@pytest.mark.slow
@pytest.mark.parametrize("level", ["plain", "avx2", "avx512"])
def test_shapes_of_all_sizes_in_every_instruction_set(level):
    fuzz(library.PATH, 300, OMP_NUM_THREADS="4", GLUON_LINALG_NATIVE_LEVEL=level)


@pytest.mark.slow
@pytest.mark.parametrize("name", SANITIZERS)
def test_sanitizers_have_nothing_to_say(tmp_path, name):
    options, runtimes = SANITIZERS[name]
    compiler()
    best = "avx2" if "avx2" in Path("/proc/cpuinfo").read_text() else "plain"
    path = build(tmp_path, CXXFLAGS=f"{options} -O1 -g1", GLUON_LINALG_NATIVE_LEVELS=best)
    files = [
        subprocess.run(["g++", f"-print-file-name={file}"], stdout=subprocess.PIPE, text=True)
        for file in runtimes
    ]
    preload = ":".join(file.stdout.strip() for file in files)
    # The thread sanitizer of GCC 12 knows no addresses as random as those of newer kernels.
    fixed = ["setarch", platform.machine(), "--addr-no-randomize"]
    variables = {**OPTIONS, "LD_PRELOAD": preload, "PYTHONMALLOC": "malloc"}
    fuzz(path, 100, fixed, OMP_NUM_THREADS="4", **variables)


@pytest.mark.slow
def test_the_sources_compile_for_64_bit_arm(tmp_path):
    command = compiler("aarch64-linux-gnu-g++")
    path = build(tmp_path, CXX=command, GLUON_LINALG_NATIVE_LEVELS="plain")
    header = subprocess.run(["readelf", "-h", path], stdout=subprocess.PIPE, text=True).stdout
    assert "AArch64" in header
