"""What is told of models of several series, against statsmodels."""

import numpy as np
import pandas
import pytest
from statsmodels.tsa.statespace.varmax import VARMAX

import gluon_linalg as gl

AR = np.array([[[0.5, 0.1], [-0.2, 0.3]]])
SIGMA = np.array([[1.2, 0.3], [0.3, 0.8]])
EFFECTS = np.array([[1.5], [-0.5]])
STEPS = 4


def tables(covariates=0):
    random = np.random.RandomState(7)
    index = pandas.date_range("2020-01-01", periods=50, freq="MS", name="month")
    y = pandas.DataFrame(random.randn(50, 2), index, ["north", "south"])
    y.iloc[10:13, 0] = np.nan
    y.iloc[12, 1] = np.nan
    x = pandas.DataFrame(random.randn(50 + STEPS, covariates), columns=["price"][:covariates])
    return y, x


@pytest.mark.parametrize("covariates", [0, 1])
def test_a_vector_autoregression(covariates):
    y, x = tables(covariates)
    model = gl.VARMAModel(2, (1, 0), AR, None, SIGMA, False, covariates=covariates)
    model.initialize()
    model.cast("float64")
    arrays, moved = [y], np.zeros((50 + STEPS, 2))
    if covariates:
        model.effects.set_value(EFFECTS)
        arrays.append(x[:50])
        moved = x.to_numpy() @ EFFECTS.T
    own = gl.analyze(model, *arrays)
    reference = VARMAX(y.to_numpy() - moved[:50], order=(1, 0), trend="n")
    reference.ssm.tolerance = 0
    factor = np.linalg.cholesky(SIGMA)[np.tril_indices(2)]
    theirs = reference.smooth(np.concatenate([AR.ravel(), factor]))

    residuals = own.residuals()
    assert list(residuals.columns) == ["north", "south"] and residuals.index.equals(y.index)
    known = ~y.isna().any(axis=1).to_numpy()
    right = theirs.filter_results.standardized_forecasts_error.T[known]
    np.testing.assert_allclose(residuals[known], right, atol=1e-9)
    assert residuals.isna().to_numpy()[10:13].tolist() == [[True, False]] * 2 + [[True, True]]

    ahead = theirs.get_forecast(STEPS)
    later = x[50:] if covariates else None
    forecast = own.forecast(STEPS, levels=(80,), covariates=later)
    assert list(forecast["south"].columns) == ["mean", "std", "lower_80", "upper_80"]
    assert str(forecast.index[0].date()) == "2024-03-01" and len(forecast) == STEPS
    ends = ahead.conf_int(alpha=0.2)
    for k, name in enumerate(y.columns):
        found = forecast[name]
        np.testing.assert_allclose(found["mean"], ahead.predicted_mean[:, k] + moved[50:, k])
        np.testing.assert_allclose(found["std"], ahead.se_mean[:, k], rtol=1e-9)
        lower, upper = ends[:, k], ends[:, 2 + k]
        np.testing.assert_allclose(found["lower_80"], lower + moved[50:, k], rtol=1e-8)
        np.testing.assert_allclose(found["upper_80"], upper + moved[50:, k], rtol=1e-8)

    states = own.smooth()
    assert list(states.columns[[0, 2]]) == ["value of north", "value of south"]
    np.testing.assert_allclose(states["value of south"], theirs.smoothed_state[1], atol=1e-9)
    signal = own.signal()["north"]
    np.testing.assert_allclose(signal["mean"], theirs.smoothed_state[0] + moved[:50, 0], atol=1e-9)
    spread = np.sqrt(np.maximum(theirs.smoothed_state_cov[0, 0], 0.0))
    np.testing.assert_allclose(signal["std"], spread, atol=1e-7)
    if covariates:
        assert own.effects().loc["price"].tolist() == EFFECTS[:, 0].tolist()
        with pytest.raises(ValueError, match=r"1 covariates, and got none; .*\(4, 1\)"):
            own.forecast(STEPS)
    else:
        with pytest.raises(ValueError, match="no covariates"):
            own.effects()
        with pytest.raises(ValueError, match="has no regression"):
            own.forecast(STEPS, covariates=np.ones((STEPS, 1)))


@pytest.mark.pictures
def test_the_picture_has_a_panel_for_each_series():
    y, _ = tables()
    model = gl.MultivariateStructuralModel(2, gl.structural.LocalLevel(0.2))
    model.initialize()
    model.cast("float64")
    figure = gl.analyze(model, y).plot_forecast(STEPS)
    _, *panels = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["north", "south"]
    # The forecast is where the line of the signal goes on after the last observation.
    forecast = gl.analyze(model, y).forecast(STEPS)
    line = next(line for line in panels[1].lines if line.get_label() == "forecast")
    np.testing.assert_allclose(line.get_ydata()[1:], forecast["south"]["mean"], rtol=1e-9)
