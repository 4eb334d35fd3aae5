"""GPLikelihoodLayer at 500 observations and ill-conditioned covariances, against longdouble.

The values are stored, see `gp_dense_reference`: what its inputs and parameters, rounded to the
dtype, give in exact arithmetic.
"""

import gp_dense_reference as reference
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k

STORED = reference.read()
FLOAT64 = np.finfo("float64").eps


def layer_of(case, dtype, precision):
    """The layer, and its parameters by the keys of the references."""
    parameters, terms = {}, []
    for t, factors in enumerate(case.terms):
        product = None
        for f, (kind, options) in enumerate(factors):
            kernel = getattr(k, kind)(**options)
            for name in options:
                parameters[f"{t}.{f}.{name}"] = getattr(kernel, name)
            product = kernel if product is None else product * kernel
        terms.append(product)
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    layer = gl.GPLikelihoodLayer(total, noise_variance=case.noise_variance, precision=precision)
    layer.initialize()
    layer.cast(dtype)
    layer.hybridize(static_alloc=True)
    parameters["noise_variance"] = layer.noise_variance
    return layer, parameters


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", reference.CASES)
def test_value_and_gradients(name, dtype):
    case, expected = reference.CASES[name](), STORED[name][dtype]
    layer, parameters = layer_of(case, dtype, None if dtype == "float64" else "float64")
    x, y = (mx.nd.array(a[None], dtype=dtype) for a in (case.x, case.y))
    x.attach_grad()
    y.attach_grad()
    with mx.autograd.record():
        loss = layer(x, y)
    loss.backward()
    # What rounding A in float64 does to A⁻¹, and in float32 to what comes in and out.
    bound = FLOAT64 * expected["condition"] + (1e-10 if dtype == "float64" else 1e-6)
    assert loss.asscalar() == pytest.approx(expected["value"], rel=bound)
    assert set(expected["gradient"]) == set(parameters)
    largest = max(np.abs(elements).max() for elements in expected["gradient"].values())
    for key, elements in expected["gradient"].items():
        found = parameters[key].grad().asnumpy()
        np.testing.assert_allclose(found, elements, atol=bound * largest, rtol=bound, err_msg=key)
    of_y = np.array(expected["of_y"])
    np.testing.assert_allclose(y.grad.asnumpy()[0], of_y, atol=bound * np.abs(of_y).max())
    moved = reference.directions(case)
    gradient = x.grad.asnumpy()[0].astype("float64")
    size = np.abs(gradient * moved).sum()
    assert (gradient * moved).sum() == pytest.approx(expected["along"], abs=bound * size)
