"""StructuralPredictor against statsmodels, on awkward series, and as a predictor of GluonTS."""

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from gluonts.evaluation import Evaluator, make_evaluation_predictions
from gluonts.exceptions import GluonTSDataError
from gluonts.model.forecast import SampleForecast
from gluonts.model.predictor import Predictor
from gluonts.mx.model.forecast import DistributionForecast
from scipy.stats import multivariate_normal

from gluon_linalg.forecast.structural import StructuralPredictor

LEVEL = [{"level": {}}]


def entry(target, freq="M", **fields):
    return {"start": pd.Period("2000-01", freq=freq), "target": np.asarray(target), **fields}


def moments(predictor, *entries):
    """Mean and standard deviation (items, h) of forecasts that are distributions."""
    found = [forecast.distribution for forecast in predictor.predict(entries)]
    return tuple(
        np.array([getattr(one, name).asnumpy() for one in found]) for name in ("mean", "stddev")
    )


def level_predictor(horizon=3, **options):
    return StructuralPredictor("M", horizon, LEVEL, **options)


def random_walk(length, seed=0):
    """A level and noise, both of variance 1."""
    random = np.random.RandomState(seed)
    return np.cumsum(random.randn(length)) + random.randn(length)


def compared_with_statsmodels(target, components, horizon=12, powell=False, **specification):
    """Our log likelihood minus statsmodels', and the largest differences of its forecasts.

    Those are in standard deviations for the mean, relative for the standard deviation.
    """
    predictor = StructuralPredictor("M", horizon, components, forecast="distribution")
    (forecast,) = predictor.predict([entry(target)])
    # Its optimizers want numbers around 0. Its exact diffuse likelihood has ½ log 2π more taken
    # off for each diffuse state.
    model = sm.tsa.UnobservedComponents(
        target - np.nanmean(target), use_exact_diffuse=True, **specification
    )
    fits = [model.fit(disp=0, maxiter=2000, method="lbfgs")]
    if powell:
        fits.append(model.fit(disp=0, maxiter=2000, method="powell"))
    best = max(fits, key=lambda fit: fit.llf)
    expected = best.get_forecast(horizon)
    deviation = np.sqrt(expected.var_pred_mean)
    constant = 0.5 * np.log(2 * np.pi) * model.k_states
    mean = expected.predicted_mean + np.nanmean(target)
    return (
        forecast.info["log_likelihood"] - constant - best.llf,
        np.abs(forecast.mean - mean).max() / deviation.max(),
        np.abs(forecast.distribution.stddev.asnumpy() / deviation - 1).max(),
    )


def test_nile_as_statsmodels():
    nile = sm.datasets.nile.load_pandas().data["volume"].values
    likelihood, mean, deviation = compared_with_statsmodels(nile, LEVEL, level="llevel")
    assert abs(likelihood) < 1e-3 and mean < 0.01 and deviation < 0.01


def test_missing_inflation_as_statsmodels():
    inflation = sm.datasets.macrodata.load_pandas().data["infl"].values[:120].copy()
    inflation[[0, 30, 31, 32, 70, 119]] = np.nan
    likelihood, mean, deviation = compared_with_statsmodels(inflation, LEVEL, level="llevel")
    assert abs(likelihood) < 1e-3 and mean < 0.01 and deviation < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gdp", "sunspots", "co2"])
def test_long_series_as_statsmodels(name):
    if name == "gdp":
        target = np.log(sm.datasets.macrodata.load_pandas().data["realgdp"].values)
        components = [{"trend": {}}, {"seasonal": {"period": 4}}]
        specification = {"level": "lltrend", "seasonal": 4}
    elif name == "sunspots":
        target = sm.datasets.sunspots.load_pandas().data["SUNACTIVITY"].values
        components = [{"trend": {}}]
        specification = {"level": "lltrend"}
    else:
        target = sm.datasets.co2.load_pandas().data["co2"].resample("MS").mean().values
        components = None
        specification = {"level": "lltrend", "seasonal": 12}
    likelihood, mean, deviation = compared_with_statsmodels(
        target, components, powell=True, **specification
    )
    # statsmodels' optimizers may stop a little below.
    assert -1e-3 < likelihood < 5e-3 and mean < 0.01 and deviation < 0.01


AWKWARD = {
    "constant": np.full(30, 7.0),
    "zero": np.zeros(5),
    "length 1": [3.0],
    "length 2": [3.0, 4.0],
    "straight line": np.arange(30.0),
    "huge": 1e9 * (5.0 + random_walk(40)),
    "huge level": 1e9 + random_walk(40),
    "tiny": 1e-9 * random_walk(40),
    "negative": -50.0 + random_walk(40),
    "counts": np.tile([0, 0, 3], 10),
    "one jump": np.r_[np.zeros(20), 100.0 * np.ones(10)],
    "gaps": np.where(np.arange(40) % 3, random_walk(40), np.nan),
    "missing ends": np.r_[[np.nan] * 5, random_walk(20), [np.nan] * 4],
    "one of many": np.r_[[np.nan] * 5, 2.0, [np.nan] * 4],
    "integers": np.arange(30) % 4,
}


def test_awkward_series_have_finite_forecasts():
    horizon = 9
    predictor = StructuralPredictor("Q", horizon, max_iterations=15)
    entries = [entry(target, "Q", item_id=name) for name, target in AWKWARD.items()]
    forecasts = list(predictor.predict(entries, num_samples=20))
    assert [forecast.item_id for forecast in forecasts] == list(AWKWARD)
    for one, forecast in zip(entries, forecasts):
        assert forecast.samples.shape == (20, horizon)
        assert np.isfinite(forecast.samples).all(), forecast.item_id
        assert forecast.start_date == one["start"] + len(one["target"])
        assert np.isfinite(forecast.info["log_likelihood"])
    by_name = {forecast.item_id: forecast.samples for forecast in forecasts}
    np.testing.assert_allclose(by_name["constant"], 7.0, rtol=1e-4)
    np.testing.assert_allclose(
        by_name["straight line"].mean(axis=0), np.arange(30.0, 30.0 + horizon), rtol=1e-3
    )
    assert np.abs(by_name["tiny"]).max() < 1e-6
    assert np.abs(by_name["huge level"] - 1e9).max() < 1e3


def test_a_single_step_of_a_monthly_series():
    predictor = StructuralPredictor("M", 1, max_iterations=20)
    y = np.sin(2 * np.pi * np.arange(48) / 12) + 0.01 * random_walk(48)
    (forecast,) = predictor.predict([entry(y)], num_samples=30)
    assert forecast.samples.shape == (30, 1)
    assert np.abs(forecast.samples - y[-12]).max() < 0.3


def test_a_short_series_is_forecast_by_a_level_alone():
    """The trend and the season of a quarterly series have 5 initial values."""
    predictor = StructuralPredictor("Q", 1, max_iterations=1)
    targets = [random_walk(9), np.r_[random_walk(10), np.nan], np.r_[random_walk(9), np.nan]]
    forecasts = predictor.predict([entry(target, "Q") for target in targets], num_samples=1)
    with_season = ["seasonal.seasonal_variance" in one.info["parameters"] for one in forecasts]
    assert with_season == [False, True, False]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"target": [np.nan, np.nan], "item_id": "a"}, "item 'a': nothing was observed"),
        ({"target": [1e300, -1e300]}, "item 1: the target is too large"),
    ],
)
def test_errors_name_the_item(fields, message):
    entries = [entry([1.0, 2.0]), {**entry([]), **fields}]
    with pytest.raises(GluonTSDataError, match=message):
        list(level_predictor().predict(entries))


@pytest.mark.parametrize(
    "features, message",
    [
        (None, "there is no feat_dynamic_real"),
        (np.zeros((1, 4)), r"shape \(1, 4\), expected \(1, 7\)"),
        (np.full((1, 7), np.nan), "has NaN"),
    ],
)
def test_errors_of_features_name_the_item(features, message):
    fields = {} if features is None else {"feat_dynamic_real": features}
    predictor = level_predictor(use_feat_dynamic_real=True)
    with pytest.raises(GluonTSDataError, match=f"item 0: .*{message}"):
        list(predictor.predict([entry(np.arange(4.0), **fields)]))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"components": [{"slope": {}}]}, "components.0.slope: unknown key; expected one of level"),
        (
            {"components": [{"level": {"variance": 1}}]},
            "components.0.level.variance: unknown key; did you mean 'level_variance'",
        ),
        (
            {"components": [{"level": {}}, {"seasonal": {"period": 1}}]},
            "components.1.seasonal.period: 1: should be greater than or equal to 2",
        ),
        (
            {"components": [{"level": {}, "trend": {}}]},
            "components.0: expected one component, found level, trend",
        ),
        (
            {"components": [{"level": {}}, {"trend": {}}]},
            "components: level and trend cannot be told apart",
        ),
        ({"components": [{"trend": None}]}, "components.0: expected one component, found none"),
        ({"components": []}, "components: List should have at least 1 item"),
        ({"noise_variance": -1.0}, "noise_variance: -1.0: expected 0 or a number above 1e-300"),
        ({"fixed": ["noise_variance"]}, "the arguments: noise_variance is fixed, but has no value"),
        (
            {"components": [{"level": {"level_variance": 0}}], "noise_variance": 0},
            "nothing is random; raise noise_variance or a variance above 0",
        ),
        (
            {"components": [{"level": {"fixed": ["level_variance"]}}]},
            "components.0.level: level_variance is fixed, but has no value",
        ),
        (
            {"components": [{"level": {}}, {"regression": {}}]},
            "components.1.regression: use_feat_dynamic_real is False",
        ),
        (
            {
                "components": [{"regression": {"columns": ["price"]}}],
                "use_feat_dynamic_real": True,
            },
            "components.0.regression.columns.0: 'price' is not one of the rows of feat_dynamic",
        ),
        ({"forecast": "quantiles"}, "forecast is 'quantiles'"),
        ({"prediction_length": 0}, "prediction_length is 0"),
        ({"freq": "fortnight"}, "fortnight"),
    ],
)
def test_errors_of_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        StructuralPredictor(**{"freq": "M", "prediction_length": 2, **options})


def test_a_series_is_fitted_as_if_it_were_alone():
    predictor = level_predictor(forecast="distribution")
    entries = [entry(random_walk(n, n)) for n in (12, 20, 16)]
    entries[1]["target"][5:9] = np.nan
    together = moments(predictor, *entries)
    alone = [moments(predictor, one) for one in entries]
    for k in range(2):
        np.testing.assert_allclose(together[k], np.vstack([one[k] for one in alone]), rtol=1e-4)


def test_forecasts_scale_with_the_series():
    predictor = level_predictor(forecast="distribution")
    y = random_walk(20)
    (mean, other), (deviation, scaled) = moments(predictor, entry(y), entry(-1e4 + 200.0 * y))
    np.testing.assert_allclose(other, -1e4 + 200.0 * mean, rtol=1e-6)
    np.testing.assert_allclose(scaled, 200.0 * deviation, rtol=1e-4)


def test_paths_are_joint_and_have_the_moments_of_the_distribution():
    y, count = random_walk(25), 20000
    (forecast,) = level_predictor(2).predict([entry(y)], num_samples=count)
    (mean,), (deviation,) = moments(level_predictor(2, forecast="distribution"), entry(y))
    assert isinstance(forecast, SampleForecast)
    error = np.abs(forecast.samples.mean(axis=0) - mean) / deviation
    assert error.max() < 5 / np.sqrt(count)
    np.testing.assert_allclose(forecast.samples.std(axis=0), deviation, rtol=0.03)
    parameters = forecast.info["parameters"]
    # y_{T+2} - y_{T+1} knows nothing of the level.
    change = np.diff(forecast.samples, axis=1).std()
    expected = parameters["level.level_variance"] + 2 * parameters["noise_variance"]
    np.testing.assert_allclose(change, np.sqrt(expected), rtol=0.03)


def test_a_regression_on_dynamic_features():
    random = np.random.RandomState(0)
    features = random.randn(2, 63)
    y = 5.0 + 0.1 * random.randn(60) + 3.0 * features[0, :60] - 1e3 * (1e-3 * features[1, :60])
    features[1] *= 1e-3
    y[[0, 1, 2, 20]] = np.nan
    one = entry(y, feat_dynamic_real=features)
    predictor = level_predictor(use_feat_dynamic_real=True, forecast="distribution")
    (mean,), (deviation,) = moments(predictor, one)
    expected = 5.0 + 3.0 * features[0, 60:] - 1e3 * features[1, 60:]
    np.testing.assert_allclose(mean, expected, atol=0.3)
    assert (deviation < 0.3).all()
    # A series too short for it goes by its level.
    short = entry([1.0, 2.0, 1.0], feat_dynamic_real=np.zeros((2, 6)))
    assert np.isfinite(moments(predictor, short)).all()


def test_far_forecasts_return_to_the_long_run_slope():
    trend = {"level_variance": 0.1, "slope_variance": 1.0, "damping": 0.7}
    components = [{"semilocal_trend": {**trend, "fixed": list(trend)}}]
    predictor = StructuralPredictor("M", 40, components, forecast="distribution")
    (forecast,) = predictor.predict([entry(2.0 * np.arange(30) + random_walk(30))])
    slopes = np.diff(forecast.distribution.mean.asnumpy().astype("float64"))
    changes = np.diff(slopes)[:5]
    np.testing.assert_allclose(changes[1:] / changes[:-1], 0.7, rtol=1e-2)
    # 30 steps tell the mean of such slopes to 0.6.
    assert abs(slopes[-1] - 2.0) < 1.8 and abs(slopes[0] - slopes[-1]) > 0.1


def test_all_components_forecast():
    components = [
        {"damped_trend": {"level_variance": 0}},
        {"seasonal": {"period": 4}},
        {"cycle": {"period": 9.0}},
        {"ar": {"order": 1}},
    ]
    predictor = StructuralPredictor("Q", 3, components, max_iterations=20)
    (forecast,) = predictor.predict([entry(random_walk(40), "Q")], num_samples=10)
    assert np.isfinite(forecast.samples).all()
    names = set(forecast.info["parameters"])
    assert {"noise_variance", "trend.damping", "cycle.period"} < names
    assert "trend.level_variance" not in names


def test_fixed_values_are_in_units_of_the_series():
    nile = sm.datasets.nile.load_pandas().data["volume"].values
    level = {"level": {"level_variance": 1500.0, "fixed": ["level_variance"]}}
    predictor = StructuralPredictor(
        "M",
        3,
        [level],
        forecast="distribution",
        noise_variance=12000.0,
        fixed=["noise_variance"],
    )
    # Two series in other units, with the same values fixed.
    forecasts = list(predictor.predict([entry(nile), entry(7.0 * nile[:50])]))
    for forecast, target in zip(forecasts, (nile, 7.0 * nile[:50])):
        model = sm.tsa.UnobservedComponents(target, "llevel", use_exact_diffuse=True)
        expected = model.smooth([12000.0, 1500.0])
        assert forecast.info["parameters"] == pytest.approx(
            {"noise_variance": 12000.0, "level.level_variance": 1500.0}
        )
        likelihood = expected.llf + 0.5 * np.log(2 * np.pi)
        assert forecast.info["log_likelihood"] == pytest.approx(likelihood, rel=1e-9)
        future = expected.get_forecast(3)
        np.testing.assert_allclose(forecast.mean, future.predicted_mean, rtol=1e-6)
        np.testing.assert_allclose(
            forecast.distribution.stddev.asnumpy(), future.se_mean, rtol=1e-6
        )


def test_a_model_without_noise_as_statsmodels():
    target = np.cumsum(np.random.RandomState(2).randn(60))
    predictor = level_predictor(forecast="distribution", noise_variance=0)
    (forecast,) = predictor.predict([entry(target)])
    # The changes are independent: their mean square is the variance.
    variance = np.mean(np.diff(target) ** 2)
    parameters = forecast.info["parameters"]
    assert list(parameters) == ["level.level_variance"]
    assert parameters["level.level_variance"] == pytest.approx(variance, rel=1e-3)
    model = sm.tsa.UnobservedComponents(target, "rwalk", use_exact_diffuse=True)
    likelihood = model.loglike([variance]) + 0.5 * np.log(2 * np.pi)
    assert forecast.info["log_likelihood"] == pytest.approx(likelihood, rel=1e-6)
    np.testing.assert_allclose(forecast.mean, target[-1], rtol=1e-6)
    # Beside other series, each of which has a variance of its own.
    several = predictor.predict([entry(k * target) for k in (1.0, 3.0, 1.0)])
    found = [forecast.info["parameters"]["level.level_variance"] for forecast in several]
    np.testing.assert_allclose(found, [variance, 9.0 * variance, variance], rtol=1e-3)


def test_the_search_begins_at_a_given_value():
    predictor = StructuralPredictor(
        "M", 1, [{"level": {"level_variance": 40.0}}], max_iterations=0, noise_variance=0
    )
    (forecast,) = predictor.predict([entry(100.0 * random_walk(20))], num_samples=1)
    assert forecast.info["parameters"]["level.level_variance"] == pytest.approx(40.0)


def test_known_priors_and_drifting_coefficients_of_a_column():
    """Against the Gaussian that all of it is, with a second series in the same batch."""
    steps, mean, spread, slope = 20, 50.0, 4.0, 1.5
    level, drift, noise = 0.3, 0.02, 0.5
    components = [
        {"level": {"level_variance": level, "prior": (mean, spread), "fixed": ["level_variance"]}},
        {
            "regression": {
                "columns": ["feat_dynamic_real_1"],
                "drifting": True,
                "coefficient_variance": drift,
                "prior": [0, slope],
                "fixed": ["coefficient_variance"],
            }
        },
    ]
    predictor = StructuralPredictor(
        "M",
        1,
        components,
        True,
        "distribution",
        noise_variance=noise,
        fixed=["noise_variance"],
    )
    random = np.random.RandomState(1)
    entries = [
        entry(mean + random_walk(steps, k), feat_dynamic_real=random.randn(3, steps + 1) + 4.0)
        for k in range(2)
    ]
    for one, forecast in zip(entries, predictor.predict(entries)):
        x, times = one["feat_dynamic_real"][1], np.arange(steps + 1)
        earlier = np.minimum(times[:, None], times)
        covariance = spread**2 + level * earlier + np.outer(x, x) * (slope**2 + drift * earlier)
        covariance += noise * np.eye(steps + 1)
        inner, last = covariance[:-1, :-1], covariance[-1]
        expected = multivariate_normal(np.full(steps, mean), inner).logpdf(one["target"])
        assert forecast.info["log_likelihood"] == pytest.approx(expected, rel=1e-9)
        gain = np.linalg.solve(inner, last[:-1])
        assert forecast.mean[0] == pytest.approx(mean + gain @ (one["target"] - mean), rel=1e-6)
        deviation = np.sqrt(last[-1] - gain @ last[:-1])
        assert forecast.distribution.stddev.asnumpy()[0] == pytest.approx(deviation, rel=1e-6)


def test_a_column_that_an_item_lacks():
    regression = {"regression": {"columns": ["feat_dynamic_real_2"]}}
    predictor = StructuralPredictor("M", 1, [{"level": {}}, regression], True)
    with pytest.raises(GluonTSDataError, match="item 0: feat_dynamic_real has 2 rows"):
        list(predictor.predict([entry(np.arange(9.0), feat_dynamic_real=np.zeros((2, 10)))]))


# As it was stored before noise and fixed values could be given.
STORED = """{"__kind__": "instance", "args": [], "class":
"gluon_linalg.forecast.structural.StructuralPredictor", "kwargs": {"batch_size": 16, "components":
[{"damped_trend": {"level_variance": 0}}, {"cycle": {"label": "wave", "period": 5.0, "prior":
"diffuse", "damping": null}}, {"ar": {"prior": {"__kind__": "instance", "args": [[0.0, 1.0]],
"class": "builtins.tuple"}}}], "dtype": {"__kind__": "type", "class": "numpy.float64"}, "forecast":
"samples", "freq": "M", "max_iterations": 2, "prediction_length": 2, "use_feat_dynamic_real":
false}}"""


def test_what_was_stored_before_is_read(tmp_path):
    StructuralPredictor("M", 2).serialize(tmp_path)
    (tmp_path / "predictor.json").write_text(STORED)
    read = Predictor.deserialize(tmp_path)
    (forecast,) = read.predict([entry(random_walk(30))], num_samples=1)
    names = set(forecast.info["parameters"])
    assert {"noise_variance", "wave.period", "trend.damping"} < names
    assert "wave.damping" not in names and "trend.level_variance" not in names


def test_default_components_follow_the_frequency():
    def components(freq):
        return StructuralPredictor(freq, 1).components

    assert components("Y") == [{"trend": {}}]
    assert components("Q")[1] == {"seasonal": {"period": 4}}
    assert components("M")[1] == {"seasonal": {"period": 12}}
    assert components("D")[1] == {"seasonal": {"period": 7}}
    # Series of minutes have the pattern of a day, which that of an hour is no part of.
    for freq, steps in {"15min": 96, "30min": 48, "5min": 288, "H": 24, "min": 1440}.items():
        assert components(freq)[1]["seasonal"]["period"] == steps
    assert components("H")[1]["seasonal"]["form"] == "trigonometric"
    assert StructuralPredictor("W", 1)._initial_values(0) == 2 + 2 * 6


def test_it_is_stored_and_read(tmp_path):
    predictor = StructuralPredictor("M", 2, [{"level": {}}, {"seasonal": {"period": 3}}])
    predictor.serialize(tmp_path)
    read = Predictor.deserialize(tmp_path)
    assert isinstance(read, StructuralPredictor) and read == predictor
    assert "seasonal" in repr(read)
    samples = []
    for one in (predictor, read):
        mx.random.seed(3)
        (forecast,) = one.predict([entry(random_walk(20))], num_samples=5)
        samples.append(forecast.samples)
    assert (samples[0] == samples[1]).all()
    other = StructuralPredictor.from_hyperparameters(freq="M", prediction_length=2)
    assert other.components == StructuralPredictor("M", 2).components


def test_gluonts_evaluates_it():
    dataset = [entry(random_walk(30, k), item_id=str(k)) for k in range(3)]
    predictor = level_predictor(batch_size=2)
    forecasts, targets = make_evaluation_predictions(dataset, predictor, num_samples=50)
    forecasts, targets = list(forecasts), list(targets)
    assert [one.item_id for one in forecasts] == ["0", "1", "2"]
    metrics, _ = Evaluator(num_workers=None)(targets, forecasts)
    assert 0 < metrics["mean_wQuantileLoss"] < 2


def test_distributions_are_forecasts_of_gluonts():
    predictor = level_predictor(forecast="distribution")
    (forecast,) = predictor.predict([entry(random_walk(30))])
    assert isinstance(forecast, DistributionForecast)
    low, middle, high = (forecast.quantile(level) for level in (0.1, 0.5, 0.9))
    assert (low < middle).all() and (middle < high).all()
    np.testing.assert_allclose(middle, forecast.mean, rtol=1e-5)
