"""Covariates of models of several series, and linear models whose matrices are learned."""

import mxnet as mx
import numpy as np
import pytest
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from test_multivariate import AR, LOADINGS, MA, SIGMA, built, data, nd

import gluon_linalg as gl
from gluon_linalg import structural as s
from harness import check_block

EFFECTS = np.array([[0.5, -1.0], [2.0, 0.3]])
AHEAD = 3


def covariates(steps=40):
    return np.random.RandomState(8).randn(steps + AHEAD, 2)


MODELS = {
    "varma": lambda k: gl.VARMAModel(2, (1, 1), AR[:1], MA[:1], SIGMA, covariates=k),
    "factors": lambda k: gl.DynamicFactorModel(2, error_order=1, covariates=k),
    "trends": lambda k: gl.MultivariateStructuralModel(2, s.LocalLevel(), covariates=k),
    "linear": lambda k: gl.LinearGaussianModel(2, 2, covariates=k),
}


@pytest.mark.parametrize("kind", MODELS)
def test_it_is_the_model_of_what_the_covariates_leave(kind):
    """The model without covariates is held against statsmodels and dense normals."""
    (y, mask), x = data(), covariates()
    model, without = built(MODELS[kind](2)), built(MODELS[kind](0))
    model.effects.set_value(EFFECTS)
    rest = y - x[:40] @ EFFECTS.T
    found = model(*nd(y, x[:40], mask)).asscalar()
    assert found == pytest.approx(without(*nd(rest, mask)).asscalar(), rel=1e-12)
    pairs = [(model.forecaster(AHEAD), without.forecaster(AHEAD), x, x[40:])]
    pairs.append((model.signal, without.signal, x[:40], x[:40]))
    for own, other, given, moved in pairs:
        mean, spread = (array.asnumpy()[0] for array in own(*nd(y, given, mask)))
        expected = [array.asnumpy()[0] for array in other(*nd(rest, mask))]
        np.testing.assert_allclose(mean, expected[0] + moved @ EFFECTS.T, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(spread, expected[1], rtol=1e-9, atol=1e-12)


def test_factors_with_covariates_are_those_of_statsmodels():
    (y, _), x = data(3), covariates()[:40]
    loadings, effects = LOADINGS[:, :1], np.arange(6.0).reshape(3, 2) / 4
    model = built(
        gl.DynamicFactorModel(
            3, loadings=loadings, ar=[[[0.5]]], error_variance=0.8, mean=False, covariates=2
        )
    )
    model.effects.set_value(effects)
    reference = DynamicFactor(y, k_factors=1, factor_order=1, exog=x)
    reference.ssm.tolerance = 0
    parameters = np.concatenate([loadings.ravel(), effects.ravel(), [0.8] * 3, [0.5]])
    assert model(*nd(y, x)).asscalar() == pytest.approx(-reference.loglike(parameters), rel=1e-10)


def test_one_table_of_covariates_for_all_series():
    """A batch of 1 stands for all; without lags the fit is that of least squares."""
    (y, _), x = data(), covariates()[:40]
    model = built(gl.VARMAModel(2, (0, 0), covariates=2))
    both = mx.nd.array(np.stack([y, y + 1.0]), dtype="float64")
    found = model(both, nd(x)[0]).asnumpy()
    alone = [model(*nd(own, x)).asscalar() for own in (y, y + 1.0)]
    np.testing.assert_allclose(found, alone, rtol=1e-12)
    result = gl.fit(model, y, x[None])
    design = np.column_stack([np.ones(40), x])
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(result.layer.effects.value(), expected[1:].T, atol=1e-5)
    np.testing.assert_allclose(result.layer.mean.value(), expected[0], atol=1e-5)


def test_a_linear_model_is_that_of_the_kalman_layer():
    y, mask = data(3)
    model = built(gl.LinearGaussianModel(3, 2, AR[0], LOADINGS, SIGMA, [0.5, 0.7, 0.9], mean=False))
    matrices = model.matrices()
    seen = np.where(mask == 1, y, np.nan)
    arrays = gl.kalman_arrays(seen, **matrices)
    expected = gl.KalmanFilterLayer(2, 3)(**arrays).asscalar()
    assert model(*nd(y, mask)).asscalar() == pytest.approx(expected, rel=1e-12)
    # What expectation maximization has found can be gone on with by gradients, and forecast.
    structure = {"observation_covariance": "diagonal"}
    found = gl.expectation_maximization(seen, **matrices, structure=structure, iterations=3)
    model.set_matrices(found.parameters)
    assert model(*nd(y, mask)).asscalar() == pytest.approx(-found.log_likelihood, rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "factors"])
def test_execution_modes(kind, tmp_path):
    (y, _), x = data(), covariates()
    cases = [[y[None, :6], x[None, :6]], [np.stack([y[:7], y[7:14]]), x[None, :7]]]
    check_block(lambda: MODELS[kind](2), cases, tmp_path, differences=1e-6, float32=1e-3)


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((1, 40, 3)), "'covariates' has 3 columns, but the model is of 2"),
        (np.zeros((2, 40, 2)), "'covariates' has batch 2, expected 1 or that of 'y', 1"),
    ],
)
def test_errors(x, message):
    model = built(MODELS["varma"](2))
    with pytest.raises(gl.errors.ShapeError, match=message):
        model(nd(data()[0])[0], mx.nd.array(x, dtype="float64"))
    with pytest.raises(gl.errors.ShapeError, match=r"40 \+ 3: those of 'y'"):
        model.forecaster(3)(*nd(data()[0], covariates()[:40]))
