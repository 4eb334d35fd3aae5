"""Gradients of the Kalman layers against complex steps through the dense Gaussian."""

import functools

import kalman_reference as reference
import numpy as np
import pytest
from kalman_reference import DIFFERENTIABLE, random_system
from test_kalman import METHODS, NOISES, VARIANTS, differentiate, layer_for, with_noise

STEPS = 2
SIZES = {
    "small": dict(B=2, T=3, d=2, p=2),
    "constant": dict(B=2, T=4, d=3, p=1, time_varying=False, shared=True),
    "wide noise": dict(B=1, T=3, d=2, p=1, r=3, q=2, s=3),
    "thin noise": dict(B=1, T=4, d=3, p=2, r=1, s=1),
}
# Well-posed systems with covariances that are singular, zero or tied, where derivatives through
# factorizations of them would not exist.
DEGENERATE = {
    "no process noise": dict(process_factor=0.0),
    "no noise in y": dict(observation_factor=0.0),
    "known start": dict(prior_factor=0.0),
    "deterministic states": dict(process_factor=0.0, prior_factor=0.0),
    "equal states": dict(
        prior_factor=np.eye(3),
        process_factor=np.eye(3),
        observation_factor=np.eye(2),
        transition=np.eye(3),
        emission=1.0,
    ),
    "process noise of rank 1": dict(process_factor=np.diag([1.0, 0.0, 0.0])),
    "noise in one y": dict(observation_factor=np.diag([1.0, 0.0])),
    "singular transition": dict(transition=np.diag([1.0, -0.5, 0.0])),
}
EVERY_SYSTEM = pytest.mark.parametrize("name", [*SIZES, *DEGENERATE])
SOME_SYSTEMS = pytest.mark.parametrize("name", [*SIZES, "deterministic states", "no noise in y"])


def loss(system):
    return -reference.log_likelihood(system)


def filter_moments(system):
    return (loss(system), *reference.filtered(system))


def forecasts(system):
    return reference.forecast(system, STEPS)


def draw(system):
    return reference.draw(system, *(system[name] for name in NOISES))


def system_of(name, function):
    steps = STEPS if function is forecasts else 0
    if name in SIZES:
        system = random_system(1, steps=steps, **SIZES[name])
    else:
        missing = "y" not in name
        system = random_system(3, B=1, T=3, d=3, p=2, missing=missing, steps=steps)
        for argument, value in DEGENERATE[name].items():
            system[argument] = np.broadcast_to(value, system[argument].shape).copy()
    return with_noise(system) if function is draw else system


@functools.lru_cache(maxsize=None)
def expected_gradients(name, function):
    """Weights of the outputs, and the gradient of their weighted sum in every array."""
    system, random = system_of(name, function), np.random.RandomState(0)
    outputs = function(system)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    weights = [random.uniform(0.5, 1.5, size=output.shape) for output in outputs]
    names = [argument for argument in system if argument != "mask"]
    return weights, {n: reference.gradient(function, system, n, weights) for n in names}


def check(kind, name, function, **options):
    """Every element of every gradient, relative to the largest of its array."""
    system = system_of(name, function)
    weights, expected = expected_gradients(name, function)
    _, found = differentiate(layer_for(kind, system, **options), system, weights)
    assert found.keys() == expected.keys()
    for argument, gradient in expected.items():
        scale = max(np.abs(gradient).max(), 1e-3)
        np.testing.assert_allclose(
            found[argument], gradient, rtol=0, atol=1e-6 * scale, err_msg=argument
        )


@VARIANTS
@EVERY_SYSTEM
def test_of_the_likelihood(name, variant):
    check("filter", name, loss, **variant)


@VARIANTS
def test_of_the_likelihood_of_a_large_system(variant):
    """Along random directions of every argument at d = 9, p = 4, T = 12."""
    system = random_system(2, B=2, T=12, d=9, p=4)
    _, gradients = differentiate(layer_for("filter", system, **variant), system)
    random = np.random.RandomState(0)
    for name in DIFFERENTIABLE:
        for _ in range(3):
            direction = random.randn(*system[name].shape)
            (expected,) = reference.derivative(loss, system, name, direction)
            # Against the size of the gradient: a direction may be close to orthogonal.
            difference = (gradients[name] * direction).sum() - expected.sum()
            assert abs(difference) < 1e-6 * np.linalg.norm(gradients[name]), name


@VARIANTS
@EVERY_SYSTEM
def test_of_filtered_moments(name, variant):
    check("filter", name, filter_moments, moments=True, **variant)


@METHODS
@EVERY_SYSTEM
def test_of_smoothed_moments(name, method):
    check("smoother", name, reference.smoothed, lag_one=True, method=method)


@METHODS
@SOME_SYSTEMS
def test_of_forecasts(name, method):
    check("forecast", name, forecasts, steps=STEPS, method=method)


@METHODS
@SOME_SYSTEMS
def test_of_draws(name, method):
    check("sampler", name, draw, method=method)


@VARIANTS
def test_nothing_observed(variant):
    """The likelihood is exactly 0 and so is its gradient; the moments are those of the prior."""
    system = random_system(1, B=2, T=4, d=3, p=2, missing=False)
    system["mask"][:] = 0.0
    system["y"][:] = np.nan
    layer = layer_for("filter", system, **variant, moments=True)
    (value, mean, covariance), gradients = differentiate(layer, system, [np.ones(2), None, None])
    np.testing.assert_array_equal(value, 0.0)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, 0.0, err_msg=name)
    _, expected_mean, expected_covariance = filter_moments(dict(system, y=np.zeros((2, 4, 2))))
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-11)
    np.testing.assert_allclose(covariance, expected_covariance, rtol=0, atol=1e-11)
