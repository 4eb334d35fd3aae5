"""What the networks compute, against a dense Gaussian made of what they emit."""

import mxnet as mx
import numpy as np
import pytest
from gluonts.mx.distribution.lds import ParameterBounds

from gluon_linalg.forecast import DeepStateSpaceEstimator
from gluon_linalg.forecast.estimator import TrainingBatches
from gluon_linalg.forecast.state_space_emitter import CELLS, feature_network

CONTEXT, STEPS, BATCH = 11, 4, 3
LENGTH = CONTEXT + STEPS


def networks(**settings):
    """Training and prediction network in float64, with parameters far from their first values."""
    estimator = DeepStateSpaceEstimator(
        **{
            "freq": "h",
            "prediction_length": STEPS,
            "past_length": CONTEXT,
            "seasonal_periods": [6.0, 7.5],
            "harmonics": [2, 1],
            "cardinality": [3],
            "use_feat_static_cat": True,
            "num_cells": 5,
            "dtype": np.float64,
            "dropout_rate": 0.0,
            **settings,
        }
    )
    training = estimator.create_training_network()
    training.cast("float64")
    training.initialize(mx.init.Normal(0.4))
    return estimator, training, estimator.create_prediction_network(training)


def window_arrays(seed=0):
    random = np.random.RandomState(seed)
    arrays = {
        "categories": random.randint(3, size=(BATCH, 1)),
        "reals": np.zeros((BATCH, 1)),
        "features": random.randn(BATCH, LENGTH, 3),
        "phases": random.rand(BATCH, LENGTH, 2),
        "target": random.randn(BATCH, CONTEXT),
        "observed": random.rand(BATCH, CONTEXT) < 0.7,
    }
    arrays["observed"][1] = False
    return {name: mx.nd.array(array, dtype="float64") for name, array in arrays.items()}


def dense(emitted, series):
    """Mean (N,) and covariance (N, N) of y_1, ..., y_N of a series, step by step from the model."""
    transition, emission, process, noise, mean, factor, offset = (
        array.asnumpy()[0 if len(array) == 1 else series] for array in emitted
    )
    transition = transition[0]
    # Each column of `effect` is what one standard normal number adds to the state.
    effect, rows, means = factor, [], []
    for t in range(LENGTH):
        rows.append(emission[t, 0] @ effect)
        means.append(emission[t, 0] @ mean + offset[t, 0])
        mean = transition @ mean
        effect = np.hstack([transition @ effect, process[t]])
    width = effect.shape[1]
    effects = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
    return np.array(means), effects @ effects.T + np.diag(noise[:, 0, 0] ** 2)


@pytest.mark.parametrize("cell_type, trend", [("lstm", True), ("gru", False), ("mlp", True)])
def test_loss_and_forecast_are_those_of_the_dense_gaussian(cell_type, trend):
    _, training, prediction = networks(cell_type=cell_type, add_trend=trend)
    inputs = window_arrays()
    past = {
        name: array[:, :CONTEXT] if name in ("features", "phases") else array
        for name, array in inputs.items()
    }
    losses = training(*past.values()).asnumpy()
    size = prediction.noise_size(training.emitter, STEPS)
    # With one number at 1 and the others at 0, paths tell the effect of each number.
    noise = np.tile(np.vstack([np.zeros(size), np.eye(size)]), (BATCH, 1, 1))
    outputs = prediction(*inputs.values(), mx.nd.array(noise, dtype="float64"))
    paths, means, deviations = (array.asnumpy() for array in outputs)
    emitted = training.emitter(*list(inputs.values())[:4])
    for i in range(BATCH):
        mean, covariance = dense(emitted, i)
        seen = np.flatnonzero(inputs["observed"].asnumpy()[i])
        future = np.arange(CONTEXT, LENGTH)
        residual = inputs["target"].asnumpy()[i, seen] - mean[seen]
        own = covariance[np.ix_(seen, seen)]
        negative = 0.5 * (
            residual @ np.linalg.solve(own, residual)
            + np.linalg.slogdet(own)[1]
            + len(seen) * np.log(2.0 * np.pi)
        )
        np.testing.assert_allclose(losses[i], negative / max(1, len(seen)), rtol=1e-10)
        gain = np.linalg.solve(own, covariance[np.ix_(seen, future)]).T
        expected = mean[future] + gain @ residual
        spread = covariance[np.ix_(future, future)] - gain @ covariance[np.ix_(seen, future)]
        np.testing.assert_allclose(means[i], expected, rtol=1e-9)
        np.testing.assert_allclose(deviations[i], np.sqrt(np.diag(spread)), rtol=1e-9)
        np.testing.assert_allclose(paths[i, 0], expected, rtol=1e-9)
        effects = (paths[i, 1:] - paths[i, 0]).T
        np.testing.assert_allclose(effects @ effects.T, spread, rtol=1e-8)


def test_the_states_are_level_slope_and_waves():
    _, training, _ = networks(add_trend=True)
    inputs = window_arrays()
    transition, emission, *_ = training.emitter(*list(inputs.values())[:4])
    expected = np.eye(8)
    expected[0, 1] = 1.0
    np.testing.assert_array_equal(transition.asnumpy()[0, 0], expected)
    first, second = 2.0 * np.pi * np.moveaxis(inputs["phases"].asnumpy(), 2, 0)
    waves = [np.cos(first), np.cos(2 * first), np.sin(first), np.sin(2 * first)]
    waves += [np.cos(second), np.sin(second)]
    rows = np.stack([np.ones_like(first), np.zeros_like(first), *waves], axis=2)
    np.testing.assert_allclose(emission.asnumpy()[:, :, 0], rows, rtol=1e-12, atol=1e-15)


def test_a_season_moves_as_one_of_dummies():
    """An innovation of a season changes y by its standard deviation at the same phase."""
    _, training, _ = networks(innovation_bounds=ParameterBounds(0.1, 0.1 + 1e-12))
    inputs = window_arrays()
    _, emission, process, *_ = training.emitter(*list(inputs.values())[:4])
    change = (emission[:, :, 0, :].expand_dims(3) * process).sum(axis=2)
    np.testing.assert_allclose(change.asnumpy(), 0.1, rtol=1e-9)


def test_emitted_numbers_are_within_their_bounds():
    bounds = {
        "noise_std_bounds": ParameterBounds(0.1, 0.4),
        "innovation_bounds": ParameterBounds(0.01, 0.02),
        "prior_cov_bounds": ParameterBounds(1.0, 4.0),
    }
    _, training, _ = networks(**bounds)
    inputs, emitter = list(window_arrays().values())[:4], training.emitter
    emitter(*inputs)
    for layer in (emitter.each_time, emitter.first_time):
        layer.weight.set_data(1000 * layer.weight.data())
    _, _, process, noise, _, factor, _ = emitter(*inputs)
    noise, level = noise.asnumpy(), process.asnumpy()[:, :, 0, 0]
    prior = mx.nd.linalg.extractdiag(factor).asnumpy()
    for values, lower, upper in ((noise, 0.1, 0.4), (level, 0.01, 0.02), (prior, 1.0, 2.0)):
        assert lower <= values.min() * (1 + 1e-12) and values.max() <= upper * (1 + 1e-12)
        # Both ends are reached.
        assert values.min() < 1.01 * lower and values.max() > 0.99 * upper


@pytest.mark.parametrize("hybridize", [pytest.param(False, marks=pytest.mark.slow), True])
def test_gradients(hybridize):
    _, training, _ = networks(add_trend=True)
    inputs = [array[:, :CONTEXT] for array in window_arrays().values()]
    training.hybridize(hybridize)
    with mx.autograd.record():
        loss = training(*inputs)
    loss.backward()
    random, step = np.random.RandomState(0), 1e-5
    for name, parameter in training.collect_params().items():
        kept, direction = parameter.data().copy(), random.randn(*parameter.shape)
        sides = []
        for sign in (1.0, -1.0):
            parameter.set_data(kept + mx.nd.array(sign * step * direction, dtype="float64"))
            sides.append(training(*inputs).asnumpy().sum())
        parameter.set_data(kept)
        expected = (sides[0] - sides[1]) / (2.0 * step)
        found = (parameter.grad().asnumpy() * direction).sum()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("cell_type", CELLS)
def test_dropout_is_there_in_float32(cell_type):
    """MXNet's own recurrent layers leave it out."""
    x = mx.nd.random.normal(shape=(2, 3, 4))
    for rate in (0.0, 0.5):
        network = feature_network(cell_type, layers=2, cells=8, dropout=rate)
        network.initialize()
        with mx.autograd.record():
            first, second = network(x), network(x)
        assert (abs(first - second).max().asscalar() > 0) == (rate > 0)


def test_float32_agrees_with_float64():
    results = []
    for dtype in ("float64", "float32"):
        _, training, _ = networks(dtype=np.dtype(dtype).type)
        training.cast(dtype)
        training.initialize(mx.init.Constant(0.05), force_reinit=True)
        arrays = [a[:, :CONTEXT].asnumpy() for a in window_arrays().values()]
        batch = TrainingBatches(None, mx.cpu(), dtype).arrays(arrays)
        with mx.autograd.record():
            loss = training(*batch)
        loss.backward()
        gradient = np.concatenate(
            [p.grad().asnumpy().ravel() for p in training.collect_params().values()]
        )
        results.append((loss.asnumpy(), gradient))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-5)
    np.testing.assert_allclose(
        results[1][1], results[0][1], atol=1e-4 * np.abs(results[0][1]).max()
    )
