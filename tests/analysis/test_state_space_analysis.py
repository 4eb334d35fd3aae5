"""What is told of state space models, against statsmodels."""

from pathlib import Path

import numpy as np
import pandas
import pytest
from scipy import stats
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg as gl
from gluon_linalg.analysis.residuals import ljung_box, variance_ratio

AIRLINE = Path(__file__).resolve().parent.parent / "data" / "airline.csv"


def nile():
    from statsmodels.datasets import nile as dataset

    found = dataset.load_pandas().data["volume"]
    return found.set_axis(pandas.period_range("1871", periods=100, freq="Y"))


def airline():
    """The logarithms of passengers by month."""
    values = np.loadtxt(AIRLINE, delimiter=",", comments="#").ravel()
    months = pandas.date_range("1949-01-01", periods=144, freq="MS")
    return pandas.Series(np.log(values), index=months, name="passengers")


def model(*components, noise):
    layer = gl.StructuralModel(list(components), noise_variance=noise)
    layer.initialize()
    layer.cast("float64")
    return layer


def level(y):
    layer = model(gl.structural.LocalLevel(1469.1), noise=15098.5)
    theirs = UnobservedComponents(y, "llevel", use_exact_diffuse=True)
    return gl.analyze(layer, y), theirs.smooth([15098.5, 1469.1])


def seasonal(y):
    components = (
        gl.structural.LocalLinearTrend(7e-4, 1e-7),
        gl.structural.Seasonal(12, seasonal_variance=6e-5),
    )
    layer = model(*components, noise=1.3e-4)
    theirs = UnobservedComponents(y, "lltrend", seasonal=12, use_exact_diffuse=True)
    return gl.analyze(layer, y), theirs.smooth([1.3e-4, 7e-4, 1e-7, 6e-5])


@pytest.mark.parametrize("make, series", [(level, nile), (seasonal, airline)])
def test_residuals_tests_and_forecasts_are_those_of_statsmodels(make, series):
    y = series()
    own, theirs = make(y)
    begin = theirs.nobs_diffuse
    residuals = theirs.filter_results.standardized_forecasts_error[0]
    found = own.residuals()
    assert found.index.equals(y.index) and found.name == y.name
    np.testing.assert_allclose(found[begin:], residuals[begin:], atol=1e-6)
    assert found[:begin].isna().all()
    table = own.diagnostics(lags=12)
    expected = [
        theirs.test_serial_correlation("ljungbox", lags=[12])[0, :, 0],
        theirs.test_normality("jarquebera")[0][:2],
        theirs.test_heteroskedasticity("breakvar")[0],
    ]
    np.testing.assert_allclose(table.to_numpy(float), expected, rtol=1e-4)

    ahead = theirs.get_forecast(6)
    forecast = own.forecast(6, levels=(80, 95))
    np.testing.assert_allclose(forecast["mean"], ahead.predicted_mean, rtol=1e-6)
    np.testing.assert_allclose(forecast["std"], ahead.se_mean, rtol=1e-5)
    for share in (80, 95):
        ends = ahead.conf_int(alpha=1 - share / 100).to_numpy()
        both = forecast[[f"lower_{share}", f"upper_{share}"]]
        np.testing.assert_allclose(both, ends, rtol=1e-5)
    assert forecast.index.equals(ahead.predicted_mean.index)

    states = theirs.smoother_results
    smoothed, first = own.smooth(), own.smooth().columns[0]
    np.testing.assert_allclose(smoothed[first], states.smoothed_state[0], rtol=1e-6)
    deviation = np.sqrt(states.smoothed_state_cov[0, 0])
    np.testing.assert_allclose(smoothed[f"{first}, std"], deviation, rtol=1e-5)
    parts = own.decompose()
    label = list(own.posterior.components)[0]
    np.testing.assert_allclose(parts[label], theirs.level.smoothed, rtol=1e-6)
    assert parts.index.equals(y.index)


def test_auxiliary_residuals_are_disturbances_over_their_deviations():
    y = nile()
    own, theirs = level(y)
    found = theirs.smoother_results
    outlier = found.smoothed_measurement_disturbance[0] / np.sqrt(
        15098.5 - found.smoothed_measurement_disturbance_cov[0, 0]
    )
    shift = found.smoothed_state_disturbance[0, :-1] / np.sqrt(
        1469.1 - found.smoothed_state_disturbance_cov[0, 0, :-1]
    )
    table = own.auxiliary_residuals()
    np.testing.assert_allclose(table["observation"], outlier, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(table["level"][:-1], shift, rtol=1e-6, atol=1e-8)
    # The dam at Aswan (Durbin & Koopman 2012, section 2.12).
    assert abs(table["level"]).idxmax() == pandas.Period("1898", "Y")


def test_a_missing_observation_is_nan_and_is_left_out_of_the_tests():
    y = nile()
    y.iloc[20:30] = np.nan
    own, theirs = level(y)
    found = own.residuals()
    assert found[20:30].isna().all()
    expected = theirs.filter_results.standardized_forecasts_error[0][1:][y[1:].notna()]
    np.testing.assert_allclose(found.dropna(), expected, atol=1e-8)
    jarque_bera = own.diagnostics().loc["Jarque-Bera", "statistic"]
    known = found.dropna().to_numpy()
    assert jarque_bera == pytest.approx(stats.jarque_bera(known).statistic, rel=1e-10)
    # With as many degrees of freedom as there are residuals.
    third = [part[~np.isnan(part)] for part in (found[1:].to_numpy()[:33], found.to_numpy()[-33:])]
    ratio = np.mean(third[1] ** 2) / np.mean(third[0] ** 2)
    statistic, p = variance_ratio(found[1:].to_numpy())
    assert statistic == pytest.approx(ratio, rel=1e-12)
    assert p == pytest.approx(2 * stats.f.cdf(ratio, len(third[1]), len(third[0])), rel=1e-9)
    np.testing.assert_allclose(own.decompose()["signal"], theirs.level.smoothed, rtol=1e-8)


def test_pairs_of_correlations_are_those_that_were_observed():
    # r = (-2, 1, ?, 1, -2, 2): Σ r² = 14; lag 1 has 3 pairs, lag 2 has 2, of 5 observed.
    residuals = np.array([-2.0, 1.0, np.nan, 1.0, -2.0, 2.0])
    first, second = (-2 - 2 - 4) / 14, (1 + 2) / 14
    statistic, p = ljung_box(residuals, 2)
    assert statistic == pytest.approx(5 * 7 * (first**2 / 3 + second**2 / 2), rel=1e-12)
    assert p == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-12)


def test_a_regression_knows_its_coefficients_and_asks_for_covariates():
    random = np.random.RandomState(2)
    x = random.normal(size=(90, 2)) * [1.0, 5.0]
    level = 3.0 + np.cumsum(0.3 * random.normal(size=80))
    y = level + x[:80] @ [2.0, -0.3] + random.normal(size=80)
    layer = model(gl.structural.LocalLevel(0.09), gl.structural.Regression(2), noise=1.0)
    own = gl.analyze(layer, y, x[:80])
    theirs = UnobservedComponents(
        y, "llevel", exog=x[:80], mle_regression=False, use_exact_diffuse=True
    ).smooth([1.0, 0.09])
    table = own.coefficients()
    coefficients = theirs.smoother_results.smoothed_state[1:, -1]
    errors = np.sqrt(np.diag(theirs.smoother_results.smoothed_state_cov[1:, 1:, -1]))
    np.testing.assert_allclose(table["mean"], coefficients, rtol=1e-6)
    np.testing.assert_allclose(table["std"], errors, rtol=1e-6)
    np.testing.assert_allclose(table["z"], coefficients / errors, rtol=1e-6)
    ahead = theirs.get_forecast(10, exog=x[80:])
    forecast = own.forecast(10, covariates=x[80:])
    np.testing.assert_allclose(forecast["mean"], ahead.predicted_mean, rtol=1e-6)
    assert list(forecast.index) == list(range(80, 90))
    with pytest.raises(ValueError, match=r"regression on 2 covariates, and got none; .*\(10, 2\)"):
        own.forecast(10)
    with pytest.raises(ValueError, match=r"got those of shape \(3, 2\)"):
        own.forecast(10, covariates=x[:3])


def test_several_series_are_tested_each():
    random = np.random.RandomState(0)
    values = np.zeros((80, 2))
    for t in range(1, 80):
        values[t] = values[t - 1] @ [[0.5, 0.1], [0.0, 0.4]] + random.normal(size=2)
    y = pandas.DataFrame(values, columns=["output", "prices"])
    layer = gl.VARMAModel(2, (1, 0))
    layer.initialize()
    layer.cast("float64")
    own = gl.analyze(layer, y)
    assert list(own.residuals().columns) == ["output", "prices"]
    assert set(own.diagnostics().index.get_level_values(0)) == {"output", "prices"}
    assert "output" in own.summary() and own.state_names[0] == "value of output"


def test_what_there_is_no_analysis_of_is_refused():
    with pytest.raises(TypeError, match="analyze: LogDetBlock is none of StructuralModel"):
        gl.analyze(gl.LogDetBlock(), np.eye(2))
    layer = model(gl.structural.LocalLevel(1.0), noise=1.0)
    uneven = pandas.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-05", "2020-02-01"])
    own = gl.analyze(layer, pandas.Series([1.0, 2.0, 3.0, 2.0], index=uneven))
    with pytest.raises(ValueError, match="not equally far apart.*asfreq"):
        own.forecast(2)
    with pytest.raises(ValueError, match="levels: 0.95|levels: 100"):
        gl.analyze(layer, np.arange(9.0)).forecast(2, levels=(100,))
