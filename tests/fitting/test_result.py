"""Standard errors, intervals, criteria and tables of a fit."""

import mxnet as mx
import numpy as np
import pandas
import pytest
from scipy import stats
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg as gl


def nile():
    from statsmodels.datasets import nile as dataset

    return dataset.load_pandas().data["volume"].to_numpy()


def model(*components, noise=1e4):
    layer = gl.StructuralModel(list(components), noise_variance=noise)
    layer.initialize()
    layer.cast("float64")
    return layer


def moving_series(n=240, seed=4):
    """A level, a slope and a season of four that all move."""
    random = np.random.RandomState(seed)
    slope = np.cumsum(0.3 * random.normal(size=n))
    level = np.cumsum(slope + random.normal(size=n))
    season = [3.0, -1.0, -1.5]
    for _ in range(n - 3):
        season.append(-sum(season[-3:]) + 0.5 * random.normal())
    return level + season + random.normal(size=n)


# Ours by theirs: the Hessian of the likelihood, and Harvey's information, which they call 'oim'.
INFORMATION = {"observed": "approx", "expected": "oim"}


def assert_same_errors(result, names, y, **keywords):
    """Standard errors of statsmodels at our optimum, by both of its information matrices.

    names: ours by theirs; a variance of 0 has none.
    """
    theirs = UnobservedComponents(y, use_exact_diffuse=True, **keywords)
    assert set(theirs.param_names) == set(names)
    for kind, covariance in INFORMATION.items():
        own = {estimate.name: estimate for estimate in result.estimates(information=kind)}
        values = [own[names[name]].value for name in theirs.param_names]
        fitted = theirs.smooth(values, cov_type=covariance)
        for name, error in zip(theirs.param_names, fitted.bse):
            if own[names[name]].value > 1e-4 * max(values):
                found = own[names[name]].standard_error
                assert found == pytest.approx(error, rel=1e-2), (name, kind)
    # Their constant of the likelihood is another, and their optimum no higher.
    best = theirs.fit(values, disp=False, maxiter=200).llf
    assert fitted.llf > best - 1e-4


def test_standard_errors_of_a_level_are_those_of_statsmodels():
    y = nile()
    result = gl.fit(model(gl.structural.LocalLevel(1e3)), y)
    names = {"sigma2.irregular": "noise_variance", "sigma2.level": "components.0.level_variance"}
    assert set(names.values()) == set(result.parameters)
    assert_same_errors(result, names, y, level="local level")


def test_standard_errors_of_a_regression_are_those_of_least_squares():
    random = np.random.RandomState(1)
    x = random.normal(size=(80, 2)) * [1.0, 1e3]
    y = x @ [1.5, -0.002] + 0.5 * random.normal(size=80)

    class Regression(mx.gluon.HybridBlock):
        """-log p(y) of a regression with a variance."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.slope = self.params.get("slope", shape=(2,), init="zeros")
                self.log_variance = self.params.get("log_variance", shape=(1,), init="zeros")

        def hybrid_forward(self, F, x, y, slope, log_variance):
            error = y - F.dot(x, slope)
            scaled = F.broadcast_div(F.square(error), F.exp(log_variance))
            return 0.5 * F.sum(F.broadcast_add(scaled, log_variance) + np.log(2 * np.pi))

    layer = Regression()
    layer.initialize()
    layer.cast("float64")
    result = gl.fit(layer, x, y)
    slope, *_ = np.linalg.lstsq(x, y, rcond=None)
    variance = np.mean((y - x @ slope) ** 2)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    first, second, _ = result.estimates(level=0.9)
    assert (first.name, second.name) == ("slope[0]", "slope[1]")
    np.testing.assert_allclose([first.value, second.value], slope, rtol=1e-4)
    np.testing.assert_allclose([first.standard_error, second.standard_error], errors, rtol=1e-3)
    assert first.z == pytest.approx(slope[0] / errors[0], rel=1e-3)
    assert second.p == pytest.approx(2 * stats.norm.sf(abs(slope[1] / errors[1])), rel=0.05)
    width = stats.norm.ppf(0.95) * errors[0]
    assert first.lower == pytest.approx(slope[0] - width, rel=1e-3)
    density = stats.norm(x @ slope, np.sqrt(variance)).logpdf(y).sum()
    assert result.log_likelihood == pytest.approx(density, abs=1e-6)
    assert result.aic == pytest.approx(2 * 3 - 2 * density, abs=1e-6)


def test_intervals_of_variances_are_positive_and_a_variance_of_0_is_left_open():
    y = np.random.RandomState(3).normal(size=60)
    result = gl.fit(model(gl.structural.LocalLevel(0.1), noise=0.5), y)
    noise, level = result.estimates()
    assert 0 < noise.lower < noise.value < noise.upper
    assert np.isnan([noise.z, noise.p]).all()
    # White noise has no moving level.
    assert level.value < 1e-6 and np.isnan([level.standard_error, level.lower]).all()
    assert " nan" not in result.summary()


def test_criteria_count_what_was_observed():
    y = nile()
    mask = np.ones(100)
    mask[20:40] = 0
    result = gl.fit(model(gl.structural.LocalLevel(1e3)), y, mask=mask)
    assert result.observations == 80
    y[20:40] = np.nan
    # Missing without a mask, too.
    again = gl.fit(model(gl.structural.LocalLevel(1e3)), y)
    assert (again.observations, again.loss) == (80, pytest.approx(result.loss, abs=1e-9))
    assert result.bic == pytest.approx(2 * np.log(80) + 2 * result.loss)


def test_tables():
    y = nile()
    result = gl.fit(model(gl.structural.LocalLevel(1e3)), y)
    text = result.summary(level=0.8)
    assert "log likelihood:" in text and "observations:       100" in text
    assert "converged:          yes: converged" in text and "80 % intervals" in text
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame) and frame.shape == (2, 6)
    assert frame.loc["noise_variance", "value"] == pytest.approx(15099, rel=1e-3)
    assert "<td>noise_variance</td>" in result._repr_html_()
    assert repr(result).startswith("FitResult(loss=")
    other = gl.fit(model(gl.structural.LocalLinearTrend(1e3, 1.0)), y)
    table = gl.compare(level=result, trend=other)
    assert set(table.index) == {"level", "trend"} and table.loc["level", "parameters"] == 2
    assert table["AIC"].is_monotonic_increasing
    with pytest.raises(ValueError, match="level is 95"):
        result.estimates(level=95)


@pytest.mark.parametrize("season", [False, True])
def test_standard_errors_of_a_trend_and_of_a_season(season):
    y = moving_series()
    names = {"sigma2.irregular": "noise_variance", "sigma2.level": "components.0.level_variance"}
    components, keywords = [gl.structural.LocalLinearTrend(1.0, 0.1)], {"level": "lltrend"}
    names["sigma2.trend"] = "components.0.slope_variance"
    if season:
        components.append(gl.structural.Seasonal(4))
        names["sigma2.seasonal"] = "components.1.seasonal_variance"
        keywords["seasonal"] = 4
    result = gl.fit(model(*components, noise=1.0), y)
    assert set(names.values()) == set(result.parameters)
    assert_same_errors(result, names, y, **keywords)


def test_standard_errors_of_a_level_with_covariates():
    random = np.random.RandomState(5)
    x = random.normal(size=(120, 2))
    y = np.cumsum(0.5 * random.normal(size=120)) + x @ [2.0, -1.0] + random.normal(size=120)
    layer = model(gl.structural.LocalLevel(0.2), gl.structural.Regression(2), noise=1.0)
    result = gl.fit(layer, y, x)
    names = {"sigma2.irregular": "noise_variance", "sigma2.level": "components.0.level_variance"}
    options = {"level": "llevel", "exog": x, "mle_regression": False}
    assert_same_errors(result, names, y, **options)


def test_expected_information_needs_predictions():
    x = np.linspace(0, 3, 12).reshape(-1, 1)
    layer = gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1)
    layer.initialize()
    layer.cast("float64")
    result = gl.fit(layer, x, np.sin(x[:, 0]), iterations=2)
    with pytest.raises(ValueError, match="GPLikelihoodLayer has none of"):
        result.estimates(information="expected")
    with pytest.raises(ValueError, match="information is 'oim', expected 'observed' or"):
        result.estimates(information="oim")


def test_a_result_knows_the_series_it_was_fitted_to():
    y = pandas.Series(nile(), index=pandas.period_range("1871", periods=100, freq="Y"))
    result = gl.fit(model(gl.structural.LocalLevel(1e3)), y)
    assert str(result.analyze().forecast(2).index[-1]) == "1972"
    text = result.summary()
    ljung_box = result.analyze().diagnostics().loc["Ljung-Box Q(10)"]
    assert f"{ljung_box['statistic']:.5g}" in text and f"{ljung_box['p']:.3f}" in text
