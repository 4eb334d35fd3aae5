"""Maxima of dynamic factor models for the data of Lütkepohl, against Stata and statsmodels."""

import numpy as np
import pytest
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from statsmodels.tsa.statespace.tests.results import results_dynamic_factor as stata
from test_multivariate import lutkepohl

import gluon_linalg as gl

# In percent the start is near; the log likelihood of what was given.
PERCENT = 100.0
SHIFT = 75 * 3 * np.log(PERCENT)
CONSTANT_AND_TIME = np.column_stack([np.ones(75), np.arange(75) + 2.0])


def fitted(x=None, **options):
    model = gl.DynamicFactorModel(3, **options)
    model.initialize()
    model.cast("float64")
    arrays = [PERCENT * lutkepohl()[None]] + ([] if x is None else [x[None]])
    result = gl.fit(model, *arrays, tolerance=1e-13)
    return result.log_likelihood + SHIFT, {k: v.ravel() for k, v in result.parameters.items()}


def stacked(found, *names):
    """Parameters in the order of statsmodels and in the units of its data."""
    scale = {"loadings": PERCENT, "effects": PERCENT, "mean": PERCENT, "error_variance": PERCENT**2}
    return np.concatenate([found[name] / scale.get(name, 1.0) for name in names])


def test_a_factor_beside_means():
    expected = stata.lutkepohl_dfm_exog1
    value, found = fitted(order=1)
    assert value == pytest.approx(expected["loglike"], abs=1e-4)
    params = stacked(found, "loadings", "mean", "error_variance", "ar")
    # The sign of a factor is free.
    params[:3] *= np.sign(params[0] * expected["params"][0])
    np.testing.assert_allclose(params, expected["params"], rtol=1e-3)


@pytest.mark.slow
def test_a_factor_beside_lines():
    """Stata's maximum from near it; from the default start a higher one, which statsmodels has."""
    expected = stata.lutkepohl_dfm_exog2
    names = "loadings", "effects", "error_variance", "ar"
    options = {"order": 1, "mean": False, "covariates": 2}
    near = {"loadings": [[1.2], [0.7], [0.7]], "ar": [[[0.3]]], "error_variance": [20, 0.8, 0.6]}
    value, found = fitted(CONSTANT_AND_TIME, **options, **near)
    assert value == pytest.approx(expected["loglike"], abs=1e-4)
    # Slopes of which zero is well within one standard error.
    np.testing.assert_allclose(stacked(found, *names), expected["params"], rtol=5e-3, atol=1e-6)
    value, found = fitted(CONSTANT_AND_TIME, **options)
    assert value > expected["loglike"] + 0.3
    reference = DynamicFactor(lutkepohl(), k_factors=1, factor_order=1, exog=CONSTANT_AND_TIME)
    assert value == pytest.approx(reference.loglike(stacked(found, *names)), abs=1e-5)


@pytest.mark.slow
def test_two_factors():
    """Stata's search had ended far below (496.4)."""
    # With errors of variance 1 at the start, that of investment falls to 0 at a lower maximum.
    variance = PERCENT**2 * lutkepohl().var(axis=0) / 2
    value, found = fitted(factors=2, order=1, mean=False, error_variance=variance)
    reference = DynamicFactor(lutkepohl(), k_factors=2, factor_order=1)
    params = stacked(found, "loadings", "error_variance", "ar")
    assert value == pytest.approx(reference.loglike(params), abs=1e-5)
    other = DynamicFactor(PERCENT * lutkepohl(), k_factors=2, factor_order=1)
    assert value > other.fit(disp=False, maxiter=1000).llf + SHIFT - 1e-3
    assert value > stata.lutkepohl_dfm2["loglike"] + 100
