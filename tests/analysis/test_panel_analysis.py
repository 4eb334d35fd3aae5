"""What is told of series that share a model, and of several targets, by one model of each."""

import numpy as np
import pandas
import pytest
from analyzed_layers import double
from scipy import stats
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg as gl

RANDOM = np.random.RandomState(0)


def test_series_that_share_a_model_are_those_of_statsmodels():
    months = pandas.period_range("2015-01", periods=40, freq="M", name="month")
    price = RANDOM.normal(size=(2, 40, 1))
    values = np.cumsum(RANDOM.normal(size=(2, 40)), axis=1) + 2.0 * price[:, :, 0]
    values[1, [7, 39]] = np.nan
    table = pandas.DataFrame(values, ["north", "south"], months)
    layer = double(
        gl.StructuralModel(
            gl.structural.LocalLevel(0.8) + gl.structural.Regression(1), noise_variance=0.3
        )
    )
    own = gl.analyze(layer, table, price)
    assert own.names == ["north", "south"]
    ahead = np.array([[[1.0]] * 3, [[2.0]] * 3])
    forecast, coefficients = own.forecast(3, covariates=ahead), own.coefficients()
    residuals, tests = own.residuals(), own.diagnostics()
    for k, name in enumerate(own.names):
        theirs = UnobservedComponents(
            values[k], "llevel", exog=price[k], mle_regression=False, use_exact_diffuse=True
        ).smooth([0.3, 0.8])
        told = theirs.get_forecast(3, exog=ahead[k])
        np.testing.assert_allclose(forecast[name]["mean"], told.predicted_mean, rtol=1e-7)
        np.testing.assert_allclose(forecast[name]["std"], told.se_mean, rtol=1e-7)
        weight = coefficients[name].iloc[0]
        assert weight["mean"] == pytest.approx(theirs.smoothed_state[1, -1], rel=1e-7)
        known = np.isfinite(residuals[name])
        expected = theirs.filter_results.standardized_forecasts_error[0]
        np.testing.assert_allclose(residuals[name][known], expected[known], rtol=1e-6)
        normality = tests.loc[(name, "Jarque-Bera"), "statistic"]
        scaled = residuals[name][known]
        assert normality == pytest.approx(stats.jarque_bera(scaled).statistic, rel=1e-9)
    assert str(forecast.index[0]) == "2018-05" and list(residuals.index) == list(months)
    assert np.isnan(residuals.loc["2015-08", "south"])
    assert own["south"].index.name == "south" and own.summary().count("Ljung-Box") == 2
    figure = own.plot_forecast(3, ahead)
    assert [axes.get_title(loc="left") for axes in figure.axes[1:]] == ["north", "south"]
    with pytest.raises(KeyError, match="no series 'east'"):
        own["east"]
    with pytest.raises(ValueError, match="same name"):
        gl.analyze(layer, table.set_axis(["a", "a"]), price)


def test_a_filter_tells_states_and_forecasts_of_the_joint_distribution():
    steps, ahead, q = 7, 3, 0.4
    months = pandas.period_range("2020-01", periods=steps, freq="M")
    emission, noise = np.array([[1.0], [0.5]]), np.array([0.3, 0.8])
    y = RANDOM.normal(size=(steps, 2))
    y[2, 1] = np.nan
    table = pandas.DataFrame(y, months, ["a", "b"])
    arrays = gl.kalman_arrays(
        np.where(np.isnan(y), 0.0, y), 1.0, emission, q, np.diag(noise), 0.3, 2.0
    )
    system = {name: value for name, value in arrays.items() if name not in ("y", "mask")}
    own = gl.analyze(double(gl.KalmanFilterLayer(1, 2)), table, **system)
    # All states and observations as one normal vector.
    place = np.arange(steps + ahead)
    states = 2.0 + q * np.minimum(place[:, None], place)
    loads = np.kron(np.eye(steps + ahead), emission)
    joint = loads @ states @ loads.T + np.diag(np.tile(noise, steps + ahead))
    seen = np.flatnonzero(np.r_[np.isfinite(y.ravel()), np.zeros(2 * ahead, dtype=bool)])
    residual = y.ravel()[seen] - (loads @ np.full(steps + ahead, 0.3))[seen]
    inner = np.linalg.inv(joint[np.ix_(seen, seen)])
    gain = (states @ loads.T)[:, seen] @ inner
    mean = 0.3 + gain @ residual
    covariance = states - gain @ (loads @ states)[seen]
    smoothed = own.smooth()
    np.testing.assert_allclose(smoothed["state 1"], mean[:steps], rtol=1e-9)
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(smoothed["state 1, std"], spread[:steps], rtol=1e-9)
    forecast = own.forecast(ahead, levels=(80,))["b"]
    np.testing.assert_allclose(forecast["mean"], 0.5 * mean[steps:], rtol=1e-9)
    deviation = np.sqrt(0.25 * spread[steps:] ** 2 + 0.8)
    np.testing.assert_allclose(forecast["std"], deviation, rtol=1e-9)
    np.testing.assert_allclose(own.signal()["a"]["std"], spread[:steps], rtol=1e-9)
    assert str(forecast.index[0]) == "2020-08"
    bands = own.plot_forecast(ahead, levels=(80,)).axes[2].collections[-1].get_paths()[0].vertices
    assert bands[:, 1].max() == pytest.approx(forecast["upper_80"].max(), rel=1e-9)
    assert own.residuals().shape == (steps, 2)
    panel = gl.analyze(own.layer, np.stack([y + 1.0, y]), **system)
    np.testing.assert_allclose(panel.forecast(ahead, levels=(80,))[1]["y2"], forecast)
    with pytest.raises(TypeError, match="of other models one by its name"):
        panel.plot_forecast(ahead)
    system["transition"] = np.ones((1, steps, 1, 1))
    with pytest.raises(ValueError, match="'transition' varies in time"):
        gl.analyze(own.layer, table, **system).forecast(1)


def test_data_sets_of_a_process_have_a_table():
    x = np.sort(RANDOM.uniform(0, 5, (2, 15)))
    y = np.sin(x)
    layer = double(gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1))
    own = gl.analyze(layer, x[:, :, None], y)
    covariance = np.exp(-0.5 * (x[1][:, None] - x[1]) ** 2) + 0.1 * np.eye(15)
    # Rasmussen & Williams, equation 5.12.
    inverse = np.linalg.inv(covariance)
    expected = y[1] - (inverse @ y[1]) / np.diag(inverse)
    np.testing.assert_allclose(own.leave_one_out().loc[1]["mean"], expected, rtol=1e-7)
    z = own[1].leave_one_out()["standardized_residual"]
    assert own.calibration((50,))[1].iloc[0] == pytest.approx(100 * np.mean(abs(z) < 0.67449))
    assert own.posterior([1.0])[0]["mean"].iloc[0] == own[0].posterior([1.0])["mean"].iloc[0]
    assert "RMSE" in own.summary()


@pytest.mark.parametrize("masked", [False, True])
def test_a_regression_of_several_targets_is_one_of_each(masked):
    phi = pandas.DataFrame({"one": 1.0, "x": RANDOM.normal(size=20)})
    noise = np.linspace(0.1, 0.4, 20)
    y = pandas.DataFrame({"a": phi["x"] + RANDOM.normal(size=20), "b": -phi["x"]})
    seen = np.arange(20) % 6 != 0 if masked else np.ones(20, dtype=bool)
    layer = double(gl.BLRLikelihoodLayer(2.0, 0.5, targets=2))
    own = gl.analyze(layer, phi, y.where(pandas.Series(seen), 99.0), noise, seen.astype(float))
    f, precision = phi.to_numpy()[seen], np.diag(1.0 / (0.5 + noise[seen]))
    covariance = np.linalg.inv(f.T @ precision @ f + np.eye(2) / 2.0)
    deviation, table = np.sqrt(np.diag(covariance)), own.coefficients((80,))
    left_out = own.leave_one_out()
    rest = np.arange(seen.sum()) != 3
    part = np.linalg.inv(f[rest].T @ precision[rest][:, rest] @ f[rest] + np.eye(2) / 2.0)
    for name in "ab":
        target = y[name].to_numpy()[seen]
        mean = covariance @ f.T @ precision @ target
        np.testing.assert_allclose(table[name]["mean"], mean, rtol=1e-9)
        np.testing.assert_allclose(table[name]["z"], mean / deviation, rtol=1e-9)
        expected = f[3] @ part @ f[rest].T @ precision[rest][:, rest] @ target[rest]
        row = left_out[name].iloc[3]
        assert row["mean"] == pytest.approx(expected, rel=1e-8)
        variance = f[3] @ part @ f[3] + 1.0 / precision[3, 3]
        assert row["std"] == pytest.approx(np.sqrt(variance), rel=1e-8)
    assert list(left_out.index) == list(np.flatnonzero(seen)) and len(own.calibration()) == 5
    assert "b z" in own.summary() and own["b"].plot_coefficients().axes
    with pytest.raises(ValueError, match="no output 'c'"):
        own.plot_coefficients("c")
