"""Structural models of counts and events, against dense Newton iterations and exact integrals."""

import mxnet as mx
import numpy as np
import pytest
from scipy import integrate, optimize, stats

import gluon_linalg as gl
from gluon_linalg import structural as s
from gluon_linalg.errors import UnidentifiedError
from harness import run_modes
from harness.modes import assert_same

STEPS, MEAN, DEVIATION, VARIANCE = 12, 0.5, 1.3, 0.07
MASK = (np.arange(STEPS) % 5 != 3).astype(float)


def poisson(f, y, _):
    return stats.poisson.logpmf(y, np.exp(f)), y - np.exp(f), np.exp(f)


def negative_binomial(f, y, dispersion):
    r, rate = 1.0 / dispersion, np.exp(f)
    share = rate / (rate + r)
    value = stats.nbinom.logpmf(y, r, 1.0 - share)
    return value, y - (y + r) * share, (y + r) * share * (1.0 - share)


def probit(f, y, _):
    sign = 2.0 * y - 1.0
    hazard = np.exp(stats.norm.logpdf(f) - stats.norm.logcdf(sign * f))
    return stats.norm.logcdf(sign * f), sign * hazard, hazard * (sign * f + hazard)


def logit(f, y, _):
    one = 1.0 / (1.0 + np.exp(-f))
    return np.log(np.where(y == 1, one, 1.0 - one)), y - one, one * (1.0 - one)


L = gl.likelihoods
LIKELIHOODS = {
    "poisson": (lambda: L.Poisson(), poisson, False),
    "negative_binomial": (lambda: L.NegativeBinomial(0.4), negative_binomial, False),
    "probit": (lambda: L.Bernoulli(), probit, True),
    "logit": (lambda: L.Bernoulli("logit"), logit, True),
}


def data(is_binary):
    random = np.random.RandomState(3)
    f = 1.0 + np.cumsum(0.4 * random.randn(STEPS))
    return (
        (random.rand(STEPS) < 0.6).astype(float) if is_binary else random.poisson(np.exp(f)) * 1.0
    )


def dense(terms, y, mask, variance=VARIANCE, dispersion=0.4):
    """Laplace's approximation of log p(y), mode and variances, of dense Newton iterations."""
    time = np.arange(STEPS)
    prior = DEVIATION**2 + variance * np.minimum.outer(time, time)
    inverse, f = np.linalg.inv(prior), np.full(STEPS, MEAN)
    for _ in range(200):
        value, score, curvature = terms(f, y, dispersion)
        information = np.diag(mask * curvature) + inverse
        f = f + 0.5 * np.linalg.solve(information, mask * score - inverse @ (f - MEAN))
    found = (mask * value).sum() - 0.5 * (f - MEAN) @ inverse @ (f - MEAN)
    logs = np.linalg.slogdet(prior)[1] + np.linalg.slogdet(information)[1]
    return found - 0.5 * logs, f, np.diag(np.linalg.inv(information))


def built(likelihood, component=None, **options):
    component = component or s.LocalLevel(VARIANCE, prior=(MEAN, DEVIATION))
    model = s.GeneralizedStructuralModel(component, likelihood, **options)
    model.initialize()
    model.cast("float64")
    return model


def nd(*values):
    return [mx.nd.array(np.asarray(value)[None], dtype="float64") for value in values]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_value_mode_and_gradient(name):
    likelihood, terms, is_binary = LIKELIHOODS[name]
    y, model = data(is_binary), built(likelihood())
    hidden = np.where(MASK == 1, y, np.nan)
    with mx.autograd.record():
        loss = model(*nd(hidden, MASK))
    loss.backward()
    value, mode, variance = dense(terms, y, MASK)
    assert loss.asscalar() == pytest.approx(-value, rel=1e-10)
    found = model.posterior(*nd(hidden, MASK)).signal
    np.testing.assert_allclose(found[0].asnumpy()[0], mode, rtol=1e-8)
    np.testing.assert_allclose(found[1].asnumpy()[0], variance, rtol=1e-8)

    def moved(d_variance, d_dispersion):
        own = VARIANCE * np.exp(d_variance), 0.4 * np.exp(d_dispersion)
        return -dense(terms, y, MASK, *own)[0]

    variance = model.components.components[0].level_variance
    slopes = optimize.approx_fprime(np.zeros(2), lambda d: moved(*d), 1e-6)
    assert variance.grad().asscalar() == pytest.approx(slopes[0], rel=1e-5)
    if name == "negative_binomial":
        grad = model.likelihood.dispersion.grad().asscalar()
        assert grad == pytest.approx(slopes[1] * _chain(model.likelihood.dispersion), rel=1e-5)


def _chain(parameter):
    """∂ log natural/∂ stored."""
    stored = parameter.data().asscalar()
    ahead, behind = (parameter.natural_of(np.array([stored + d]))[0] for d in (1e-6, -1e-6))
    return (np.log(ahead) - np.log(behind)) / 2e-6


def test_it_is_near_the_likelihood():
    """Of three counts around one level, which an integral has exactly."""
    y = np.array([2.0, 5.0, 3.0])
    model = built(L.Poisson(), s.LocalLevel(0, prior=(MEAN, DEVIATION)))

    def density(f):
        return np.exp(stats.poisson.logpmf(y, np.exp(f)).sum()) * stats.norm.pdf(f, MEAN, DEVIATION)

    right = np.log(integrate.quad(density, -8, 8, epsabs=1e-14)[0])
    assert model(*nd(y)).asscalar() == pytest.approx(-right, abs=0.02)


def test_forecast():
    """Moments of the mixture over the normal signal, drawn densely."""
    y, ahead = data(False), np.linspace(-8, 8, 4001)
    weight = stats.norm.pdf(ahead) / stats.norm.pdf(ahead).sum()
    _, mode, variance = dense(poisson, y, np.ones(STEPS))
    found = [a.asnumpy()[0] for a in built(L.Poisson()).forecaster(2)(*nd(y))]
    spread = variance[-1] + VARIANCE * np.array([1.0, 2.0])
    np.testing.assert_allclose(found[2], mode[-1], rtol=1e-8)
    np.testing.assert_allclose(found[3], spread, rtol=1e-8)
    for step in range(2):
        rate = np.exp(mode[-1] + np.sqrt(spread[step]) * ahead)
        mean = rate @ weight
        right = mean, mean + (rate - mean) ** 2 @ weight
        np.testing.assert_allclose((found[0][step], found[1][step]), right, rtol=1e-6)


JUMPS = {"spike": [0.0] * 29 + [1000.0] + [0.0] * 29, "step": [0.0] * 30 + [500.0] * 30}


@pytest.mark.parametrize(
    "name, variance",
    [
        ("spike", 100.0),
        pytest.param("spike", 1e-6, marks=pytest.mark.slow),
        pytest.param("step", 1e-6, marks=pytest.mark.slow),
        pytest.param("step", 100.0, marks=pytest.mark.slow),
    ],
)
def test_newton_comes_to_rest(name, variance):
    """At counts that jump; an iteration more changes nothing."""
    y, component = JUMPS[name], s.LocalLevel(variance) + s.Regression(1)
    x = np.random.RandomState(0).randn(len(y), 1)
    one, more = (
        built(L.Poisson(), component, iterations=k)(*nd(y, x)).asscalar() for k in (15, 17)
    )
    assert one == pytest.approx(more, rel=1e-10)


@pytest.mark.slow
def test_regression_and_export(tmp_path):
    """A regression alone is that of Poisson counts: its mode is the maximum of the likelihood."""
    random = np.random.RandomState(1)
    x = np.column_stack([np.ones(32), random.randn(32)])
    y = random.poisson(np.exp(x[:30] @ [1.0, 0.5])) * 1.0
    model = built(L.Poisson(), s.Regression(2))
    found = model.smooth(*nd(y, x[:30]))[0].asnumpy()[0, -1]
    right = optimize.minimize(
        lambda b: (np.exp(x[:30] @ b) - y * (x[:30] @ b)).sum(), np.zeros(2), tol=1e-12
    ).x
    np.testing.assert_allclose(found, right, rtol=1e-5)
    forecaster = model.forecaster(2)
    gl.export(forecaster, str(tmp_path / "model"), *nd(y, x))
    for one, other in zip(gl.load(str(tmp_path / "model"))(*nd(y, x)), forecaster(*nd(y, x))):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
def test_execution_modes(dtype, tolerance, tmp_path):
    def factory():
        return s.GeneralizedStructuralModel(s.LocalLevel(0.1), L.NegativeBinomial(0.4), 4)

    results = run_modes(factory, [data(False)[None]], dtype, tmp_path)
    for mode, result in results.items():
        assert_same(result, results["imperative"], tolerance, mode)


@pytest.mark.slow
def test_fit():
    """Its maximum is that of the dense approximation."""
    y, model = data(False), built(L.Poisson())
    result = gl.fit(model, y)
    right = optimize.minimize_scalar(
        lambda logarithm: -dense(poisson, y, np.ones(STEPS), np.exp(logarithm))[0],
        bounds=(-8, 3), method="bounded", options={"xatol": 1e-8},
    )  # fmt: skip
    assert result.loss == pytest.approx(right.fun, rel=1e-8)


def test_bad_input():
    with pytest.raises(ValueError, match="'y' must be counts"):
        built(L.Poisson())(*nd([1.0, 2.5]))
    with pytest.raises(TypeError, match="StudentT, expected Poisson"):
        s.GeneralizedStructuralModel(s.LocalLevel(), L.StudentT())
    with pytest.raises(ValueError, match="iterations is 0"):
        s.GeneralizedStructuralModel(s.LocalLevel(), L.Poisson(), iterations=0)
    with pytest.raises(UnidentifiedError, match="all counts are 0"):
        built(L.Poisson(), s.LocalLevel(0.1))(*nd(np.zeros(9)))
    with pytest.raises(ValueError, match="one observation at a time"):
        built(L.Poisson()).stream(1)


def test_tables_and_pictures_are_of_counts():
    """Quantiles are those of the mixture; the picture has the expected count beside the counts."""
    y, model = data(False), built(L.Poisson())
    found = gl.analyze(model, y)
    table = found.forecast(1, levels=(95,))
    _, mode, variance = dense(poisson, y, np.ones(STEPS))
    draws = stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    rate = np.exp(mode[-1] + np.sqrt(variance[-1] + VARIANCE) * draws)
    below = stats.poisson.cdf(np.arange(100)[:, None], rate).mean(axis=1)
    for share, name in ((0.025, "lower_95"), (0.975, "upper_95")):
        assert table[name].iloc[0] == np.argmax(below >= share)
    picture = found._picture(0, None)
    np.testing.assert_allclose(picture.signal[0], np.exp(mode + variance / 2), rtol=1e-6)
    np.testing.assert_allclose(picture.noise_variance, np.exp(mode + variance / 2), rtol=1e-5)
