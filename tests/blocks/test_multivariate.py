"""VARMA, dynamic factors and common trends against statsmodels, Stata and dense normals."""

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ
from statsmodels.tsa.statespace.tests.results import results_dynamic_factor, results_varmax
from statsmodels.tsa.statespace.varmax import VARMAX

import gluon_linalg as gl
from gluon_linalg import structural as s
from harness import check_block

AR = np.array([[[0.5, 0.1], [-0.2, 0.3]], [[0.1, 0.05], [0.1, -0.2]]])
MA = np.array([[[0.4, -0.1], [0.2, 0.2]], [[0.1, 0.0], [0.05, 0.1]]])
SIGMA = np.array([[1.2, 0.3], [0.3, 0.8]])
MEAN = [0.5, -0.2]
LOADINGS = np.array([[0.8, 0.1], [0.5, 0.6], [-0.3, 0.2]])
ERRORS, ERROR_AR = [0.7, 1.2, 0.9], [0.3, -0.2, 0.1]


def data(series=2, steps=40):
    random = np.random.RandomState(3)
    y = 0.3 * random.normal(size=(steps, 1)).cumsum(axis=0) + random.normal(size=(steps, series))
    return y, (random.uniform(size=y.shape) > 0.2).astype("float64")


def built(model):
    model.initialize()
    model.cast("float64")
    return model


def nd(*values):
    return [mx.nd.array(np.asarray(value)[None], dtype="float64") for value in values]


def with_gaps(y, mask):
    return np.where(mask == 1, y, np.nan)


def lutkepohl():
    """Quarterly changes of the logs of investment, income and consumption, 1960 to 1978."""
    return np.diff(np.log(np.array(results_varmax.lutkepohl_data)), axis=0)[:75]


@pytest.mark.parametrize("order", [(1, 0), (2, 0), (0, 1), (1, 1), (2, 2)])
@pytest.mark.filterwarnings("ignore:Estimation of VARMA")
def test_varma(order):
    y, mask = data()
    ar, ma = (values[:n] if n else None for values, n in zip((AR, MA), order))
    model = built(gl.VARMAModel(2, order, ar, ma, SIGMA, MEAN))
    reference = VARMAX(with_gaps(y, mask) - MEAN, order=order, trend="n")
    reference.ssm.tolerance = 0
    coefficients = [np.concatenate(list(c), axis=1).ravel() for c in (ar, ma) if c is not None]
    factor = np.linalg.cholesky(SIGMA)[np.tril_indices(2)]
    parameters = np.concatenate([*coefficients, factor])
    expected = -reference.loglike(parameters)
    assert model(*nd(y, mask)).asscalar() == pytest.approx(expected, rel=1e-10)
    expected = reference.smooth(parameters).get_forecast(3)
    mean, covariance = (array.asnumpy()[0] for array in model.forecaster(3)(*nd(y, mask)))
    np.testing.assert_allclose(mean, expected.predicted_mean + MEAN, rtol=1e-9)
    deviations = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    np.testing.assert_allclose(deviations, expected.se_mean, rtol=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_coefficients_that_were_set_are_those_that_are_read(sign):
    random = np.random.RandomState(2)
    for order, size in ((1, 3), (3, 2)):
        model = built(gl.VARMAModel(size, (order, order)))
        parameter = model.ar if sign == 1 else model.ma
        # Any stored numbers are a stationary process, and its coefficients lead back to them.
        stored = random.normal(size=parameter.shape) * 2.0
        parameter.set_data(mx.nd.array(stored, dtype="float64"))
        value = parameter.value()
        companion = np.eye(order * size, k=-size)
        companion[:size] = np.concatenate(list(sign * value), axis=1)
        assert np.abs(np.linalg.eigvals(companion)).max() < 1
        parameter.set_value(value)
        np.testing.assert_allclose(parameter.data().asnumpy(), stored, rtol=1e-7)


def test_published_vector_autoregression():
    """Stata's estimates for West Germany, 1960 to 1978 (Lütkepohl 2005)."""
    expected = results_varmax.lutkepohl_var1
    result = gl.fit(built(gl.VARMAModel(3, (1, 0), mean=False)), lutkepohl())
    ar = np.array(expected["params"][:9]).reshape(3, 3)
    assert result.log_likelihood >= expected["loglike"] - 1e-2
    np.testing.assert_allclose(result.layer.ar.value()[0], ar, atol=0.02)


@pytest.mark.parametrize("factors, order, error_order", [(1, 2, 1), (2, 1, 1), (2, 2, 0)])
def test_dynamic_factors(factors, order, error_order):
    y, mask = data(3)
    ar, loadings = AR[:order, :factors, :factors], LOADINGS[:, :factors]
    error_ar = ERROR_AR if error_order else None
    model = built(
        gl.DynamicFactorModel(
            3, factors, order, error_order, None, "growth", loadings, ar, error_ar, ERRORS, False
        )
    )
    reference = DynamicFactor(
        with_gaps(y, mask), k_factors=factors, factor_order=order, error_order=error_order
    )
    reference.ssm.tolerance = 0
    parameters = [loadings.ravel(), ERRORS, np.concatenate(list(ar), axis=1).ravel()]
    parameters = np.concatenate([*parameters, error_ar or []])
    expected = -reference.loglike(parameters)
    assert model(*nd(y, mask)).asscalar() == pytest.approx(expected, rel=1e-10)
    mean, covariance = (array.asnumpy()[0] for array in model.smooth(*nd(y, mask)))
    expected = reference.smooth(parameters)
    np.testing.assert_allclose(mean[:, :factors].T, expected.smoothed_state[:factors], atol=1e-9)
    np.testing.assert_allclose(
        covariance[:, :factors, :factors].transpose(1, 2, 0),
        expected.smoothed_state_cov[:factors, :factors],
        atol=1e-9,
    )


@pytest.mark.parametrize("error_order", [0, 1])
def test_a_quarterly_series_among_monthly_ones(error_order):
    y, _ = data(3, 39)
    months = pd.period_range("2000-01", periods=39, freq="M")
    monthly = pd.DataFrame(y[:, :2], index=months, columns=["a", "b"])
    quarters = pd.period_range("2000Q1", periods=13, freq="Q")
    quarterly = pd.DataFrame(y[2::3, 2:], index=quarters, columns=["c"])
    reference = DynamicFactorMQ(
        monthly,
        endog_quarterly=quarterly,
        factors=1,
        factor_orders=2,
        idiosyncratic_ar1=bool(error_order),
        standardize=False,
    )
    reference.ssm.tolerance = 0
    parameters = [*LOADINGS[:, 0], 0.5, 0.1, 1.0, *(ERROR_AR if error_order else []), *ERRORS]
    mask = np.ones((39, 3))
    mask[:, 2] = np.arange(39) % 3 == 2
    model = gl.DynamicFactorModel(
        3,
        order=2,
        error_order=error_order,
        every=[1, 1, 3],
        loadings=LOADINGS[:, :1],
        ar=[[[0.5]], [[0.1]]],
        error_ar=ERROR_AR if error_order else None,
        error_variance=ERRORS,
        mean=False,
    )
    found = built(model)(*nd(y, mask)).asscalar()
    assert found == pytest.approx(-reference.loglike(parameters), rel=1e-10)


def test_aggregations():
    every, words = [1, 3, 3, 3, 2], ["sum", "growth", "sum", "mean", "last"]
    model = gl.DynamicFactorModel(5, every=every, aggregation=words)
    third = pytest.approx((1 / 3,) * 3)
    assert model.weights == [(1.0,), (1, 2, 3, 2, 1), (1, 1, 1), third, (1,)]


def test_published_dynamic_factor():
    """Stata's estimates (dfactor), and its standard errors."""
    expected = results_dynamic_factor.lutkepohl_dfm
    model = built(gl.DynamicFactorModel(3, order=2, mean=False))
    # In percent the start is near.
    result = gl.fit(model, 100.0 * lutkepohl()[None, :, :], tolerance=1e-13)
    shift = 75 * 3 * np.log(100.0)
    assert result.log_likelihood + shift == pytest.approx(expected["loglike"], abs=1e-3)
    found = [own.value for own in result.estimates()]
    errors = [own.standard_error for own in result.estimates()]
    names = [own.name for own in result.estimates()]
    order = [n for key in ("loadings", "error_variance", "ar[") for n in names if n.startswith(key)]
    scale = np.array([100.0] * 3 + [1e4] * 3 + [1.0] * 2)
    found, errors = (np.array([dict(zip(names, v))[n] for n in order]) for v in (found, errors))
    np.testing.assert_allclose(found / scale, expected["params"], rtol=2e-3)
    np.testing.assert_allclose(errors / scale, expected["bse_oim"], rtol=2e-2)


LEVEL, NOISE = np.array([[1.0, 0.6], [0.6, 0.8]]), np.array([[0.5, -0.1], [-0.1, 0.4]])
SLOPE = np.array([[0.05, 0.02], [0.02, 0.03]])


def dense_trend(y, mask, level, slope):
    """-log of the diffuse likelihood of correlated trends, by generalized least squares."""
    steps = len(y)
    t = np.arange(steps)
    sums = np.minimum.outer(t, t).astype("float64")
    # A slope disturbance at j adds t - j - 1 from then on.
    ramp = np.array([[max(k - j - 1, 0) for j in range(steps)] for k in range(steps)])
    covariance = np.kron(sums, level) + np.kron(np.eye(steps), NOISE)
    covariance += np.kron(ramp @ ramp.T, slope)
    known = mask.ravel() == 1
    columns = np.concatenate(
        [np.kron(np.ones((steps, 1)), np.eye(2)), np.kron(t[:, None], np.eye(2))], 1
    )
    columns, covariance, z = columns[known], covariance[np.ix_(known, known)], y.ravel()[known]
    if not slope.any():
        columns = columns[:, :2]
    weighted = np.linalg.solve(covariance, columns)
    information = columns.T @ weighted
    rest = z - columns @ np.linalg.solve(information, weighted.T @ z)
    value = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]
    value += rest @ np.linalg.solve(covariance, rest)
    return 0.5 * (value + (len(z) - columns.shape[1]) * np.log(2 * np.pi))


@pytest.mark.parametrize("kind", ["levels", "one common trend", "trends"])
def test_related_series(kind):
    y, mask = data()
    y = y + [1e3, 0.0]
    level = np.outer([1.0, 0.5], [1.0, 0.5]) if "common" in kind else LEVEL
    part = s.LocalLinearTrend() if kind == "trends" else s.LocalLevel()
    rank = {"level_variance": 1} if "common" in kind else None
    model = built(gl.MultivariateStructuralModel(2, part, rank, NOISE))
    model.level_covariance.set_value(level)
    if kind == "trends":
        model.slope_covariance.set_value(SLOPE)
    slope = SLOPE if kind == "trends" else np.zeros((2, 2))
    expected = dense_trend(y, mask, level, slope)
    assert model(*nd(y, mask)).asscalar() == pytest.approx(expected, rel=1e-9)


def test_one_series_is_the_structural_model():
    y, _ = data(1)
    parts = (lambda: s.DampedTrend(0.7, 0.2), lambda: s.Seasonal(4), lambda: s.Cycle(7.0))
    several = gl.MultivariateStructuralModel(1, [part() for part in parts], noise_covariance=0.9)
    alone = s.StructuralModel([part() for part in parts], 0.9)
    several, alone = built(several), built(alone)
    assert several(*nd(y)).asscalar() == pytest.approx(alone(*nd(y[:, 0])).asscalar(), rel=1e-12)
    found, expected = several.forecaster(5)(*nd(y)), alone.forecaster(5)(*nd(y[:, 0]))
    np.testing.assert_allclose(found[0].asnumpy()[..., 0], expected[0].asnumpy(), rtol=1e-9)
    np.testing.assert_allclose(found[1].asnumpy()[..., 0, 0], expected[1].asnumpy(), rtol=1e-9)


MODELS = {
    "varma": lambda: gl.VARMAModel(2, (1, 1), AR[:1], MA[:1], SIGMA, MEAN),
    "factors": lambda: gl.DynamicFactorModel(2, error_order=1, every=[1, 2], aggregation="sum"),
    "trends": lambda: gl.MultivariateStructuralModel(2, s.DampedTrend(), {"slope_variance": 1}),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "varma")) for n in MODELS]
)
def test_execution_modes(name, tmp_path):
    y, _ = data()
    cases = [[y[None, :6]], [np.stack([y[:7], y[7:14]])]]
    check_block(MODELS[name], cases, tmp_path, differences=1e-6, float32=1e-3)


def test_the_forecaster_is_exported(tmp_path):
    y, mask = data()
    model = built(MODELS["varma"]())
    forecaster = model.forecaster(2)
    gl.export(forecaster, str(tmp_path / "model"), *nd(y, mask))
    for found, expected in zip(
        gl.load(str(tmp_path / "model"))(*nd(y, mask)), forecaster(*nd(y, mask))
    ):
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: gl.VARMAModel(2, (1,)), r"order is \(1,\), expected two integers"),
        (
            lambda: gl.VARMAModel(2, ar=[np.eye(2)]),
            "not stationary: the largest root has the modulus 1",
        ),
        (lambda: gl.VARMAModel(2, (0, 1), ma=[2 * np.eye(2)]), "are not invertible.*modulus 2"),
        (lambda: gl.VARMAModel(2, ar=np.eye(2)), r"shape \(2, 2\), expected \(1, 2, 2\)"),
        (lambda: gl.VARMAModel(2, innovation_covariance=-np.eye(2)), "no covariance of rank 2"),
        (
            lambda: gl.DynamicFactorModel(2, 2),
            "2 factors of 2 series are not identified; at most 1",
        ),
        (lambda: gl.DynamicFactorModel(2, every=[1, 4.3]), "every has 4.3, expected whole numbers"),
        (lambda: gl.DynamicFactorModel(2, every=[1]), "every has 1 items, expected one for each"),
        (
            lambda: gl.DynamicFactorModel(2, aggregation="flow"),
            "aggregation is 'flow', expected one",
        ),
        (
            lambda: gl.MultivariateStructuralModel(2, s.Regression(1)),
            "a component regression is for",
        ),
        (
            lambda: gl.MultivariateStructuralModel(2, s.LocalLevel(), {"slope_variance": 1}),
            "rank has 'slope_variance', which is no variance here",
        ),
        (
            lambda: gl.MultivariateStructuralModel(2, s.LocalLevel(), {"level_variance": 3}),
            "the rank of level_variance is 3, expected an integer from 1 to 2",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_the_data_leave_open_is_named():
    y, mask = data()
    mask[:, 1] = 0
    model = built(gl.MultivariateStructuralModel(2, s.LocalLevel()))
    with pytest.raises(gl.errors.UnidentifiedError, match="level: level of series 2"):
        model.smooth(*nd(y, mask))


@pytest.mark.parametrize("units", [1e6, 1e-6, np.array([1e6, 1.0, 1e-6])])
def test_a_fit_of_factors_is_the_same_in_other_units(units):
    """The likelihood of y times c is that of y, less log c for each number."""
    random = np.random.RandomState(0)
    factor = np.convolve(random.randn(60), 0.7 ** np.arange(10))[:40]
    y = factor[:, None] * [1.0, 0.5, 0.8] + random.randn(40, 3) + 3.0
    found, other = (
        gl.fit(built(gl.DynamicFactorModel(3)), own, tolerance=1e-12) for own in (y, y * units)
    )
    shift = 40 * np.log(units * np.ones(3)).sum()
    assert other.loss == pytest.approx(found.loss + shift, abs=1e-6)
    for name, scale in (("loadings", units * np.ones(3)), ("error_variance", units**2)):
        right = found.parameters[name] * (scale[:, None] if name == "loadings" else scale)
        np.testing.assert_allclose(other.parameters[name], right, rtol=1e-3)


def test_a_fit_begins_where_it_was_told():
    """What was given or set is where the search begins, whatever the size of y is."""
    y = np.random.RandomState(0).randn(20, 3) * 1e3
    given = built(gl.DynamicFactorModel(3, error_variance=7.0, loadings=np.ones((3, 1))))
    given.begin_with(mx.nd.array(y[None], dtype="float64"))
    np.testing.assert_allclose(given.error_variance.value(), 7.0)
    np.testing.assert_allclose(given.loadings.value(), 1.0)
    np.testing.assert_allclose(given.mean.value(), y.mean(axis=0), rtol=1e-12)
    given.mean.set_value(np.ones(3))
    given.begin_with(mx.nd.array(y[None], dtype="float64"))
    np.testing.assert_allclose(given.mean.value(), 1.0)
