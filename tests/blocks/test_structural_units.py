"""The same data in other units give the same structural model."""

import mxnet as mx
import numpy as np
import pytest
from test_structural import HORIZON, MODELS, STEPS, arguments, covariates, model_of, nd, series

import gluon_linalg as gl
from gluon_linalg import structural as s

METHODS = pytest.mark.parametrize("method", ["sequential", "parallel"])


def value_and_gradients(model, values, dtype="float64"):
    inputs = nd(*values, dtype=dtype)
    with mx.autograd.record():
        loss = model(*inputs)
    loss.backward()
    gradients = [p.grad().asnumpy() for p in model.collect_params().values()]
    return loss.asnumpy(), np.concatenate(gradients)


@METHODS
@pytest.mark.parametrize("units", [1e-9, 1e9])
@pytest.mark.parametrize("name", ["trend", "level and seasonal", "cycles", "regressions"])
def test_units_of_the_series(name, units, method):
    """log p(c y) = log p(y) - (n - k) log c; the gradients in log variances are the same."""
    y, mask = series()
    options = {"method": method, "length": STEPS if method == "parallel" else None}
    plain, scaled = model_of(name, **options), model_of(name, **options)
    for parameter in scaled.collect_params().values():
        if parameter.name.endswith("variance"):
            parameter.set_value(parameter.value() * units**2)
    before = value_and_gradients(plain, arguments(name, y, mask))
    after = value_and_gradients(scaled, arguments(name, units * y, mask))
    count = mask.sum(axis=1) - sum(plain.components.diffuse)
    np.testing.assert_allclose(after[0], before[0] + count * np.log(units), rtol=1e-11)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-8, atol=1e-9)


@METHODS
@pytest.mark.parametrize("name", ["level", "trend", "level and seasonal", "regressions"])
def test_shifts_of_the_series(name, method):
    y, mask = series()
    shifted = np.round(y + 1e6 * y.std(), 6)
    y = shifted - np.round(1e6 * y.std(), 6)
    options = {"method": method, "length": STEPS if method == "parallel" else None}
    before = value_and_gradients(model_of(name, **options), arguments(name, y, mask))
    after = value_and_gradients(model_of(name, **options), arguments(name, shifted, mask))
    np.testing.assert_allclose(after[0], before[0], rtol=1e-7)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-6, atol=1e-7)


@METHODS
@pytest.mark.parametrize("drifting", [False, True])
@pytest.mark.parametrize("scale, shift", [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e6), (1.0, -1e8)])
def test_units_of_covariates(scale, shift, drifting, method):
    """x β = (a x + b) (β / a) - b β / a: coefficients in other units, and another level."""
    y, mask = series(batch=1)
    x = np.round(covariates(steps=STEPS) / [1.0, 50.0, 0.02], 6)
    variance = np.array([0.3, 0.2, 0.1])
    found = []
    for a, b in ((1.0, 0.0), (scale, shift)):
        component = s.Regression(3, drifting, variance / a**2)
        model = s.StructuralModel(
            s.LocalLevel(0.7) + component, 0.8, method, STEPS if method == "parallel" else None
        )
        model.initialize()
        model.cast("float64")
        moved = a * x + b
        if drifting and b:
            # A drifting coefficient moves the level with it: the model is another one.
            return
        found.append(value_and_gradients(model, [y, moved, mask]))
    np.testing.assert_allclose(found[1][0], found[0][0] + 3 * np.log(scale), rtol=1e-8)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale, shift", [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e6)])
def test_forecasts_in_other_units(scale, shift):
    y, mask = series()
    x = covariates()
    found = []
    for a, b in ((1.0, 0.0), (scale, shift)):
        model = model_of("regressions")
        for parameter in model.collect_params().values():
            if parameter.name.endswith("variance"):
                parameter.set_value(parameter.value() * a**2)
        given = nd(*arguments("regressions", a * y + b, mask, x))
        mean, variance = (array.asnumpy() for array in model.forecaster(HORIZON)(*given))
        found.append(((mean - b) / a, variance / a**2))
    for one, other in zip(*found):
        np.testing.assert_allclose(other, one, rtol=1e-8)


@pytest.mark.parametrize("scale, shift", [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e3)])
@pytest.mark.parametrize("name", MODELS)
def test_float32_is_float64_of_the_same_numbers(name, scale, shift):
    """All is computed in float64: the data and the parameters alone are rounded."""
    y, mask = (np.float32(a).astype("float64") for a in series())
    y = np.float32(scale * y + shift).astype("float64")
    x = np.float32(covariates()[:, :STEPS]).astype("float64")
    found = []
    for dtype in ("float64", "float32"):
        model = model_of(name, dtype)
        for parameter in model.collect_params().values():
            if parameter.name.endswith("variance"):
                parameter.set_value(parameter.value() * scale**2)
            stored = np.float32(parameter.data().asnumpy())
            parameter.set_data(mx.nd.array(stored, dtype=dtype))
        found.append(value_and_gradients(model, arguments(name, y, mask, x), dtype))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=2e-7)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=2e-7, atol=1e-30)


def open_model(*components):
    model = s.StructuralModel(list(components), 0.5)
    model.initialize()
    model.cast("float64")
    return model


@pytest.mark.parametrize("value", [1.0, 0.1, 14.62, 1e9 / 3.0])
def test_a_covariate_that_does_not_move(value):
    """It is named where it matters, and harmless where it does not."""
    y, _ = series(batch=1)
    model = open_model(s.LocalLevel(0.3), s.Regression(2))
    x = covariates(steps=STEPS + 2)[:, :, :2]
    x[:, :, 1] = value
    assert model.open_states(*nd(y, x[:, :-2])) == [["regression: coefficient 2"]]
    with pytest.raises(gl.errors.UnidentifiedError, match="element 0.*regression: coefficient 2"):
        model.decompose(*nd(y, x[:, :-2]))
    without = open_model(s.LocalLevel(0.3), s.Regression(1))
    mean, variance = model.forecaster(2)(*nd(y, x))
    right = without.forecaster(2)(*nd(y, x[:, :, :1]))
    np.testing.assert_allclose(mean.asnumpy(), right[0].asnumpy(), rtol=1e-9)
    np.testing.assert_allclose(variance.asnumpy(), right[1].asnumpy(), rtol=1e-9)
    x[:, -1, 1] += 1.0
    for flags in ({}, {"static_alloc": True}):
        forecaster = model.forecaster(2)
        forecaster.hybridize(bool(flags), **flags)
        with pytest.raises(gl.errors.UnidentifiedError, match="step 2.*coefficient 2"):
            forecaster(*nd(y, x))


def test_a_season_that_is_not_seen():
    """Every third month: the others are open, and with them their forecasts."""
    y, _ = series(batch=2, steps=48)
    mask = np.ones((2, 48))
    mask[1] = np.arange(48) % 3 == 0
    model = open_model(s.LocalLevel(0.3), s.Seasonal(12, seasonal_variance=0.01))
    first, second = model.open_states(*nd(y, mask))
    assert first == [] and all(name.startswith("seasonal: ") for name in second if name != "level")
    assert np.isfinite(model(*nd(y, mask)).asnumpy()).all()
    with pytest.raises(gl.errors.UnidentifiedError, match="batch element 1.*seasonal"):
        model.smooth(*nd(y, mask))
    with pytest.raises(gl.errors.UnidentifiedError, match="batch element 1.*leave open"):
        model.forecaster(2)(*nd(y, mask))


def test_fewer_observations_than_states():
    model = open_model(s.LocalLinearTrend(0.1, 0.01), s.Seasonal(12, seasonal_variance=0.01))
    y = np.array([[3.0, 5.0, 4.0]])
    with pytest.raises(gl.errors.UnidentifiedError, match="trend: level"):
        model.forecaster(1)(*nd(y))
    # Each observation defines one initial value, and says nothing of the variances.
    loss, gradient = value_and_gradients(model, [y])
    assert np.isfinite(loss).all() and np.abs(gradient).max() < 1e-12


@pytest.mark.parametrize("shift", [0.0, 1e8])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_signal_and_its_parts(dtype, shift):
    """A year, or a unix time, is as good a covariate as any."""
    y, mask = series(batch=1)
    x = np.round(covariates(steps=STEPS)[:, :, :1], 6) + 2.0**-4
    model = open_model(s.LocalLevel(0.3), s.Regression(1))
    right = model.posterior(*nd(y, x, mask))
    model.cast(dtype)
    x = x + shift if dtype == "float64" else x
    found = model.posterior(*nd(y, x, mask, dtype=dtype))
    exact = 1e-8 if dtype == "float64" else 1e-5
    for one, other in zip(found.signal, right.signal):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=exact)
    together = sum(found.components[label][0].asnumpy() for label in ("level", "regression"))
    np.testing.assert_allclose(together, found.signal[0].asnumpy(), rtol=max(exact, 1e-15 * shift))
    # The coefficient is what it was, and the level that at x = 0.
    np.testing.assert_allclose(
        found.mean[:, :, 1].asnumpy(), right.mean[:, :, 1].asnumpy(), rtol=10 * exact
    )


@pytest.mark.parametrize("y", [0.1, 1e-12, 0.0])
def test_a_series_far_smaller_than_its_variances_is_identified(y):
    """A constant, but for the rounding of its mean, and numbers in a small unit."""
    model = open_model(s.LocalLevel(1.0))
    series_of_it = np.full((1, 30), y) * (1.0 + (y == 1e-12) * np.arange(30))
    assert model.open_states(*nd(series_of_it)) == [[]]
    mean, _ = model.smooth(*nd(series_of_it))
    np.testing.assert_allclose(mean.asnumpy()[0, :, 0].mean(), series_of_it.mean(), rtol=1e-9)


def test_a_model_whose_only_variance_is_that_of_a_coefficient():
    y, _ = series(batch=1)
    x = covariates(steps=STEPS)[:, :, :1]
    model = s.StructuralModel([s.Regression(1, True, [0.3])], noise_variance=None)
    model.initialize()
    model.cast("float64")
    # β_t = y_t / x_t is seen exactly; its changes have the density of N(0, 0.3).
    changes = np.diff(y[0] / x[0, :, 0])
    expected = 0.5 * np.sum(changes**2 / 0.3 + np.log(2 * np.pi * 0.3))
    expected += np.log(np.abs(x[0, :, 0])).sum()
    assert model(*nd(y, x)).asscalar() == pytest.approx(expected, rel=1e-9)
