"""Structural models of realistic size against dense diffuse Gaussians (`diffuse_reference`).

The values are stored, see `diffuse_cases`: of series of up to 3,000 steps, slow seasons, regressors
far from 0 and almost collinear, processes near a unit root, and gaps while states are diffuse.
"""

import itertools

import diffuse_cases as cases
import diffuse_reference as reference
import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import structural as s

KINDS = {
    "level": s.LocalLevel,
    "trend": s.LocalLinearTrend,
    "damped_trend": s.DampedTrend,
    "semilocal_trend": s.SemilocalLinearTrend,
    "seasonal": s.Seasonal,
    "cycle": s.Cycle,
    "autoregression": s.AutoRegression,
    "regression": s.Regression,
}
METHODS = ["sequential", "parallel"]
STORED = cases.read()
# Value and gradient, relative, and for elements of the gradient of size 1 or less absolute: of
# float64, and of float32 in and out, whatever is between.
TOLERANCES = {"float64": (1e-9, 1e-8), "float32": (1e-6, 1e-5)}


# Those that run in every form; of the others one does, and the rest is slow.
EVERYWHERE = {
    "cycle of 200",
    "first of waves missing",
    "no noise of waves",
    "pressure",
    "slow autoregression",
    "week and year",
}


def combinations(names, *others):
    """(name, ...) for all names and others; slow, but the first of the others, or EVERYWHERE."""
    found = []
    for name in names:
        for rest in itertools.product(*others):
            first = rest == tuple(values[0] for values in others)
            quick = (first or name in EVERYWHERE) and not (
                name in cases.CASES and cases.CASES[name]().slow
            )
            marks = [] if quick else [pytest.mark.slow]
            found.append(pytest.param(name, *rest, marks=marks))
    return found


def model_of(description, noise_variance, dtype, method="sequential", steps=None):
    parts = []
    for kind, options in description:
        options = dict(options)
        if kind == "autoregression":
            options["order"] = len(options["coefficients"])
        parts.append(KINDS[kind](**options))
    length = steps if method == "parallel" else None
    model = s.StructuralModel(parts, noise_variance, method=method, length=length)
    model.initialize()
    model.cast(dtype)
    model.hybridize(static_alloc=True)
    return model


def parameter_of(model, key):
    """The parameter with a key such as '0.level_variance'."""
    index, name = key.split(".")
    if index == "None":
        return model.noise_variance
    return getattr(model.components.components[int(index)], name)


def arguments(one, dtype, steps=None):
    """y, covariates of so many steps, and mask, as the model wants them."""
    steps = len(one.y) if steps is None else steps
    observed = np.ones(len(one.y)) if one.mask is None else one.mask
    values = [np.where(observed == 1, one.y, np.nan)]
    if one.covariates is not None:
        values.append(one.covariates[:steps])
    if one.mask is not None:
        values.append(one.mask)
    return [mx.nd.array(value[None], dtype=dtype) for value in values]


def value_and_gradient(model, given):
    """The log likelihood, and its gradient by stored numbers for each parameter."""
    with mx.autograd.record():
        loss = model(*given)
    loss.backward()
    return -loss.asscalar(), lambda key: -parameter_of(model, key).grad().asnumpy()


def with_reference(parameters):
    """Those whose reference is stored: in float32 a unix time is a constant, and there is none."""
    return [one for one in parameters if STORED[one.values[0]][one.values[2]] is not None]


@pytest.mark.parametrize(
    "name, method, dtype",
    with_reference(combinations(cases.CASES, METHODS, list(TOLERANCES))),
)
def test_likelihood_and_gradient(name, method, dtype):
    one, expected = cases.CASES[name](), STORED[name][dtype]
    model = model_of(one.description, one.noise_variance, dtype, method, len(one.y))
    value, gradient = value_and_gradient(model, arguments(one, dtype))
    of_value, of_gradient = TOLERANCES[dtype]
    assert value == pytest.approx(expected["log_likelihood"], rel=of_value)
    learned = [p for p in model.collect_params().values() if p.grad_req != "null"]
    assert len(expected["gradient"]) == len(learned)
    for key, elements in expected["gradient"].items():
        np.testing.assert_allclose(
            gradient(key), elements, rtol=of_gradient, atol=of_gradient, err_msg=key
        )


@pytest.mark.parametrize("name, method", combinations(cases.CASES, METHODS))
def test_forecast_and_smoothed_states(name, method):
    one, expected = cases.CASES[name](), STORED[name]["float64"]
    model = model_of(one.description, one.noise_variance, "float64", method, len(one.y))
    forecaster = model.forecaster(cases.HORIZON)
    given = arguments(one, "float64", len(one.y) + cases.HORIZON)
    mean, variance = (array.asnumpy()[0] for array in forecaster(*given))
    np.testing.assert_allclose(variance, expected["forecast_variance"], rtol=1e-7)
    assert_close_in_deviations(mean, expected["forecast_mean"], expected["forecast_variance"])
    mean, covariance = (array.asnumpy()[0] for array in model.smooth(*arguments(one, "float64")))
    times = cases.times_of(one)
    variance = np.diagonal(covariance[times], axis1=1, axis2=2)
    wanted = np.array(expected["smoothed_variance"])
    # Beside the largest of a component, variances of 0 are what rounding leaves.
    np.testing.assert_allclose(variance, wanted, rtol=1e-6, atol=1e-9 * wanted.min(initial=1.0))
    assert_close_in_deviations(mean[times], expected["smoothed_mean"], wanted)


def assert_close_in_deviations(mean, expected, variance):
    """Means within 1e-6 of their own standard deviation, and 1e-8 of their size."""
    size = 1e-6 * np.sqrt(variance) + 1e-8 * np.abs(expected)
    assert (np.abs(mean - np.array(expected)) <= size).all()


# (description, covariates, observed steps) of series of 24 steps that leave states open.
OPEN = {
    "two seasons with one wave in common": (
        [cases.level(0.02), cases.waves(6, 3, 0.01), cases.waves(4, 2, 0.01)], None, range(24)
    ),
    "fewer rows than states": ([cases.trend(0.02, 0.001), cases.dummy(12, 0.01)], None, range(3)),
    "a season of which a third was seen": (
        [cases.trend(0.02, 0.001), cases.dummy(12, 0.01)], None, range(2, 24, 3)
    ),
    "a constant beside a level": (
        [cases.level(0.02), cases.regression(2)],
        np.column_stack([np.full(24 + cases.HORIZON, 3.0), cases.covariates(24, [0.0], [1.0])]),
        range(24),
    ),
    "a covariate that never moved": (
        [cases.level(0.02), cases.regression(1)],
        np.append(np.zeros(24), np.ones(cases.HORIZON))[:, None],
        range(24),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name, method, dtype", combinations(OPEN, METHODS, list(TOLERANCES)))
def test_what_the_data_leave_open(name, method, dtype):
    """The likelihood is that of what the data determine; units of coefficients are arbitrary."""
    description, covariates, observed = OPEN[name]
    mask = np.isin(np.arange(24), list(observed)).astype("float64")
    y = cases.rounded(cases.walk(24, 7), dtype)
    one = cases.case(description, 0.3, y, cases.rounded(covariates, dtype), mask)
    known = reference.Reference(one.description, 0.3, one.y, one.covariates, mask)
    parameters = cases.stored_and_natural(known.values, dtype)
    expected = reference.Reference(
        one.description, 0.3, one.y, one.covariates, mask, {k: v[1] for k, v in parameters.items()}
    ).likelihood()
    assert expected.unidentified.shape[1] > 0
    model = model_of(one.description, 0.3, dtype, method, 24)
    value, gradient = value_and_gradient(model, arguments(one, dtype))
    of_value, of_gradient = TOLERANCES[dtype]
    if covariates is None:
        assert value == pytest.approx(expected.log_likelihood, rel=of_value)
    for key, (_, _, slope) in parameters.items():
        np.testing.assert_allclose(
            gradient(".".join(map(str, key))),
            np.array(expected.gradient[key] * slope, dtype="float64"),
            rtol=of_gradient,
            atol=of_gradient,
        )


@pytest.mark.parametrize("units", [1e-4, 1e5])
def test_units_of_a_slow_season(units):
    """log p(c y) = log p(y) - (n - k) log c, k the number of diffuse states."""
    one, stored = cases.CASES["weeks"](), STORED["weeks"]["float64"]
    model = model_of(one.description, one.noise_variance, "float64")
    for key in stored["gradient"]:
        parameter_of(model, key).set_value(parameter_of(model, key).value() * units**2)
    value, gradient = value_and_gradient(model, [units * arguments(one, "float64")[0]])
    shift = (len(one.y) - 14) * np.log(units)
    assert value == pytest.approx(stored["log_likelihood"] - shift, rel=1e-9)
    for key, elements in stored["gradient"].items():
        np.testing.assert_allclose(gradient(key), elements, rtol=1e-8, atol=1e-8)


def test_a_model_of_statsmodels():
    """results_structural.py, lltrend_cycle_seasonal_reg_ar1: -105.8936568 without constants."""
    stored = STORED["unemployment on output"]["float64"]
    assert stored["log_likelihood"] == pytest.approx(-105.8936568, abs=1e-6)
