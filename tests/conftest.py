"""Seeds every test; the seed is printed with a failure (GLUON_LINALG_TEST_SEED repeats it)."""

import os
import sys

# Tests run side by side; more threads than processors only get in each other's way.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# What programs find that tests start, see there.
STARTED = os.path.join(os.path.dirname(__file__), "started")
inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
others = [folder for folder in inherited if folder not in ("", STARTED)]
os.environ["PYTHONPATH"] = os.pathsep.join([STARTED, *others])
if sys.version_info < (3, 12):
    # Python's own distutils, or what MXNet imports of it would be setuptools as a whole.
    os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")

import numpy as np
import pytest

# Before any test module asks for MXNet: it repairs what MXNet misses.
import gluon_linalg  # isort: skip
import mxnet as mx  # isort: skip

os.environ["GLUON_LINALG_TESTED"] = os.path.dirname(os.path.abspath(gluon_linalg.__file__))


@pytest.fixture(autouse=True)
def seed():
    value = int(os.environ.get("GLUON_LINALG_TEST_SEED", "1234"))
    np.random.seed(value)
    mx.random.seed(value)
    print(f"GLUON_LINALG_TEST_SEED={value}")
    return value


@pytest.fixture(autouse=True)
def requests_unknown(monkeypatch):
    """No test has the gradients added that another one asked for."""
    monkeypatch.setattr(gluon_linalg.native.requests, "_known", set())
