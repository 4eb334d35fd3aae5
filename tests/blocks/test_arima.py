"""Seasonal ARIMA against statsmodels' SARIMAX, published estimates, and its laws."""

import mxnet as mx
import numpy as np
import pytest
from scipy.linalg import toeplitz
from statsmodels.tsa.arima_process import arma_acovf
from statsmodels.tsa.statespace.sarimax import SARIMAX

import gluon_linalg as gl
from gluon_linalg import structural as s
from harness import check_block

VARIANCE = 1.3
# name: (order, seasonal order, period, ar, ma, seasonal ar, seasonal ma)
MODELS = {
    "white noise": ((0, 0, 0), (0, 0, 0), None, [], [], [], []),
    "ARMA": ((1, 0, 1), (0, 0, 0), None, [0.5], [0.4], [], []),
    "two differences": ((1, 2, 2), (0, 0, 0), None, [-0.3], [-0.4, 0.2], [], []),
    "airline": ((0, 1, 1), (0, 1, 1), 4, [], [-0.4], [], [-0.55]),
    "all": ((2, 1, 1), (1, 1, 1), 4, [0.5, 0.2], [0.4], [0.3], [-0.5]),
    "seasonal alone": ((0, 0, 0), (2, 2, 1), 2, [], [], [0.3, 0.2], [0.2]),
}


def series(steps=40, missing=0.2):
    """(y, mask), all of the beginning observed: statsmodels needs it."""
    random = np.random.RandomState(4)
    y = 0.3 * random.normal(size=steps).cumsum() + 2.0 * np.sin(np.pi * np.arange(steps) / 2.0)
    mask = random.uniform(size=steps) > missing
    mask[:12] = True
    return y + 0.5 * random.normal(size=steps), mask.astype("float64")


def component(name, variance=VARIANCE, **options):
    order, seasonal_order, period, *polynomials = MODELS[name]
    polynomials = [given or None for given in polynomials]
    return s.ARIMA(
        order, seasonal_order, period, *polynomials, innovation_variance=variance, **options
    )


def model_of(part, noise=None):
    model = s.StructuralModel(part, noise)
    model.initialize()
    model.cast("float64")
    return model


def reference_of(name, y, **options):
    order, seasonal_order, period, *polynomials = MODELS[name]
    model = SARIMAX(y, order=order, seasonal_order=(*seasonal_order, period or 0), **options)
    model.ssm.tolerance = 0
    return model, [*sum(polynomials, []), VARIANCE]


def nd(*values):
    return [mx.nd.array(np.asarray(value)[None], dtype="float64") for value in values]


@pytest.mark.parametrize("name", MODELS)
def test_likelihood_is_that_of_the_differenced_series(name):
    y, _ = series()
    model, parameters = reference_of(name, y, simple_differencing=True)
    found = model_of(component(name))(*nd(y)).asscalar()
    assert found == pytest.approx(-model.loglike(parameters), rel=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_missing_observations(name):
    y, mask = series()
    given = np.where(mask == 1, y, np.nan)
    model, parameters = reference_of(name, given, use_exact_diffuse=True)
    expected = model.loglike(parameters) + 0.5 * np.log(2 * np.pi) * sum(component(name).diffuse)
    assert model_of(component(name))(*nd(y, mask)).asscalar() == pytest.approx(-expected, rel=1e-8)


def test_likelihood_is_that_of_a_dense_normal():
    y, _ = series()
    ar, ma = [0.9, -0.5], [-0.6, 0.3]
    covariance = toeplitz(arma_acovf(np.r_[1.0, np.negative(ar)], np.r_[1.0, ma], 40, VARIANCE))
    sign, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    expected = 0.5 * (log_determinant + y @ np.linalg.solve(covariance, y))
    part = s.ARIMA((2, 0, 2), ar=ar, ma=ma, innovation_variance=VARIANCE)
    assert model_of(part)(*nd(y)).asscalar() == pytest.approx(expected, rel=1e-12)


def test_forecast():
    y, mask = series()
    given = np.where(mask == 1, y, np.nan)
    model, parameters = reference_of("all", given, use_exact_diffuse=True)
    expected = model.smooth(parameters).get_forecast(6)
    mean, variance = model_of(component("all")).forecaster(6)(*nd(y, mask))
    np.testing.assert_allclose(mean.asnumpy()[0], expected.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(variance.asnumpy()[0] ** 0.5, expected.se_mean, rtol=1e-8)


def test_regression_with_errors():
    y, _ = series()
    x = np.random.RandomState(1).normal(size=(40, 2))
    order = {"order": (1, 1, 1), "use_exact_diffuse": True}
    model = SARIMAX(y, x, mle_regression=False, **order)
    model.ssm.tolerance = 0
    expected = model.loglike([0.5, -0.4, VARIANCE]) + 0.5 * np.log(2 * np.pi) * 3
    part = s.ARIMA((1, 1, 1), ar=[0.5], ma=[-0.4], innovation_variance=VARIANCE)
    found = model_of(part + s.Regression(2))(*nd(y, x)).asscalar()
    assert found == pytest.approx(-expected, rel=1e-8)


def test_an_intercept_is_a_regression_on_what_it_accumulates_to():
    y, _ = series()
    part = {"ar": [0.5], "innovation_variance": VARIANCE}
    found = model_of(s.ARIMA((1, 1, 0), intercept=True, **part))(*nd(y)).asscalar()
    line = s.ARIMA((1, 1, 0), **part) + s.Regression(1)
    expected = model_of(line)(*nd(y, np.arange(40.0)[:, None])).asscalar()
    assert found == pytest.approx(expected, rel=1e-10)


def airline():
    return np.log(np.genfromtxt("tests/data/airline.csv", delimiter=",").reshape(-1))


def test_airline_model():
    """-0.4018 and -0.5569, with errors 0.0896 and 0.0731, and 244.70 are R's arima's."""
    model = model_of(s.ARIMA((0, 1, 1), (0, 1, 1), 12, innovation_variance=0.002))
    result = gl.fit(model, airline())
    found = {own.name.rsplit(".", 1)[-1]: own for own in result.estimates()}
    assert found["ma"].value == pytest.approx(-0.4018, abs=1e-4)
    assert found["seasonal_ma"].value == pytest.approx(-0.5569, abs=1e-4)
    assert found["innovation_variance"].value == pytest.approx(0.001348, abs=1e-6)
    assert found["ma"].standard_error == pytest.approx(0.0896, abs=1e-3)
    assert found["seasonal_ma"].standard_error == pytest.approx(0.0731, abs=1e-3)
    assert result.log_likelihood == pytest.approx(244.70, abs=5e-3)


def test_standard_errors_of_coefficients_that_are_stored_together():
    y, _ = series(80)
    model = model_of(s.ARIMA((2, 0, 0), innovation_variance=VARIANCE))
    result = gl.fit(model, y)
    reference = SARIMAX(y, order=(2, 0, 0))
    values = [own.value for own in result.estimates()]
    expected = reference.smooth(values, cov_type="approx", cov_kwds={"approx_centered": True})
    found = [own.standard_error for own in result.estimates()]
    np.testing.assert_allclose(found, expected.bse, rtol=2e-3)


def test_execution_modes(tmp_path):
    def factory():
        part = s.ARIMA((1, 1, 1), (1, 1, 1), 2, [0.4], [0.3], [0.3], [-0.5], True)
        return s.StructuralModel(part, None)

    y, _ = series()
    cases = [[y[None, :9]], [y[None, :11] * [[1.0], [2.0]]]]
    check_block(factory, cases, tmp_path, differences=1e-5, float32=1e-3)


def test_near_unit_roots():
    """Where 1 - φ is 1e-6 the stationary variance keeps its digits, with a season too."""
    near = 1.0 - 1e-6
    part = s.ARIMA((1, 0, 0), (1, 0, 0), 4, ar=[near], seasonal_ar=[0.5])
    part.initialize()
    part.cast("float64")
    factor = part(*nd(np.zeros(3)))[4].asnumpy()[0]
    expected = arma_acovf(np.convolve([1, -near], [1, 0, 0, 0, -0.5]), [1.0], 1)[0]
    assert (factor @ factor.T)[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: s.ARIMA((1, 1)), r"order is \(1, 1\), expected three integers from 0 on"),
        (lambda: s.ARIMA((1, -1, 0)), r"order is \(1, -1, 0\), expected three integers"),
        (lambda: s.ARIMA(seasonal_order=(0, 1, 1), period=1), "period is 1, expected the number"),
        (lambda: s.ARIMA(seasonal_order=(0, 1, 1)), "period is None, expected the number"),
        (lambda: s.ARIMA((1, 0, 0), ar=[1.0]), "the ar .1.0. are not those of a stationary"),
        (lambda: s.ARIMA((0, 0, 1), ma=[-1.2]), "ma .* are not those of an invertible moving"),
        (lambda: s.ARIMA((2, 0, 0), ar=[0.5]), r"ar has shape \(1,\), expected 2 numbers"),
        (lambda: s.ARIMA((1, 0, 0), ma=[0.5]), r"ma is \[0.5\], but its order is 0"),
        (lambda: s.ARIMA(innovation_variance=0), "innovation_variance is 0, expected a positive"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
