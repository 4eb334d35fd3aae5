"""Clark's trend and cycle of American GDP, against statsmodels and the published estimates."""

import mxnet as mx
import numpy as np
import pytest
from statsmodels.tsa.statespace.structural import UnobservedComponents
from statsmodels.tsa.statespace.tests.results import results_kalman_filter

import gluon_linalg as gl
from gluon_linalg import structural

KNOWN = results_kalman_filter.uc_uni


def test_clark():
    """Kim & Nelson 1999, section 3.5: standard deviations of level, cycle and slope, and φ."""
    y = np.log(np.array(KNOWN["data"]))
    level_deviation, cycle_deviation, slope_deviation, *ar = KNOWN["parameters"]
    variances = np.square([level_deviation, slope_deviation, cycle_deviation])
    trend = structural.LocalLinearTrend(variances[0], variances[1])
    cycle = structural.AutoRegression(2, ar, variances[2])
    model = gl.StructuralModel([trend, cycle], noise_variance=None)
    model.initialize()
    model.cast("float64")
    options = dict.fromkeys(("level", "stochastic_level", "trend", "stochastic_trend"), True)
    reference = UnobservedComponents(
        y, **options, autoregressive=2, irregular=False, use_exact_diffuse=True
    )
    # Another ½ log 2π for each diffuse state.
    expected = -reference.loglike([*variances, *ar]) - np.log(2 * np.pi)
    assert model(mx.nd.array(y[None], dtype="float64")).asscalar() == pytest.approx(
        expected, rel=1e-9
    )
    result = gl.fit(model, y)
    # Theirs leave out the first twenty quarters.
    assert result.log_likelihood > -expected
    np.testing.assert_allclose(cycle.coefficients(), ar, rtol=2e-3)
    np.testing.assert_allclose(cycle.innovation_variance.value(), variances[2], rtol=0.1)
    np.testing.assert_allclose(trend.level_variance.value(), variances[0], rtol=0.1)
