"""Seeds every test; the seed is printed with a failure (GLUON_LINALG_TEST_SEED repeats it)."""

import os

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
