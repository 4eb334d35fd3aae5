"""Student-t noise: its likelihood where that is known, and outliers that move nothing."""

import os

import mxnet as mx
import numpy as np
import pytest
from scipy import stats

import gluon_linalg as gl
from gluon_linalg import structural as s
from gluon_linalg.compilation import EQUAL_PARTS
from harness import run_modes
from harness.modes import assert_same

PLACES, STEPS = [12, 30, 31, 46], 50


def built(model):
    model.initialize()
    model.cast("float64")
    return model


def nd(*values):
    return [mx.nd.array(np.asarray(value)[None], dtype="float64") for value in values]


def series():
    random = np.random.RandomState(0)
    level = 0.5 * random.normal(size=STEPS).cumsum() + 0.5 * random.normal(size=STEPS)
    return level + 2.0 * np.sin(np.pi * np.arange(STEPS) / 2.0)


def with_outliers(size):
    y = series()
    y[PLACES] += np.array([1.0, -1.0, 0.3, 1.0]) * size
    return y


def seasonal(kind=s.RobustStructuralModel, **options):
    return built(kind(s.LocalLevel(0.2) + s.Seasonal(4, seasonal_variance=0.01), 0.2, **options))


def test_around_a_known_level_the_bound_is_the_likelihood():
    y = np.random.RandomState(1).standard_t(3, size=20) * 1.5 + 2.0
    known = s.LocalLevel(0, prior=(2.0, 0.0))
    found = built(s.RobustStructuralModel(known, 2.0, 5.0))(*nd(y)).asscalar()
    assert found == pytest.approx(-stats.t.logpdf(y, 5, 2.0, np.sqrt(2.0)).sum(), rel=1e-10)


def test_it_is_the_structural_model_where_the_tails_are_light():
    y = series()
    found = seasonal(degrees_of_freedom=1e7)(*nd(y)).asscalar()
    assert found == pytest.approx(seasonal(s.StructuralModel)(*nd(y)).asscalar(), rel=1e-5)


def test_outliers_move_no_forecast():
    """A forecast with outliers of 1e8 is that in which they are missing."""
    mask = np.ones(STEPS)
    mask[PLACES] = 0
    model = seasonal()
    found = model.forecaster(4)(*nd(with_outliers(1e8)))
    expected = model.forecaster(4)(*nd(series(), mask))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), atol=1e-4)
    weights = model.weights(*nd(with_outliers(1e8))).asnumpy()[0]
    assert (weights[PLACES] < 1e-12).all() and (np.delete(weights, PLACES) > 0.2).all()
    mean, _ = model.decompose(*nd(with_outliers(1e8)))["level"]
    assert (
        np.abs(mean.asnumpy() - model.decompose(*nd(series(), mask))["level"][0].asnumpy()).max()
        < 1e-4
    )


@pytest.mark.slow
def test_the_size_of_outliers_moves_no_fit():
    found = []
    for size in (1e4, 1e8):
        model = built(s.RobustStructuralModel(s.LocalLevel(0.2), 0.2, iterations=8))
        model.degrees_of_freedom.grad_req = "null"
        # Without the season, which a test has to pay for.
        y = with_outliers(size) - 2.0 * np.sin(np.pi * np.arange(STEPS) / 2.0)
        found.append(gl.fit(model, y).parameters)
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-3)
    assert found[0]["noise_variance"] < 2.0


def test_forecasts_have_the_variance_of_the_noise():
    y, known = series(), s.LocalLevel(0, prior=(0.0, 0.0))
    model = built(s.RobustStructuralModel(known, 2.0, 5.0))
    _, variance = model.forecaster(2)(*nd(y))
    np.testing.assert_allclose(variance.asnumpy(), stats.t.var(5, scale=np.sqrt(2.0)), rtol=1e-9)


@pytest.mark.slow
def test_regression_and_export(tmp_path):
    y, x = with_outliers(1e6), np.random.RandomState(2).normal(size=(STEPS + 2, 1))
    part = s.LocalLevel(0.2) + s.Regression(1)
    model = built(s.RobustStructuralModel(part, 0.2, iterations=3))
    forecaster = model.forecaster(2)
    gl.export(forecaster, str(tmp_path / "model"), *nd(y, x))
    expected = forecaster(*nd(y, x))
    for found, right in zip(gl.load(str(tmp_path / "model"))(*nd(y, x)), expected):
        np.testing.assert_allclose(found.asnumpy(), right.asnumpy(), rtol=1e-8)
    assert np.abs(expected[0].asnumpy()).max() < 10.0


def test_gradient():
    """The bound is stationary in the weights, once they have come to rest."""
    model = built(s.RobustStructuralModel(s.LocalLevel(0.5), 0.8, iterations=20))
    y = nd(with_outliers(30.0)[:20])
    parameters = list(model.collect_params().values())
    with mx.autograd.record():
        loss = model(*y)
    loss.backward()
    for parameter in parameters:
        stored, losses = parameter.data().copy(), []
        for step in (1e-4, -1e-4):
            parameter.set_data(stored + step)
            losses.append(model(*y).asscalar())
        parameter.set_data(stored)
        expected = (losses[0] - losses[1]) / 2e-4
        assert parameter.grad().asscalar() == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
def test_execution_modes(dtype, tolerance, tmp_path):
    def factory():
        return s.RobustStructuralModel(s.LocalLevel(0.5), 0.8, 5.0, iterations=1)

    results = run_modes(factory, [with_outliers(30.0)[None, 6:16]], dtype, tmp_path)
    for mode, result in results.items():
        assert_same(result, results["imperative"], tolerance, mode)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"noise_variance": None}, "noise_variance is None, expected above 0"),
        ({"degrees_of_freedom": 2.0}, "2.0 is not a positive number above 2"),
        ({"iterations": 0}, "iterations is 0, expected 1 or more"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        s.RobustStructuralModel(s.LocalLevel(), **options)


def test_a_large_graph_is_not_searched_for_equal_parts(monkeypatch):
    """That takes the square of its nodes; other graphs and the environment are as they were."""
    found, call = [], mx._ctypes.ndarray.CachedOp.__call__
    monkeypatch.delenv(EQUAL_PARTS, raising=False)

    def watched(self, *args, **kwargs):
        found.append(os.environ.get(EQUAL_PARTS))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(mx._ctypes.ndarray.CachedOp, "__call__", watched)
    y = mx.nd.array(np.random.RandomState(0).randn(1, 12), dtype="float64")
    for iterations, expected in ((6, ["0", None]), (1, [None, None])):
        model = s.RobustStructuralModel(s.LocalLevel(0.1), 1.0, iterations=iterations)
        model.initialize()
        model.cast("float64")
        right = model(y).asscalar()
        model.hybridize(static_alloc=True, static_shape=True)
        found.clear()
        values = [model(y).asscalar() for _ in range(2)]
        assert found == expected and EQUAL_PARTS not in os.environ
        np.testing.assert_allclose(values, right, rtol=1e-12)
