"""Models of several series one step at a time equal their forecasters of all steps."""

import mxnet as mx
import numpy as np
import pytest
from statsmodels.tsa.statespace.varmax import VARMAX

import gluon_linalg as gl
from gluon_linalg import structural

AR = np.array([[[0.5, 0.1], [-0.2, 0.3]]])
SIGMA = np.array([[1.2, 0.3], [0.3, 0.8]])
STEPS, LENGTH = 3, 14
MODELS = {
    "common trend": lambda: gl.MultivariateStructuralModel(
        2,
        [structural.LocalLinearTrend(0.3, 0.02), structural.Seasonal(3)],
        rank={"level_variance": 1},
        noise_covariance=0.4,
    ),
    "covariates": lambda: gl.MultivariateStructuralModel(
        2, structural.LocalLevel(0.3), covariates=2
    ),
    "varma": lambda: gl.VARMAModel(2, (1, 1), AR, None, SIGMA, [3.0, -1.0], covariates=1),
    "factors": lambda: gl.DynamicFactorModel(2, every=[1, 2], mean=[1.0, 2.0]),
    "linear": lambda: gl.LinearGaussianModel(2, 1),
}


def f64(values):
    return mx.nd.array(values, dtype="float64")


def built(name):
    model = MODELS[name]()
    model.initialize()
    model.cast("float64")
    if model.effects is not None:
        model.effects.set_value(np.arange(1.0, 1 + 2 * model.covariates).reshape(2, -1))
    return model


def data(covariates):
    """Two series at once that have gaps, and a first step of which one element is missing."""
    random = np.random.RandomState(3)
    y = 5.0 + np.cumsum(random.randn(2, LENGTH, 2), axis=1)
    mask = (random.rand(2, LENGTH, 2) > 0.2).astype("float64")
    mask[:, 0] = [1.0, 0.0]
    known = random.randn(2, LENGTH + STEPS, covariates) if covariates else None
    return np.where(mask > 0, y, np.nan), known, mask


def streamed(stream, states, y, covariates, mask):
    """Means and covariances after each step."""
    found = []
    for t in range(LENGTH):
        arrays = [y[:, t : t + 1], mask[:, t : t + 1], *states]
        if covariates is not None:
            arrays.insert(1, covariates[:, t : t + 1 + STEPS])
        mean, covariance, *states = (a.asnumpy() for a in stream(*map(f64, arrays)))
        found.append((mean, covariance))
    return found


@pytest.mark.parametrize(
    "name",
    [
        "common trend",
        "varma",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("covariates", "factors", "linear")),
    ],
)
def test_one_by_one_equals_the_whole(name, tmp_path):
    """Also what was exported, with MXNet's own operators."""
    model = built(name)
    y, covariates, mask = data(model.covariates)
    stream = model.stream(STEPS)
    found = streamed(stream, stream.begin_state(2), y, covariates, mask)
    for end in (9, LENGTH):
        arrays = [y[:, :end], mask[:, :end]]
        if covariates is not None:
            arrays.insert(1, covariates[:, : end + STEPS])
        for a, b in zip(found[end - 1], model.forecaster(STEPS)(*map(f64, arrays))):
            np.testing.assert_allclose(a, b.asnumpy(), rtol=1e-9, atol=1e-9)
    example = [y[:, :1], mask[:, :1], *stream.begin_state(2)]
    if covariates is not None:
        example.insert(1, covariates[:, : 1 + STEPS])
    path = str(tmp_path / "stream")
    gl.export(stream, path, *map(f64, example))
    again = streamed(gl.load(path), stream.begin_state(2), y, covariates, mask)
    for a, b in zip(again[-1], found[-1]):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_vector_autoregression_of_statsmodels():
    model = gl.VARMAModel(2, (1, 0), AR, None, SIGMA, [3.0, -1.0])
    model.initialize()
    model.cast("float64")
    y, _, mask = data(0)
    stream = model.stream(STEPS)
    mean, covariance = streamed(stream, stream.begin_state(2), y, None, mask)[-1]
    reference = VARMAX(y[0] - [3.0, -1.0], order=(1, 0), trend="n")
    reference.ssm.tolerance = 0
    factor = np.linalg.cholesky(SIGMA)[np.tril_indices(2)]
    ahead = reference.smooth(np.concatenate([AR.ravel(), factor])).get_forecast(STEPS)
    np.testing.assert_allclose(mean[0], ahead.predicted_mean + [3.0, -1.0], rtol=1e-9)
    np.testing.assert_allclose(covariance[0], ahead.var_pred_mean, rtol=1e-9)


def test_what_is_open_and_bad_shapes():
    stream = built("covariates").stream(STEPS)
    y, covariates, mask = data(2)
    arrays = [y[:, :1], covariates[:, : 1 + STEPS], mask[:, :1], *stream.begin_state(2)]
    _, covariance, *_ = stream(*map(f64, arrays))
    # Of the second series nothing was seen yet.
    variances = np.diagonal(covariance.asnumpy(), axis1=2, axis2=3)
    assert np.isfinite(variances[..., 0]).all() and np.isinf(variances[..., 1]).all()
    for place, other, message in (
        (0, np.zeros((2, 2, 2)), "o is 2 in .y."),
        (1, covariates[:, :3], "got 3 steps of covariates.*expected 4"),
        (0, np.zeros((2, 1, 3)), "got 3 series in y, expected 2"),
    ):
        wrong = list(arrays)
        wrong[place] = other
        if place == 0:
            wrong[2] = other
        with pytest.raises(gl.errors.ShapeError, match=message):
            stream(*map(f64, wrong))
