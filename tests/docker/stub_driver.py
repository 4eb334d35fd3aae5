"""Compiles stub_driver.c into a folder that LD_LIBRARY_PATH can name."""

import subprocess
from pathlib import Path


def compile_stub(folder):
    """Returns the path of the library, `folder`/libcuda.so.1."""
    library = Path(folder) / "libcuda.so.1"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, source, "-Wl,-soname,libcuda.so.1"], check=True
    )
    return library
