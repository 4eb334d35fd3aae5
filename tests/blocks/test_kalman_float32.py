"""The Kalman layers in float32: how near they stay to float64."""

import numpy as np
import pytest
from kalman_reference import random_system
from test_kalman import EVERY_LAYER, METHODS, differentiate, layer_for, model, run, with_noise
from test_kalman_cases import INNOVATION_MODELS, innovation_model, log_likelihood


def rounded(system):
    """The system as float32 has it."""
    return {n: v.astype("float32").astype("float64") for n, v in system.items() if v is not None}


def assert_near(found, expected, tolerance):
    for a, b in zip(found, expected):
        assert a.dtype == np.float32
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


@METHODS
@INNOVATION_MODELS
def test_innovation_state_space_model(setting, expected, method):
    """Innovation variances 1e-7 of float32's sight: within 1e-3 of the likelihood in float64."""
    system = rounded(innovation_model(*setting))
    layer = layer_for("filter", system, method)
    found = -run(layer, system, "float32")[0][0]
    assert found == pytest.approx(log_likelihood(system, method=method), rel=1e-3)
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_long_local_level():
    """T = 10000: likelihood, gradients and smoothed states within 1e-3 of float64."""
    random = np.random.RandomState(0)
    y = np.cumsum(0.1 * random.randn(10000)) + random.randn(10000)
    one = [[[1.0]]]
    system = rounded(model(y[:, None], one, one, [[[0.1]]], one, [0.0], [[3.0]]))
    for kind in ("filter", "smoother"):
        layer = layer_for(kind, system, "parallel")
        outputs, gradients = differentiate(layer, system)
        found, found_gradients = differentiate(layer, system, dtype="float32")
        assert_near(found, outputs, 1e-3)
        assert_near(found_gradients.values(), gradients.values(), 1e-2)


@EVERY_LAYER
def test_random_systems(kind, options):
    system = random_system(6, 2, 20, 4, 2, steps=options.get("steps", 0))
    system = rounded(with_noise(system) if kind == "sampler" else system)
    layer = layer_for(kind, system, **options)
    outputs, gradients = differentiate(layer, system)
    found, found_gradients = differentiate(layer, system, dtype="float32")
    assert_near(found, outputs, 1e-4)
    assert_near(found_gradients.values(), gradients.values(), 1e-2)


@METHODS
@INNOVATION_MODELS
def test_gradients_of_an_innovation_model(setting, expected, method):
    """All finite; with float64 inside, each to the precision of float32.

    Innovations of 1e-4 are differences of states of size 1, of which float32 keeps three digits,
    and these gradients are sums of hundreds of them that nearly cancel: no float32 filter has them.
    """
    system = rounded(innovation_model(*setting))
    layer = layer_for("filter", system, method)
    outputs, exact = differentiate(layer, system)
    _, found = differentiate(layer, system, dtype="float32")
    for name in exact:
        assert np.isfinite(found[name]).all(), name
    layer = layer_for("filter", system, method, precision="float64")
    found, gradients = differentiate(layer, system, dtype="float32")
    assert_near(found, outputs, 1e-6)
    for name, gradient in gradients.items():
        difference = np.abs(gradient - exact[name]).max()
        assert difference < 1e-6 * np.abs(exact[name]).max(), name
