"""A structural model one observation at a time equals its forecaster of all of them."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import structural

MODELS = {
    "level": lambda: structural.LocalLevel(0.3),
    "trend and season": lambda: structural.LocalLinearTrend(0.2, 0.01) + structural.Seasonal(4),
    "autoregression": lambda: structural.AutoRegression(2, [0.5, 0.2]),
    "regression": lambda: structural.LocalLevel(0.3) + structural.Regression(2),
}


def streamed(step, states, y, covariates, mask, steps):
    """Means and variances after each observation, and the states in the end."""
    found = []
    for t in range(y.shape[1]):
        arrays = [y[:, t : t + 1], mask[:, t : t + 1], *states]
        if covariates is not None:
            arrays.insert(1, covariates[:, t : t + 1 + steps])
        mean, variance, *states = step(*(mx.nd.array(a, dtype="float64") for a in arrays))
        states = [array.asnumpy() for array in states]
        found.append((mean.asnumpy(), variance.asnumpy()))
    return found, states


@pytest.mark.parametrize("backend", ["auto", "mxnet"])
@pytest.mark.parametrize("name", MODELS)
def test_one_by_one_equals_the_whole(name, backend, tmp_path):
    """Live and exported, with gaps, for two series at once."""
    random, steps, length = np.random.RandomState(3), 3, 20
    y = 5.0 + np.cumsum(random.randn(2, length), axis=1)
    mask = (random.rand(2, length) > 0.15).astype("float64")
    mask[:, 0] = 1.0
    y = np.where(mask > 0, y, np.nan)
    covariates = random.randn(2, length + steps, 2) if name == "regression" else None
    with gl.use_backend(backend):
        model = gl.StructuralModel(MODELS[name](), noise_variance=0.4)
        model.initialize()
        model.cast("float64")
        stream = model.stream(steps)
        found, states = streamed(stream, stream.begin_state(2), y, covariates, mask, steps)
        assert (states[0] == length).all()
        for end in (12, length):
            arrays = [y[:, :end], mask[:, :end]]
            if covariates is not None:
                arrays.insert(1, covariates[:, : end + steps])
            right = model.forecaster(steps)(*(mx.nd.array(a, dtype="float64") for a in arrays))
            for a, b in zip(found[end - 1], right):
                np.testing.assert_allclose(a, b.asnumpy(), rtol=1e-9, atol=1e-10)
        example = [y[:, :1], mask[:, :1], *stream.begin_state(2)]
        if covariates is not None:
            example.insert(1, covariates[:, : 1 + steps])
        path = str(tmp_path / "stream")
        gl.export(stream, path, *(mx.nd.array(a, dtype="float64") for a in example))
        again, _ = streamed(gl.load(path), stream.begin_state(2), y, covariates, mask, steps)
        for a, b in zip(again[-1], found[-1]):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_what_is_open():
    """The variance is infinite until all initial states are known."""
    model = gl.StructuralModel(structural.LocalLinearTrend(), noise_variance=0.4)
    model.initialize()
    stream = model.stream(1)
    y = np.array([[1.0, 2.0, 4.0]])
    found, _ = streamed(stream, stream.begin_state(), y, None, np.ones_like(y), 1)
    assert [np.isinf(variance[0, 0]) for _, variance in found] == [True, False, False]


def test_bad_shapes():
    model = gl.StructuralModel(structural.LocalLevel() + structural.Regression(2))
    model.initialize()
    stream = model.stream(3)
    arrays = [np.zeros((1, 1)), np.zeros((1, 3, 2)), np.ones((1, 1)), *stream.begin_state()]
    with pytest.raises(gl.errors.ShapeError, match="got 3 steps of covariates.*expected 4"):
        stream(*(mx.nd.array(a, dtype="float64") for a in arrays))
    arrays[1] = np.zeros((1, 4, 1))
    with pytest.raises(gl.errors.ShapeError, match="got 1 covariates, expected 2"):
        stream(*(mx.nd.array(a, dtype="float64") for a in arrays))
