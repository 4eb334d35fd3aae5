"""Features, loss and forecast of Bayesian linear regression with learned features."""

import gp_reference as reference
import mxnet as mx
import numpy as np
import pytest
from window_checks import assert_conditional, assert_gradient_is_that_of_differences

from gluon_linalg.forecast.blr_network import BLRForecast, BLRWindowLayer, RegressionModel
from harness import assert_runs_on_gpu, run_modes
from harness.modes import assert_same


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def data(batch=3, length=9, seed=0):
    """Two time features, age, two dynamic features, two phases, static arrays and a target."""
    random = np.random.RandomState(seed)
    return {
        "static_categories": random.randint(2, size=(batch, 1)).astype(float),
        "static_reals": random.randn(batch, 2),
        "phases": random.rand(batch, length, 2),
        "features": random.randn(batch, length, 5),
        "target": random.randn(batch, length),
        "observed": (random.rand(batch, length) > 0.3).astype(float),
    }


def model(dtype="float64", **options):
    """A model with parameters away from where they start."""
    settings = dict(
        length=9,
        harmonics=[2, 1],
        time_features=2,
        dynamic=True,
        changes=3,
        layers=(4,),
        width=3,
        cardinality=[2],
        static_reals=True,
    )
    result = RegressionModel(**{**settings, **options}, prefix="blr_")
    result.initialize(init="xavier")
    result.cast(dtype)
    arrays = data(2)
    result(*(nd(arrays[name], dtype) for name in result.fields))
    random = np.random.RandomState(1)
    for name, parameter in result.collect_params().items():
        if "variance" not in name:
            parameter.set_data(nd(0.3 * random.randn(*parameter.shape), dtype))
    return result


def call(network, arrays, *more, dtype="float64"):
    return network(*(nd(arrays[name], dtype) for name in network.fields), *more)


def expected_model(arrays, network):
    """Features, prior variances and noise variance from the formulas of the docstrings."""
    found = {k[4:]: p.data().asnumpy() for k, p in network.collect_params().items()}
    count, length = arrays["target"].shape
    time = (np.arange(length) - (length - 1) / 2.0) / 4.0
    features, prior, noise = [], [], []
    for b in range(count):
        columns = [np.ones(length), time]
        columns += [np.maximum(0.0, time - place) for place in (-0.5, 0.0, 0.5)]
        columns.append(arrays["features"][b, :, 2])
        waves = []
        for phase, j in ((0, 1), (0, 2), (1, 1)):
            angle = 2.0 * np.pi * j * arrays["phases"][b, :, phase]
            waves += [np.cos(angle), np.sin(angle)]
        dynamic = [arrays["features"][b, :, 3], arrays["features"][b, :, 4]]
        seen = waves + [arrays["features"][b, :, 0], arrays["features"][b, :, 1]] + dynamic
        category = int(arrays["static_categories"][b, 0])
        hidden = np.stack(seen, axis=1) @ found["dense0_weight"].T + found["dense0_bias"]
        hidden += found["series_table0"][category]
        hidden += found["series_slopes_weight"] @ arrays["static_reals"][b]
        learned = np.tanh(hidden) @ found["dense1_weight"].T + found["dense1_bias"]
        features.append(np.column_stack([*columns, *waves, *dynamic, np.tanh(learned)]))
        shift = found["shift_table0"][category]
        shift = shift + found["shift_slopes_weight"] @ arrays["static_reals"][b]
        names = ["noise", "level", "trend", "changes", "age", "season0", "season1", "dynamic"]
        stored = [found[f"{name}_variance"][0] for name in (*names, "network")]
        variances = np.exp(np.array(stored) + shift)
        prior.append(np.repeat(variances[1:], [1, 1, 3, 1, 4, 2, 2, 3]))
        noise.append(variances[0] + 1e-6)
    return np.array(features), np.array(prior), np.array(noise)


def dense_covariance(features, prior, noise):
    identity = np.eye(features.shape[1])
    return np.einsum("bij,bj,bkj->bik", features, prior, features) + noise[:, None, None] * identity


def test_features_and_variances():
    arrays, network = data(), model()
    found = [output.asnumpy() for output in call(network, arrays)]
    for a, b in zip(found, expected_model(arrays, network)):
        np.testing.assert_allclose(a.squeeze(), b, rtol=1e-10, atol=1e-12)


def test_the_loss_is_that_of_the_observed_values_alone():
    arrays, network = data(5), model()
    dense = dense_covariance(*expected_model(arrays, network))
    expected = []
    for b, matrix in enumerate(dense):
        seen = arrays["observed"][b] == 1
        rows = matrix[np.ix_(seen, seen)][None], arrays["target"][b, seen][None]
        expected += list(reference.negative_log_likelihood(*rows))
    arrays["target"][arrays["observed"] == 0] = np.nan
    np.testing.assert_allclose(call(BLRWindowLayer(network), arrays).asnumpy(), expected, rtol=1e-9)


def test_the_gradient_is_that_of_differences():
    arrays, loss = data(4), BLRWindowLayer(model())
    assert_gradient_is_that_of_differences(loss, lambda: call(loss, arrays))


def test_all_modes(tmp_path):
    arrays = data(2)
    given = [arrays[name] for name in BLRWindowLayer(model()).fields]
    results = run_modes(lambda: BLRWindowLayer(model()), given, "float64", tmp_path)
    for mode, result in results.items():
        assert_same(result, results["imperative"], 1e-12, mode)
    assert_runs_on_gpu(lambda: BLRWindowLayer(model()), given, "float32", tmp_path)
    given = [*given[:-2], given[-2][:, :6], given[-1][:, :6], np.ones((2, 4, 3))]
    assert_runs_on_gpu(lambda: BLRForecast(model(), 3), given, "float32", tmp_path)


def test_a_window_without_observations_adds_nothing():
    arrays, loss = data(1), BLRWindowLayer(model())
    arrays["observed"][:] = 0.0
    with mx.autograd.record():
        value = call(loss, arrays)
    value.backward()
    assert abs(value.asscalar()) < 1e-14
    for parameter in loss.collect_params().values():
        np.testing.assert_allclose(parameter.grad().asnumpy(), 0.0, atol=1e-14)


def test_the_forecast_is_the_conditional_of_the_observed_values():
    network, steps = model(), 4
    arrays = data(4)
    dense = dense_covariance(*expected_model(arrays, network))
    past = {name: arrays[name][:, :-steps] for name in ("target", "observed")}
    noise = np.random.RandomState(3).randn(4, 6, steps)
    outputs = call(BLRForecast(network, steps), {**arrays, **past}, nd(noise))
    assert_conditional(outputs, dense, past, noise, 1e-10, {"rtol": 1e-7, "atol": 1e-8})


@pytest.mark.parametrize("options", [{}, {"dynamic": True}, {"time_features": 1}])
def test_a_model_with_little_to_see(options):
    arrays = data(2)
    count = options.get("time_features", 0) + 1 + 2 * options.get("dynamic", False)
    arrays["features"] = arrays["features"][:, :, :count]
    network = RegressionModel(
        **{"length": 9, "harmonics": [], "time_features": 0, "changes": 0, **options}
    )
    loss = BLRWindowLayer(network)
    loss.initialize(init="xavier")
    assert np.isfinite(call(loss, arrays, dtype="float32").asnumpy()).all()
    size = 3 + (12 if options.get("dynamic") else 10 if options else 0)
    assert call(network, arrays, dtype="float32")[0].shape == (2, 9, size)


@pytest.mark.parametrize("noise_variance", [1.001e-6, 1e-3, 1e3])
@pytest.mark.parametrize("prior_variance", [1e-8, 1.0, 1e10])
def test_float32_never_fails(noise_variance, prior_variance):
    network = model("float32", length=250, layers=(20,))
    for name, parameter in network.collect_params().items():
        if "variance" in name:
            parameter.set_value(noise_variance if "noise" in name else prior_variance)
    arrays = data(2, 250)
    with mx.autograd.record():
        loss = BLRWindowLayer(network)
        value = call(loss, arrays, dtype="float32")
    value.backward()
    assert np.isfinite(value.asnumpy()).all()
    for parameter in loss.collect_params().values():
        assert np.isfinite(parameter.grad().asnumpy()).all(), parameter.name
    past = {name: arrays[name][:, :-30] for name in ("target", "observed")}
    noise = nd(np.random.RandomState(3).randn(2, 4, 30), "float32")
    outputs = call(BLRForecast(network, 30), {**arrays, **past}, noise, dtype="float32")
    assert all(np.isfinite(output.asnumpy()).all() for output in outputs)
