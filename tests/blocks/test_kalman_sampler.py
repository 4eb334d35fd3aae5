"""The law of the sampler's draws: exactly, from unit vectors as noise, and by Monte Carlo."""

import kalman_reference as reference
import numpy as np
import pytest
from kalman_reference import random_system
from test_kalman import METHODS, NOISES, layer_for, run, with_noise

import gluon_linalg as gl


def repeated(system, count):
    """A system of batch size 1 as `count` equal batch elements, with noises of zero."""
    y, mask = (np.repeat(system[name], count, axis=0) for name in ("y", "mask"))
    system = with_noise(dict(system, y=y, mask=mask))
    return dict(system, **{name: np.zeros_like(system[name]) for name in NOISES})


def fill_noise(system, rows):
    """Row k of `rows` (count, all noises) becomes the noise of batch element k."""
    start = 0
    for name in NOISES:
        size = system[name][0].size
        system[name] = rows[:, start : start + size].reshape(system[name].shape)
        start += size


def noise_count(system):
    return sum(system[name][0].size for name in NOISES)


@METHODS
@pytest.mark.parametrize(
    "sizes",
    [
        dict(T=5, d=3, p=2),
        dict(T=4, d=3, p=2, r=1, q=3, s=2, time_varying=False),
        dict(T=1, d=2, p=1),
    ],
)
def test_draws_have_exactly_the_posterior(sizes, method):
    """A draw is affine in its noise: mean + J ε, with J Jᵀ the posterior covariance."""
    system = random_system(1, B=1, **sizes)
    count = noise_count(with_noise(system)) + 1
    many = repeated(system, count)
    fill_noise(many, np.eye(count)[:, 1:])
    draws = run(layer_for("sampler", many, method), many)[0].reshape(count, -1)
    jacobian = draws[1:] - draws[0]
    mean, covariance, lag_one = reference.smoothed(system)
    np.testing.assert_allclose(draws[0], mean.ravel(), rtol=0, atol=1e-10 * np.abs(mean).max())
    T, d = mean.shape[1:]
    found = (jacobian.T @ jacobian).reshape(T, d, T, d)
    for t in range(T):
        np.testing.assert_allclose(found[t, :, t], covariance[0, t], rtol=0, atol=1e-10)
        if t + 1 < T:
            np.testing.assert_allclose(found[t + 1, :, t], lag_one[0, t], rtol=0, atol=1e-10)


@METHODS
def test_many_draws(method):
    system = random_system(1, B=1, T=4, d=2, p=2)
    count = 4000
    many = repeated(system, count)
    fill_noise(many, np.random.RandomState(0).randn(count, noise_count(many)))
    draws = run(layer_for("sampler", many, method), many)[0]
    mean, covariance, _ = reference.smoothed(system)
    variance = np.diagonal(covariance[0], axis1=1, axis2=2)
    assert (np.abs(draws.mean(axis=0) - mean[0]) < 6.0 * np.sqrt(variance / count)).all()
    centred = draws - mean
    found = np.einsum("kti,ktj->tij", centred, centred) / count
    spread = variance[:, :, None] * variance[:, None, :] + covariance[0] ** 2
    assert (np.abs(found - covariance[0]) < 6.0 * np.sqrt(spread / count)).all()


@METHODS
def test_without_any_noise_the_draw_is_the_smoothed_mean(method):
    system = repeated(random_system(2, B=1, T=6, d=3, p=2), 2)
    (draw,) = run(layer_for("sampler", system, method), system)
    (mean, _) = run(layer_for("smoother", system, method), _without_noise(system))
    np.testing.assert_allclose(draw, mean, rtol=1e-10)


@METHODS
def test_draws_obey_exact_observations(method):
    """Where the observation has no noise, every draw reproduces it."""
    system = with_noise(random_system(2, B=2, T=5, d=3, p=2, missing=False))
    system["observation_factor"][:] = 0.0
    (draw,) = run(layer_for("sampler", system, method), system)
    found = np.einsum("btpd,btd->btp", system["emission"], draw) + system["emission_offset"]
    np.testing.assert_allclose(found, system["y"], rtol=0, atol=1e-9)


def test_noise_of_the_wrong_shape_is_refused():
    system = with_noise(random_system(2, B=2, T=5, d=3, p=2, r=1))
    layer = layer_for("sampler", system)
    for name in NOISES:
        wrong = dict(system, **{name: system[name][..., :1].repeat(4, axis=-1)})
        with pytest.raises(gl.errors.ShapeError):
            run(layer, wrong)


def _without_noise(system):
    return {name: value for name, value in system.items() if name not in NOISES}
