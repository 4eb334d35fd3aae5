"""Native gradients of long series: rounding must not grow with the number of steps."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import structural


@pytest.mark.parametrize("harmonics", [3, 4, 7])
def test_gradient_of_the_likelihood(harmonics):
    """Of eight, ten and sixteen states, as by MXNet's operators, which other tests hold right."""
    y = np.cumsum(0.1 * np.random.RandomState(2).randn(1, 600), axis=1)
    season = structural.Seasonal(365.25, "trigonometric", harmonics, 0.003)
    model = gl.StructuralModel([structural.LocalLinearTrend(0.004, 0.004), season], 0.004)
    model.initialize()
    model.cast("float64")
    given, found = mx.nd.array(y, dtype="float64"), []
    for backend in ("mxnet", "auto"):
        with gl.use_backend(backend):
            with mx.autograd.record():
                loss = model(given)
            loss.backward()
        found.append([p.grad().asscalar() for p in model.collect_params().values()])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-8)
