"""The exponential of a kernel against NumPy, on arrays and in a graph."""

import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import functional as fn


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("dtype", "error"), [("float32", 1.2e-7), ("float64", 1e-15)])
def test_exp_below_zero(dtype, error, compiled):
    exponents = np.concatenate([-np.logspace(-30, 3, 4001), [0.0]]).reshape(1, 1, -1)
    x = mx.nd.array(exponents, dtype=dtype)
    if compiled:
        symbol = fn.exp_below_zero(mx.sym, mx.sym.var("x", dtype=dtype), dtype)
        (values,) = symbol.bind(mx.cpu(), {"x": x}).forward()
    else:
        values = fn.exp_below_zero(mx.nd, x, dtype)
    values = values.asnumpy()
    assert values.dtype == dtype
    assert np.abs(values - np.exp(x.asnumpy().astype("float64"))).max() <= error
    assert values.min() >= 0.0 and values.max() == 1.0 and values[0, 0, -1] == 1.0
