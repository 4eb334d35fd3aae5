"""Seeds every test; the seed is printed with a failure (GLUON_LINALG_TEST_SEED repeats it)."""

import os

# Tests run side by side; more threads than processors only get in each other's way.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import pytest

from gluon_linalg._runtime import import_mxnet

# Before any test module asks for MXNet: only this import works with every numpy.
mx = import_mxnet()


@pytest.fixture(autouse=True)
def seed():
    value = int(os.environ.get("GLUON_LINALG_TEST_SEED", "1234"))
    np.random.seed(value)
    mx.random.seed(value)
    print(f"GLUON_LINALG_TEST_SEED={value}")
    return value
