"""The library called as MXNet calls it, but without MXNet."""

import numpy as np
import pytest

from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


def test_operators_are_those_that_mxnet_has(door):
    import mxnet as mx

    assert door.names == sorted(library.library().functions[mx.nd])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [0, 1, 5, 17])
def test_a_factor(door, dtype, batch):
    a = np.random.normal(size=(batch, 3, 3))
    a = (a @ a.transpose(0, 2, 1) + np.eye(3)).astype(dtype)
    (found,) = door.forward("potrf", a)
    tolerance = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(found, np.linalg.cholesky(a), rtol=tolerance, atol=tolerance)


def test_a_refusal_is_told(door):
    with pytest.raises(ValueError, match="square matrices"):
        door.forward("potrf", np.ones((2, 3, 4)))
