"""The dense diffuse reference itself: closed forms, generalized least squares in mpmath, and
statsmodels where its exact diffuse filter is right."""

import diffuse_reference as reference
import numpy as np
import pytest
import structural_formulas as formulas
from scipy.stats import multivariate_normal

STEPS, HORIZON = 20, 4

# name: (description, noise variance)
MODELS = {
    "damped trend": ([("damped_trend", {"slope_variance": 0.2, "damping": 0.8})], 0.5),
    "diffuse slope": ([("damped_trend", {"damping": 0.8, "prior": "diffuse"})], 0.5),
    "no noise": ([("trend", {"level_variance": 0.7, "slope_variance": 0.2})], None),
    "cycles": (
        [
            ("level", {"level_variance": 0.1}),
            ("cycle", {"period": 7.3, "damping": 1, "cycle_variance": 0.3}),
            ("cycle", {"period": 4.1, "damping": 0.9, "prior": ([3.0, 1.0], [1.0, 2.0])}),
        ],
        0.5,
    ),
    "seasons": (
        [
            ("level", {"level_variance": 0.1}),
            ("seasonal", {"period": 4, "seasonal_variance": 0.2}),
            ("seasonal", {"period": 5, "form": "trigonometric", "seasonal_variance": 0.3}),
        ],
        0.5,
    ),
    "regressions": (
        [
            ("level", {"level_variance": 0.7}),
            ("regression", {"features": 2}),
            ("autoregression", {"coefficients": [0.5, -0.3], "innovation_variance": 0.6}),
            ("regression", {"features": 1, "drifting": True, "coefficient_variance": [2.0]}),
        ],
        0.8,
    ),
}


def data(seed=0, steps=STEPS):
    """(y, covariates, mask): nothing of the first two steps was observed."""
    random = np.random.RandomState(seed)
    mask = (random.uniform(size=steps) > 0.2).astype("float64")
    mask[:2] = 0.0
    x = random.normal(size=(steps + HORIZON, 3)) * [1.0, 50.0, 0.02] + [2.0, 0.0, 0.0]
    return 20.0 + random.normal(size=steps).cumsum(), x, mask


@pytest.mark.parametrize("name", MODELS)
def test_likelihood_and_gradient_in_digits(name):
    y, x, mask = data()
    model = reference.Reference(*MODELS[name], y, x, mask)
    found, (value, gradient) = model.likelihood(), model.likelihood_in_digits(40)
    assert found.log_likelihood == pytest.approx(value, rel=1e-14)
    assert found.gradient.keys() == gradient.keys() and found.unidentified.shape[1] == 0
    for key, expected in gradient.items():
        np.testing.assert_allclose(found.gradient[key], expected, rtol=1e-13)


@pytest.mark.parametrize("offset, spread", [(0.0, 1.0), (1e5, 3.0), (1e8, 1.0)])
def test_regressors_far_from_zero_in_digits(offset, spread):
    y, x, _ = data()
    x = offset + spread * x[:, :1]
    model = reference.Reference([("level", {}), ("regression", {"features": 1})], 0.5, y, x)
    found, (value, gradient) = model.likelihood(), model.likelihood_in_digits(60)
    assert found.log_likelihood == pytest.approx(value, rel=1e-12)
    for key, expected in gradient.items():
        np.testing.assert_allclose(found.gradient[key], expected, rtol=1e-11)


def test_a_level_is_the_density_of_its_differences():
    y, _, mask = data()
    times = np.flatnonzero(mask)
    apart = np.minimum(times[1:, None], times[None, 1:]) - times[0]
    covariance = 0.7 * apart + 0.5 * (np.eye(len(apart)) + 1.0)
    expected = multivariate_normal(np.zeros(len(apart)), covariance).logpdf(
        y[times][1:] - y[times][0]
    )
    model = reference.Reference([("level", {"level_variance": 0.7})], 0.5, y, mask=mask)
    assert model.likelihood().log_likelihood == pytest.approx(expected, rel=1e-12)


def test_a_constant_in_closed_form():
    """The likelihood of a mean, its estimate and its variance, σ²/n."""
    y, _, _ = data()
    model = reference.Reference([("level", {"level_variance": 0})], 0.5, y)
    square, n = np.square(y - y.mean()).sum(), len(y)
    expected = -0.5 * ((n - 1) * np.log(2 * np.pi * 0.5) + np.log(n) + square / 0.5)
    found, smoothed, future = model.likelihood(), model.smoothed(), model.forecast(2)
    assert found.log_likelihood == pytest.approx(expected, rel=1e-13)
    derivative = -0.5 * (n - 1) / 0.5 + 0.5 * square / 0.25
    assert found.gradient[reference.NOISE] == pytest.approx([derivative], rel=1e-13)
    np.testing.assert_allclose(smoothed.mean[:, 0], y.mean(), rtol=1e-14)
    np.testing.assert_allclose(smoothed.covariance[:, 0, 0], 0.5 / n, rtol=1e-13)
    np.testing.assert_allclose(future.mean, y.mean(), rtol=1e-14)
    np.testing.assert_allclose(future.covariance, 0.5 + 0.5 / n, rtol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
def test_statsmodels(masked):
    y, x, mask = data(steps=30)
    gaps = np.where(mask == 1, y, np.nan) if masked else y
    given = mask if masked else None
    model = reference.Reference(*MODELS["regressions"], y, x, given)
    parts = formulas.total(
        formulas.level(0.7),
        formulas.regression(x[:, :2]),
        formulas.autoregression([0.5, -0.3], 0.6),
        formulas.regression(x[:, 2:], [2.0]),
    )
    expected = formulas.smoother(parts, np.append(gaps, np.full(HORIZON, np.nan)), 0.8)
    constant = 0.5 * np.log(2 * np.pi) * formulas.diffuse_count(parts)
    smoothed, future = model.smoothed(), model.forecast(HORIZON)
    assert model.likelihood().log_likelihood == pytest.approx(expected.llf + constant, rel=1e-9)
    np.testing.assert_allclose(smoothed.mean, expected.smoothed_state.T[:30], atol=1e-6)
    covariance = expected.smoothed_state_cov.transpose(2, 0, 1)[:30]
    np.testing.assert_allclose(smoothed.covariance, covariance, atol=1e-6)
    np.testing.assert_allclose(future.mean, expected.forecasts[0, 30:], rtol=1e-9)
    variance = expected.forecasts_error_cov[0, 0, 30:]
    np.testing.assert_allclose(future.covariance, variance, rtol=1e-9)


@pytest.mark.parametrize("name", ["cycles", "regressions"])
def test_units(name):
    """log p(c y) = log p(y) - (n - rank) log c, all variances times c²."""
    y, x, mask = data()
    plain = reference.Reference(*MODELS[name], y, x, mask)
    values = {k: v * 49.0 for k, v in plain.values.items() if k[1].endswith("variance")}
    description = [
        (kind, {**o, "prior": ([21.0, 7.0], [7.0, 14.0])} if "prior" in o else o)
        for kind, o in MODELS[name][0]
    ]
    scaled = reference.Reference(description, MODELS[name][1], 7.0 * y, x, mask, values)
    before, after = plain.likelihood(), scaled.likelihood()
    shift = (mask.sum() - before.rank) * np.log(7.0)
    assert after.log_likelihood == pytest.approx(before.log_likelihood - shift, rel=1e-12)


def test_directions_that_are_not_identified():
    """A constant beside a level: only their sum is known, and nothing else is lost."""
    y, x, mask = data()
    x = np.column_stack([np.full(len(x), 3.0), x[:, 0]])
    both = [("level", {}), ("regression", {"features": 2})]
    model = reference.Reference(both, 0.5, y, x, mask)
    alone = reference.Reference(
        [("level", {}), ("regression", {"features": 1})], 0.5, y, x[:, 1:], mask
    )  # fmt: skip
    found, expected = model.likelihood(), alone.likelihood()
    assert (found.rank, expected.rank) == (2, 2)
    direction = found.unidentified[:, 0] / found.unidentified[0, 0]
    np.testing.assert_allclose(direction, [1.0, -1.0 / 3.0, 0.0], atol=1e-14)
    for key, gradient in expected.gradient.items():
        np.testing.assert_allclose(found.gradient[key], gradient, rtol=1e-12)
    smoothed = model.smoothed()
    assert smoothed.estimable.tolist() == [[False, False, True]] * STEPS
    np.testing.assert_allclose(smoothed.mean[:, 2], alone.smoothed().mean[:, 1], rtol=1e-12)
    future, expected = model.forecast(HORIZON), alone.forecast(HORIZON)
    assert future.estimable.all()
    np.testing.assert_allclose(future.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(future.covariance, expected.covariance, rtol=1e-11)


def test_fewer_observations_than_diffuse_states():
    y, _, mask = data()
    mask[:] = 0.0
    mask[[3, 4]] = 1.0
    description = [("trend", {}), ("seasonal", {"period": 4})]
    model = reference.Reference(description, 0.5, y, mask=mask)
    found = model.likelihood()
    assert found.rank == 2 and found.unidentified.shape == (5, 3)
    assert all(not gradient.any() for gradient in found.gradient.values())
    smoothed = model.smoothed()
    assert not smoothed.estimable.any() and not model.forecast(1).estimable.any()
    covered = np.isfinite(smoothed.mean)
    assert covered.all()
