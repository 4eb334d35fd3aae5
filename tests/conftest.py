"""Seeds every test; the seed is printed with a failure (GLUON_LINALG_TEST_SEED repeats it)."""

import os

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg  # noqa: F401  (installs the error translation before any operator runs)


@pytest.fixture(autouse=True)
def seed():
    value = int(os.environ.get("GLUON_LINALG_TEST_SEED", "1234"))
    np.random.seed(value)
    mx.random.seed(value)
    print(f"GLUON_LINALG_TEST_SEED={value}")
    return value
