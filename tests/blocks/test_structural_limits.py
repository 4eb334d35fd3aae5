"""Structural models at their limits: bounds, noises of 0, many seasons, data that say little."""

import mxnet as mx
import numpy as np
import pytest
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg as gl
from gluon_linalg import structural as s
from gluon_linalg.errors import NonFiniteError, ShapeError, UnidentifiedError

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def built(components, noise_variance=1.0):
    model = gl.StructuralModel(components, noise_variance)
    model.initialize()
    model.cast("float64")
    return model


def nd(y):
    return mx.nd.array(np.asarray(y)[None], dtype="float64")


def wandering():
    """A random walk: the longer a cycle the better."""
    return np.cumsum(np.random.RandomState(3).randn(80)) + 0.02 * np.arange(80) ** 1.5


def test_a_cycle_stays_within_its_bounds():
    y, periods = wandering(), {}
    for bounds in (None, (4.0, 40.0)):
        cycle = s.Cycle(12.0, damping=1, cycle_variance=1.0, period_bounds=bounds)
        result = gl.fit(
            built([s.LocalLevel(0), cycle]), y, tolerance=1e-14, gradient_tolerance=1e-9
        )
        periods[bounds] = cycle.period.value().item()
        if bounds is None:
            continue
        # At what was found, and nowhere better: statsmodels searches between the same bounds.
        options = {"level": True, "cycle": True, "stochastic_cycle": True, "irregular": True}
        other = UnobservedComponents(
            y, **options, cycle_period_bounds=bounds, use_exact_diffuse=True
        )
        at = {
            "sigma2.irregular": result.parameters["noise_variance"],
            "sigma2.cycle": cycle.cycle_variance.value(),
            "frequency.cycle": 2 * np.pi / cycle.period.value(),
        }
        found = other.loglike([np.ravel(at[name])[0] for name in other.param_names])
        assert result.log_likelihood == pytest.approx(found + 3 * HALF_LOG_2PI, abs=1e-6)
        best = other.fit(disp=False, maxiter=200).llf
        assert found > best - 1e-4
    assert periods[None] > 1e3
    assert 39.9 < periods[4.0, 40.0] < 40.0


def test_a_level_without_noise():
    """y is the level: its variance is the mean squared change, over gaps too."""
    y = wandering()
    y[[5, 6, 30]] = np.nan
    model = built(s.LocalLevel(), noise_variance=None)
    result = gl.fit(model, y)
    seen = np.flatnonzero(np.isfinite(y))
    steps, changes = np.diff(seen), np.diff(y[seen])
    variance = np.mean(changes**2 / steps)
    right = -np.sum(
        HALF_LOG_2PI + 0.5 * np.log(variance * steps) + changes**2 / steps / variance / 2
    )
    assert result.log_likelihood == pytest.approx(right, rel=1e-9)
    np.testing.assert_allclose(
        model.components.components[0].level_variance.value(), variance, rtol=1e-4
    )
    mean, spread = (a.asnumpy()[0] for a in model.forecaster(3)(nd(np.nan_to_num(y)), nd(y == y)))
    np.testing.assert_allclose(mean, y[-1])
    np.testing.assert_allclose(spread, variance * np.arange(1, 4), rtol=1e-4)


def test_noise_without_a_level_that_moves():
    """A sample of a normal distribution: its variance with the divisor n - 1."""
    y = np.random.RandomState(4).randn(50) + 7.0
    model = built(s.LocalLevel(0))
    result = gl.fit(model, y)
    n, variance = len(y), y.var(ddof=1)
    right = -(n - 1) * (HALF_LOG_2PI + 0.5 * np.log(variance) + 0.5) - 0.5 * np.log(n)
    assert result.log_likelihood == pytest.approx(right, rel=1e-9)
    np.testing.assert_allclose(model.noise_variance.value(), variance, rtol=1e-4)
    mean, spread = (a.asnumpy()[0] for a in model.forecaster(2)(nd(y)))
    np.testing.assert_allclose(mean, y.mean())
    np.testing.assert_allclose(spread, variance * (1 + 1 / n), rtol=1e-4)


def dense(y, noise, level, seasons, part=None):
    """Mean and variance of one part, or of an observation, and log p(y).

    By generalized least squares with flat initial states.
    """
    t = np.arange(len(y))
    walk = np.minimum(t[:, None], t)
    maps, covariances = [np.ones((len(y), 1))], [level * walk]
    for (period, harmonics), variance in seasons:
        waves = 2 * np.pi * np.arange(1, harmonics + 1) / period
        angles = t[:, None] * waves
        maps.append(np.concatenate([np.cos(angles), np.sin(angles)], axis=1))
        # Disturbances of two states turn together.
        turned = sum(np.cos((t[:, None] - t) * wave) for wave in waves)
        covariances.append(variance * walk * turned)
    seen = np.isfinite(y)
    everything = np.concatenate(maps, axis=1)
    whole = sum(covariances) + noise * np.eye(len(y))
    spread = whole[np.ix_(seen, seen)]
    precision = everything[seen].T @ np.linalg.solve(spread, everything[seen])
    states = np.linalg.solve(precision, everything[seen].T @ np.linalg.solve(spread, y[seen]))
    rest = y[seen] - everything[seen] @ states
    value = -0.5 * (
        (seen.sum() - len(states)) * np.log(2 * np.pi)
        + np.linalg.slogdet(spread)[1]
        + np.linalg.slogdet(precision)[1]
        + rest @ np.linalg.solve(spread, rest)
    )
    own, covariance = everything, whole
    if part is not None:
        own, covariance = np.zeros_like(everything), covariances[part]
        begin = sum(m.shape[1] for m in maps[:part])
        own[:, begin : begin + maps[part].shape[1]] = maps[part]
    weights = np.linalg.solve(spread, covariance[seen]).T
    left = own - weights @ everything[seen]
    covariance = covariance - weights @ covariance[seen] + left @ np.linalg.solve(precision, left.T)
    return weights @ y[seen] + left @ states, np.diag(covariance), value


def test_several_seasons_of_broken_periods():
    """Likelihood, parts and forecast are those of least squares.

    Not those of statsmodels, whose exact diffuse filter loses digits here: its likelihood is off by
    2e-5, and another one on each machine.
    """
    periods, variances = ((7.3, 2), (30.44, 3)), (0.05, 0.3, 0.02, 0.01)
    noise, level, *seasonal = variances
    random, t = np.random.RandomState(5), np.arange(120)
    y = np.cumsum(0.3 * random.randn(120)) + 2 * np.sin(2 * np.pi * t / 7.3)
    y += 3 * np.cos(2 * np.pi * t / 30.44) + 0.2 * random.randn(120)
    y[40:47] = np.nan
    parts = [
        s.Seasonal(period, "trigonometric", harmonics, variance)
        for (period, harmonics), variance in zip(periods, seasonal)
    ]
    model, data = built([s.LocalLevel(level), *parts], noise), (nd(np.nan_to_num(y)), nd(y == y))
    oracle = (noise, level, list(zip(periods, seasonal)))
    assert -model(*data).asscalar() == pytest.approx(dense(y, *oracle)[2], rel=1e-10)
    for part, (mean, variance) in zip(range(1, 3), list(model.decompose(*data).values())[1:]):
        right = dense(y, *oracle, part=part)
        np.testing.assert_allclose(mean.asnumpy()[0], right[0], atol=1e-6)
        np.testing.assert_allclose(variance.asnumpy()[0], right[1], rtol=1e-6)
    mean, variance = (a.asnumpy()[0] for a in model.forecaster(10)(*data))
    right = dense(np.append(y, np.full(10, np.nan)), *oracle)
    np.testing.assert_allclose(mean, right[0][-10:], rtol=1e-8)
    np.testing.assert_allclose(variance, right[1][-10:], rtol=1e-8)


SEASONS = [s.LocalLevel, lambda: s.Seasonal(12)]
Y = wandering()[:40]


def fit(*makers, y=Y, **keywords):
    return gl.fit(built([make() for make in makers]), y, **keywords)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: s.AutoRegression(1, [1.2]), ValueError, "stationary process; a random walk is"),
        (lambda: s.AutoRegression(2, [0.5, np.nan]), ValueError, "not those of a stationary"),
        (lambda: s.ARIMA((1, 0, 0), ar=[-1.1]), ValueError, "not those of a stationary process"),
        (lambda: s.ARIMA((0, 0, 1), ma=[1.5]), ValueError, "not those of an invertible"),
        (lambda: s.Seasonal(1), ValueError, "period is 1, expected a number of steps from 2 on"),
        (lambda: s.Seasonal(1.0, "trigonometric"), ValueError, "expected a number of steps from 2"),
        (lambda: s.Cycle(1.0), ValueError, "1.0 is not a positive number above 2"),
        (lambda: s.Cycle(np.inf), ValueError, "inf is not a positive number above 2"),
        (lambda: s.ARIMA(seasonal_order=(1, 0, 0), period=1), ValueError, "period is 1, expected"),
        (lambda: s.LocalLevel(np.nan), ValueError, "level_variance: nan is not a positive number"),
        (
            lambda: gl.DynamicFactorModel(2, every=[1, 4.345]),
            ValueError,
            "every has 4.345, expected whole numbers of steps from 1 on: the frequency of each "
            "series must divide that of the model",
        ),
        (
            lambda: built([s.LocalLevel(), s.LocalLinearTrend()]).smooth(nd(Y)),
            UnidentifiedError,
            "leave open level, trend: level. Give more observations, leave the component out",
        ),
        (lambda: fit(*SEASONS, y=Y[:5]), UnidentifiedError, "5 observations, but .* take 12. Give"),
        (
            lambda: built([make() for make in SEASONS]).forecaster(1)(nd(Y[:5])),
            UnidentifiedError,
            "step 1 of the forecast of batch element 0 hangs on what its observations leave open",
        ),
        (lambda: fit(*SEASONS, y=Y[:0]), ShapeError, r"array 1 is empty, shape \(0,\)"),
        (lambda: fit(s.LocalLevel, y=np.full(9, np.nan)), UnidentifiedError, "nothing is observed"),
        (
            lambda: fit(s.LocalLevel, mask=np.zeros(40)),
            UnidentifiedError,
            "nothing is observed, all of 'y' is missing",
        ),
        (
            lambda: fit(s.LocalLevel, y=np.where(np.arange(40) == 7, np.inf, Y)),
            NonFiniteError,
            r"y has NaN or infinity where the mask does not hide it \(batch element 0, t = 7\)",
        ),
    ],
)
def test_bad_input(make, error, message):
    """One line that says what was given, what is expected, or what to do."""
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value).strip()
