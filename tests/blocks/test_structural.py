"""Structural time series models against statsmodels' exact diffuse filter and smoother."""

import mxnet as mx
import numpy as np
import pytest
import structural_formulas as formulas
from scipy.optimize import minimize
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg as gl
from gluon_linalg import structural as s
from harness import check_block, run_modes
from harness.modes import assert_same

STEPS, HORIZON, NOISE = 24, 5, 0.8


def covariates(batch=1, steps=STEPS + HORIZON):
    random = np.random.RandomState(11)
    return random.normal(size=(batch, steps, 3)) * [1.0, 50.0, 0.02] + [2.0, 0.0, 0.0]


# name: (component, plain matrices given the covariates)
MODELS = {
    "level": (lambda: s.LocalLevel(0.7), lambda x: formulas.level(0.7)),
    "trend": (lambda: s.LocalLinearTrend(0.7, 0.2), lambda x: formulas.trend(0.7, 0.2)),
    "line": (lambda: s.LocalLinearTrend(0, 0), lambda x: formulas.trend(0.0, 0.0)),
    "damped trend": (
        lambda: s.DampedTrend(0.7, 0.2, damping=0.8),
        lambda x: formulas.trend(0.7, 0.2, damping=0.8),
    ),
    "semilocal trend": (
        lambda: s.SemilocalLinearTrend(0.7, 0.2, damping=0.8),
        lambda x: formulas.semilocal(0.7, 0.2, 0.8),
    ),
    "level and seasonal": (
        lambda: s.LocalLevel(0.7) + s.Seasonal(4, seasonal_variance=0.3),
        lambda x: formulas.total(formulas.level(0.7), formulas.dummy(4, 0.3)),
    ),
    "seasonals": (
        lambda: s.Seasonal(4, "trigonometric", None, 0.3) + s.Seasonal(7, seasonal_variance=0),
        lambda x: formulas.total(formulas.trigonometric(4, 2, 0.3), formulas.dummy(7, 0.0)),
    ),
    "cycles": (
        lambda: s.Cycle(5.3, 0.85, 0.4) + s.Cycle(9.0, 0.7, 0.2, prior="diffuse"),
        lambda x: formulas.total(
            formulas.cycle(5.3, 0.85, 0.4), formulas.cycle(9.0, 0.7, 0.2, stationary=False)
        ),
    ),
    "regressions": (
        lambda: (
            s.LocalLevel(0.7)
            + s.Regression(2)
            + s.AutoRegression(2, [0.5, -0.3], 0.6)
            + s.Regression(1, drifting=True, coefficient_variance=[2.0])
        ),
        lambda x: formulas.total(
            formulas.level(0.7),
            formulas.regression(x[:, :2]),
            formulas.autoregression([0.5, -0.3], 0.6),
            formulas.regression(x[:, 2:], [2.0]),
        ),
    ),
    "known": (
        lambda: s.LocalLinearTrend(0.7, 0.2, prior=([3.0, -1.0], [2.0, 0.5])),
        lambda x: formulas.known(formulas.trend(0.7, 0.2), [3.0, -1.0], [2.0, 0.5]),
    ),
}


def series(batch=2, steps=STEPS, seed=0, missing=0.3):
    """(y, mask): a random walk with a season and noise, and what of it was observed."""
    random = np.random.RandomState(seed)
    time = np.arange(steps)
    y = 0.8 * random.normal(size=(batch, steps)).cumsum(axis=1) + random.normal(size=(batch, steps))
    mask = random.uniform(size=(batch, steps)) > missing
    return y + 20.0 + 2.0 * np.sin(np.pi * time / 2.0), mask.astype("float64")


def model_of(name, dtype="float64", **options):
    model = s.StructuralModel(MODELS[name][0](), options.pop("noise_variance", NOISE), **options)
    model.initialize()
    model.cast(dtype)
    return model


def nd(*values, dtype="float64"):
    return [mx.nd.array(value, dtype=dtype) for value in values]


def arguments(name, y, mask=None, x=None):
    values = [y]
    if name == "regressions":
        values.append(covariates()[:, : y.shape[1]] if x is None else x)
    return values if mask is None else [*values, mask]


def with_gaps(y, mask):
    return np.where(mask == 1, y, np.nan)


@pytest.mark.parametrize("name", MODELS)
def test_likelihood(name):
    y, mask = series()
    found = model_of(name)(*nd(*arguments(name, y, mask))).asnumpy()
    parts = MODELS[name][1](covariates()[0, :STEPS])
    for i, row in enumerate(with_gaps(y, mask)):
        expected = formulas.negative_log_likelihood(parts, row, NOISE)
        assert found[i] == pytest.approx(expected, rel=1e-9, abs=1e-8)


def test_likelihood_of_unobserved_components():
    y, _ = series(batch=1)
    reference = UnobservedComponents(
        y[0], "local level", seasonal=4, autoregressive=1, use_exact_diffuse=True
    )
    expected = reference.loglike([NOISE, 0.7, 0.3, 0.6, 0.5])
    component = s.LocalLevel(0.7) + s.Seasonal(4, seasonal_variance=0.3)
    model = s.StructuralModel(component + s.AutoRegression(1, [0.5], 0.6), NOISE)
    model.initialize()
    model.cast("float64")
    constant = 0.5 * np.log(2.0 * np.pi) * 4
    assert model(*nd(y)).asscalar() == pytest.approx(-expected - constant, rel=1e-9)


@pytest.mark.parametrize("coefficients", [[0.8], [0.5, -0.3, 0.2], [-1.2, -0.7]])
def test_autoregression_is_that_of_sarimax(coefficients):
    y, mask = series(batch=1)
    y = y - y.mean()
    order = len(coefficients)
    reference = SARIMAX(with_gaps(y, mask)[0], order=(order, 0, 0))
    model = s.StructuralModel(s.AutoRegression(order, coefficients, 1.3), noise_variance=None)
    model.initialize()
    model.cast("float64")
    expected = -reference.loglike([*coefficients, 1.3])
    assert model(*nd(y, mask)).asscalar() == pytest.approx(expected, rel=1e-9)


def nile():
    path = "examples/data/nile.csv"
    return np.genfromtxt(path, delimiter=",", skip_header=1)[None, :, 1]


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-6)])
def test_nile(dtype, tolerance):
    model = s.StructuralModel(s.LocalLevel(1478.811359), 15078.01098)
    model.initialize()
    model.cast(dtype)
    for shift in (0.0, 1e5):
        found = -model(*nd(nile() + shift, dtype=dtype)).asscalar()
        assert found == pytest.approx(-632.5456563, rel=tolerance)


def test_maximum_likelihood_of_the_nile():
    model = s.StructuralModel(s.LocalLevel(1000.0), 1000.0)
    model.initialize()
    model.cast("float64")
    model.hybridize(static_alloc=True)
    parameters = list(model.collect_params().values())
    y = mx.nd.array(nile(), dtype="float64")

    def objective(stored):
        for parameter, value in zip(parameters, stored):
            parameter.set_data(mx.nd.array([value], dtype="float64"))
        with mx.autograd.record():
            loss = model(y)
        loss.backward()
        return loss.asscalar(), np.array([p.grad().asscalar() for p in parameters])

    start = [parameter.data().asscalar() for parameter in parameters]
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-7})
    assert -found.fun == pytest.approx(-632.5456, abs=1e-4)
    assert model.noise_variance.value().item() == pytest.approx(15098.5, abs=1.0)
    level = model.components.components[0].level_variance
    assert level.value().item() == pytest.approx(1469.2, abs=0.5)


@pytest.mark.parametrize("name, float32", [("level", 1e-3), ("regressions", 1e-2)])
def test_execution_modes(name, float32, tmp_path):
    y, _ = series()
    cases = [arguments(name, y[:, :7]), arguments(name, y[:1, :9])]
    # Losses at large prior variances round enough to show in difference quotients.
    check_block(lambda: model_of(name), cases, tmp_path, differences=1e-5, float32=float32)


def test_execution_modes_in_parallel(tmp_path):
    y, _ = series()
    given = arguments("regressions", y[:, :9])
    results = run_modes(
        lambda: model_of("regressions", method="parallel", length=9), given, "float64", tmp_path
    )
    for mode, result in results.items():
        assert_same(result, results["imperative"], 1e-12, mode)


def test_parallel_models_take_their_length_from_y(tmp_path):
    y, _ = series()
    model = model_of("regressions", method="parallel")
    model.hybridize(static_alloc=True)
    for steps in (9, 7, 9):
        given = nd(*arguments("regressions", y[:, :steps]))
        expected = model_of("regressions")(*given).asnumpy()
        np.testing.assert_allclose(model(*given).asnumpy(), expected, rtol=1e-9)
    forecaster, given = (
        model.forecaster(2),
        nd(*arguments("regressions", y[:, :9], None, covariates()[:, :11])),
    )
    gl.export(forecaster, str(tmp_path / "model"), *given)
    expected = model_of("regressions").forecaster(2)(*given)
    for found, right in zip(gl.load(str(tmp_path / "model"))(*given), expected):
        np.testing.assert_allclose(found.asnumpy(), right.asnumpy(), rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_smoothed_states_and_parts(name):
    y, mask = series()
    model, given = model_of(name), nd(*arguments(name, y, mask))
    mean, covariance = (array.asnumpy() for array in model.smooth(*given))
    parts = MODELS[name][1](covariates()[0, :STEPS])
    contributions = model.decompose(*given)
    assert list(contributions) == model.components.labels()
    for i, row in enumerate(with_gaps(y, mask)):
        reference = formulas.smoother(parts, row, NOISE)
        expected = reference.smoothed_state_cov.transpose(2, 0, 1)
        np.testing.assert_allclose(mean[i], reference.smoothed_state.T, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(covariance[i], expected, rtol=1e-6, atol=1e-6)
        emission = np.broadcast_to(parts.emission, mean[i].shape)
        for label, (component, begin) in zip(contributions, model.components.offsets()):
            own = slice(begin, begin + component.state_size)
            h, x, p = emission[:, own], mean[i][:, own], covariance[i][:, own, own]
            values = [array[i].asnumpy() for array in contributions[label]]
            np.testing.assert_allclose(values[0], (h * x).sum(axis=1), rtol=1e-9, atol=1e-9)
            variance = np.einsum("ti,tij,tj->t", h, p, h)
            np.testing.assert_allclose(values[1], variance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_forecast(name, tmp_path):
    y, mask = series()
    model = model_of(name)
    forecaster = model.forecaster(HORIZON)
    given = nd(*arguments(name, y, mask, covariates()))
    mean, variance = (array.asnumpy() for array in forecaster(*given))
    parts = MODELS[name][1](covariates()[0])
    for i, row in enumerate(with_gaps(y, mask)):
        future = np.append(row, np.full(HORIZON, np.nan))
        reference = formulas.smoother(parts, future, NOISE)
        expected = reference.forecasts[0, STEPS:], reference.forecasts_error_cov[0, 0, STEPS:]
        np.testing.assert_allclose(mean[i], expected[0], rtol=1e-6)
        np.testing.assert_allclose(variance[i], expected[1], rtol=1e-6)


def test_forecaster_exports_copies(tmp_path):
    y, mask = series()
    model = model_of("regressions")
    given = nd(*arguments("regressions", y, mask, covariates()))
    forecaster = model.forecaster(HORIZON)
    before = [array.asnumpy() for array in forecaster(*given)]
    model.noise_variance.set_value(5.0)
    gl.export(forecaster, str(tmp_path / "forecast"), *given)
    loaded = gl.load(str(tmp_path / "forecast"))(*given)
    for a, b, c in zip(before, forecaster(*given), loaded):
        np.testing.assert_allclose(b.asnumpy(), a, rtol=1e-13)
        np.testing.assert_allclose(c.asnumpy(), a, rtol=1e-10)
    assert np.abs(model.forecaster(HORIZON)(*given)[1].asnumpy() - before[1]).max() > 1.0
