"""Structural models of several series in one graph, each with parameters of its own."""

import warnings

import mxnet as mx
import numpy as np
import pytest

from gluon_linalg.blocks import structural
from gluon_linalg.forecast.structural_components import Units, build_components, described
from gluon_linalg.forecast.structural_fit import SeriesBatch

EVERY_COMPONENT = [
    {"damped_trend": {"damping": 0.8}},
    {"seasonal": {"period": 4}},
    {"cycle": {"period": 7.0}},
    {"ar": {"order": 2}},
    {"regression": {"drifting": True}},
]
PRIORS = [{"level": {"prior": [5.0, 2.0]}}, {"seasonal": {"period": 3, "prior": [0.5, 4.0]}}]
SERIES, LENGTH = 3, 24


def data(features):
    random = np.random.RandomState(3)
    y = np.cumsum(random.randn(SERIES, LENGTH), axis=1)
    covariates = [random.randn(SERIES, LENGTH, features)] if features else []
    mask = (random.rand(SERIES, LENGTH) > 0.1).astype("float64")
    return [mx.nd.array(array, dtype="float64") for array in (y, *covariates, mask)]


@pytest.mark.parametrize(
    "components, features", [(EVERY_COMPONENT, 2), (PRIORS, 0), ([{"level": {}}], 0)]
)
def test_each_series_has_the_likelihood_of_its_own_model(components, features):
    """Value and gradients are those of one model after another, whose arrays are tested alone."""
    description = described(components, None, [], features > 0)
    units = [Units(3.0, 2.0), Units(-1.0, 0.5), Units(0.0, 1.0)]
    batch, arrays = SeriesBatch(description, features, units), data(features)
    random = np.random.RandomState(4)
    points = 0.5 * random.randn(SERIES, batch._points.shape[1])
    values, gradients = batch._evaluate(points, arrays)
    for index, own in enumerate(units):
        model = structural.StructuralModel(build_components(description, features, own), 1.0)
        model.initialize()
        model.cast("float64")
        parameters = [model.noise_variance]
        for component in model.components.components:
            parameters += [component._reg_params[name] for name in sorted(component._reg_params)]
        for parameter, piece in zip(parameters, batch._pieces(points[index])):
            parameter.set_data(mx.nd.array(piece, dtype="float64"))
        with mx.autograd.record():
            loss = model(*(array[index : index + 1] for array in arrays))
        loss.backward()
        expected = np.concatenate([parameter.grad().asnumpy() for parameter in parameters])
        np.testing.assert_allclose(values[index], loss.asscalar(), rtol=1e-12)
        np.testing.assert_allclose(gradients[index], expected, rtol=1e-8, atol=1e-9)


def test_the_last_states_are_those_of_the_smoother():
    """What ends earlier, and what is missing at the end, too."""
    description = described(EVERY_COMPONENT[:2], None, [], False)
    batch, arrays = SeriesBatch(description, 0, [Units(0.0, 1.0)] * SERIES), data(0)
    ends = [LENGTH, LENGTH - 5, LENGTH]
    arrays[-1][1, ends[1] :] = 0.0
    arrays[-1][2, -3:] = 0.0
    inputs, _ = batch.kalman_inputs(mx.nd, batch._points, *arrays)
    mean, covariance = (array.asnumpy() for array in batch._last_states(inputs, ends))
    means, covariances = (array.asnumpy() for array in batch.model.smoother(*inputs))
    for index, end in enumerate(ends):
        np.testing.assert_allclose(mean[index], means[index, end - 1], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            covariance[index], covariances[index, end - 1], rtol=1e-9, atol=1e-9
        )


def test_variances_are_found_in_few_evaluations_and_without_warnings(monkeypatch):
    """At the end no slope is left, but of variances of 0, and none that leads to a lower loss."""
    description = described([{"level": {}}, {"seasonal": {"period": 4}}], None, [], False)
    random, steps = np.random.RandomState(5), 60
    y = np.cumsum(random.randn(4, steps) * np.array([[0.0], [0.3], [1.0], [0.1]]), axis=1)
    y += np.tile([1.0, -2.0, 0.5, 0.5], steps // 4) + 0.5 * random.randn(4, steps)
    arrays = [mx.nd.array(array, dtype="float64") for array in (y, np.ones_like(y))]
    batch, rows = SeriesBatch(description, 0, [Units(0.0, 1.0)] * 4), []
    evaluate = SeriesBatch._evaluate

    def counted(self, points, *arguments):
        rows.append(len(points))
        return evaluate(self, points, *arguments)

    monkeypatch.setattr(SeriesBatch, "_evaluate", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        values = batch.fit(arrays, np.ones(4), 100)
    assert len(rows) < 20
    points = batch._points.asnumpy()
    found, gradients = evaluate(batch, points, arrays)
    np.testing.assert_allclose(found, values, rtol=1e-12)
    assert np.abs(gradients).max() < 1e-3
    for _ in range(20):
        others, _ = evaluate(batch, points + random.randn(*points.shape), arrays)
        assert (others > values - 1e-7).all()


def test_what_is_asked_for_is_evaluated():
    """Some series, each any number of times, are as in a call of all."""
    description = described(EVERY_COMPONENT, None, [], True)
    batch, arrays = SeriesBatch(description, 2, [Units(0.0, 1.0)] * SERIES), data(2)
    points = 0.5 * np.random.RandomState(6).randn(SERIES, batch._points.shape[1])
    values, gradients = batch._evaluate(points, arrays)
    for chosen in ([2], [1, 1, 2, 0, 2]):
        own, slopes = batch._evaluate(points[chosen], arrays, np.array(chosen))
        np.testing.assert_allclose(own, values[chosen], rtol=1e-12)
        np.testing.assert_allclose(slopes, gradients[chosen], rtol=1e-9, atol=1e-10)
