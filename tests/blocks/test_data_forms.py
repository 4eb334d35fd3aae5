"""One rule for all that is fitted to data: NumPy or NDArray, with or without the batch axis."""

import warnings

import mxnet as mx
import numpy as np
import pandas
import pytest
from scipy.stats import multivariate_normal

import gluon_linalg as gl
from gluon_linalg import errors, kernels, structural

RANDOM = np.random.RandomState(8)
COUNT = 12
X = RANDOM.randn(COUNT, 2)
Y = X @ [1.0, -0.5] + 0.3 * RANDOM.randn(COUNT)
OTHER = X @ RANDOM.randn(2, 2) + RANDOM.randn(COUNT, 2)
LABELS = (np.arange(COUNT) % 3).astype("float64")
MASK = np.where(np.arange(COUNT) == 4, 0.0, 1.0)
SERIES = np.cumsum(RANDOM.randn(COUNT))


def gaussian_process():
    return gl.GPLikelihoodLayer(kernels.RBF(lengthscale=0.8), noise_variance=0.2)


def gp_mean():
    distances = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    covariance = np.exp(-0.5 * distances / 0.8**2)
    return covariance @ np.linalg.solve(covariance + 0.2 * np.eye(COUNT), Y)


def blr_mean():
    seen = X[MASK == 1]
    precision = seen.T @ seen / 0.2 + np.eye(2) / 0.7
    return X @ np.linalg.solve(precision, seen.T @ Y[MASK == 1] / 0.2)


def covariances(*views):
    joint = np.cov(np.concatenate(views, axis=1).T)
    return joint[:2, :2], joint[:2, 2:], joint[2:, 2:]


def discriminant_values():
    means = np.array([X[c == LABELS].mean(axis=0) for c in range(3)])
    residual, centred = X - means[LABELS.astype(int)], means - X.mean(axis=0)
    ratio = np.linalg.solve(residual.T @ residual / COUNT, centred.T @ centred / 3)
    return np.sort(np.linalg.eigvals(ratio).real)[::-1]


def canonical_values():
    xx, xy, yy = covariances(X, OTHER)
    squares = np.linalg.eigvals(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T)).real
    return np.sqrt(np.sort(squares)[::-1])


def smoothed_level():
    # A level that is a random walk from an unknown start: generalized least squares.
    steps = np.minimum.outer(np.arange(COUNT), np.arange(COUNT)) * 0.5
    noisy, ones = steps + 0.3 * np.eye(COUNT), np.ones(COUNT)
    start = ones @ np.linalg.solve(noisy, SERIES) / (ones @ np.linalg.solve(noisy, ones))
    return start + steps @ np.linalg.solve(noisy, SERIES - start)


def structural_model():
    return gl.StructuralModel(structural.LocalLevel(0.5), 0.3)


# name: (block, the data, what is made of them as numbers, the same numbers by NumPy alone).
CASES = {
    "GPLikelihoodLayer.condition": (
        gaussian_process,
        (X, Y),
        lambda block, *data: mean_at(block.condition(*data), X),
        gp_mean,
    ),
    "BLRLikelihoodLayer.condition": (
        lambda: gl.BLRLikelihoodLayer(0.7, 0.2),
        (X, Y, None, MASK),
        lambda block, *data: mean_at(block.condition(*data), X),
        blr_mean,
    ),
    "StructuralModel.posterior": (
        structural_model,
        (SERIES,),
        lambda block, *data: block.posterior(*data).mean[0, :, 0],
        smoothed_level,
    ),
    "StructuralModel.smooth": (
        structural_model,
        (SERIES,),
        lambda block, *data: block.smooth(*data)[0][0, :, 0],
        smoothed_level,
    ),
    "StructuralModel.decompose": (
        structural_model,
        (SERIES,),
        lambda block, *data: list(block.decompose(*data).values())[0][0][0],
        smoothed_level,
    ),
    "PCABlock.fit": (
        lambda: gl.PCABlock(2),
        (X,),
        lambda block, *data: block.fit(*data).values,
        lambda: np.linalg.eigvalsh(np.cov(X.T))[::-1],
    ),
    "PPCALikelihoodLayer.fit": (
        lambda: gl.PPCALikelihoodLayer(1),
        (X,),
        lambda block, *data: block.fit(*data).noise_variance.value(),
        lambda: np.linalg.eigvalsh(np.cov(X.T, ddof=0))[:1],
    ),
    "LDABlock.fit": (
        lambda: gl.LDABlock(3),
        (X, LABELS),
        lambda block, *data: block.fit(*data).values,
        discriminant_values,
    ),
    "CCABlock.fit": (
        lambda: gl.CCABlock(2),
        (X, OTHER),
        lambda block, *data: block.fit(*data)[0].values,
        canonical_values,
    ),
}


def frame(array):
    """As tables are: a row for each observation."""
    if array.ndim > 2:
        return array
    return pandas.DataFrame(array.T if len(array) == 1 else array)


FORMS = {
    "frame": frame,
    "float64": lambda array: array,
    "float32": lambda array: array.astype("float32"),
    "list": lambda array: array.tolist(),
    "nd": lambda array: mx.nd.array(array, dtype="float64"),
    "nd32": lambda array: mx.nd.array(array, dtype="float32"),
}


def mean_at(predictor, x):
    return predictor(mx.nd.array(x[None], dtype=predictor.dtype))[0][0]


@pytest.mark.parametrize("batch", [False, True], ids=["plain", "batch"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_forms(name, form, batch):
    """Of the dtype of the block, whatever the dtype of the data."""
    make, data, numbers, oracle = CASES[name]
    block = make()
    block.initialize()
    block.cast("float64")
    given = [None if a is None else FORMS[form](a[None] if batch else a) for a in data]
    found = numbers(block, *given)
    if isinstance(found, mx.nd.NDArray):
        assert found.dtype == np.float64
        found = found.asnumpy()
    tolerance = 1e-5 if "32" in form else 1e-9
    np.testing.assert_allclose(found, oracle(), rtol=tolerance, atol=tolerance)


def test_what_a_masked_array_hides_is_missing():
    """Of `numpy.asarray` it would be there again."""
    hidden = np.arange(COUNT) % 4 == 1
    given = np.ma.array(np.where(hidden, 1e6, SERIES), mask=hidden)
    covariance = 2.0 + 0.5 * np.minimum.outer(np.arange(COUNT), np.arange(COUNT))
    covariance = (covariance + 0.3 * np.eye(COUNT))[np.ix_(~hidden, ~hidden)]
    expected = -multivariate_normal(cov=covariance).logpdf(SERIES[~hidden])
    level = {"transition": 1.0, "emission": 1.0, "prior_covariance": 2.0}
    arrays = gl.kalman_arrays(given, **level, process_covariance=0.5, observation_covariance=0.3)
    assert gl.KalmanFilterLayer(1)(**arrays).asscalar() == pytest.approx(expected, rel=1e-10)
    model = gl.StructuralModel(structural.LocalLevel(0.5, prior=(0.0, 2.0**0.5)), 0.3)
    model.initialize()
    model.cast("float64")
    assert gl.fit(model, given, iterations=1).start_loss == pytest.approx(expected, rel=1e-10)
    # A model in which nothing may be missing refuses it.
    block = gl.BLRLikelihoodLayer()
    block.initialize()
    block.cast("float64")
    with pytest.raises(errors.NonFiniteError):
        block.condition(X, given)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("PCA", "LDA"))])
def test_dtype_of_a_fit(name):
    """That of the cast; of a block that was not cast and learns nothing, that of the data."""
    make, data, *_ = CASES[name]
    for cast, given, expected in (
        (None, "float32", "float32"),
        (None, "float64", "float64"),
        (None, "int32", "float64"),
        ("float32", "float64", "float32"),
    ):
        block = make()
        if cast is not None:
            block.cast(cast)
        rows = (10 * data[0]).astype(given)
        assert block.fit(rows, *data[1:]).dtype == expected


def test_samples_of_all_batch_elements_are_one_set():
    fitted = gl.PCABlock(2).fit(X.reshape(3, 4, 2))
    np.testing.assert_allclose(fitted.values, np.linalg.eigvalsh(np.cov(X.T))[::-1], rtol=1e-12)
    # Each batch element alone would have too few samples.
    fitted = gl.LDABlock(3).fit(X.reshape(6, 2, 2), LABELS.reshape(6, 2))
    np.testing.assert_allclose(fitted.values, discriminant_values(), rtol=1e-9)


def test_errors_of_data():
    layer = gaussian_process()
    layer.initialize()
    with pytest.raises(TypeError, match="'x' is a list of .*; expected numbers"):
        layer.condition([["a", "b"]], [1.0])
    with pytest.raises(TypeError, match="'y' is a ndarray of complex"):
        layer.condition(X, Y + 1j)
    with pytest.raises(gl.errors.ShapeError, match="'y' has shape"):
        layer.condition(X, Y[:-1])
    with pytest.raises(gl.errors.ShapeError, match=r"expected 3 axes \(B, n, d\)"):
        gl.PCABlock(1).fit(Y)


SECONDS = 1.6e9 + 60.0 * np.arange(COUNT)


@pytest.mark.parametrize(
    "x, y, warns",
    [
        (SECONDS, SERIES, True),
        (np.stack([SECONDS, X[:, 0]], axis=1), SERIES, True),
        (SECONDS - SECONDS[0], SERIES, False),
        (np.full(COUNT, 0.1), SERIES, False),
        (X[:, 0], 1e9 * SERIES, False),
        (X[:, 0], 1e9 + SERIES, True),
    ],
)
def test_digits_that_float32_has_not(x, y, warns):
    x = x.reshape(COUNT, -1)
    for dtype in ("float32", "float64"):
        block = gaussian_process()
        block.initialize()
        block.cast(dtype)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            block.condition(x, y)
        told = [str(w.message) for w in caught if "subtract their mean" in str(w.message)]
        assert len(told) == (warns and dtype == "float32")


def test_dates_are_no_numbers():
    dates = np.datetime64("2020-01-01") + np.arange(COUNT)
    block = gaussian_process()
    block.initialize()
    for given in (dates[:, None], (dates - dates[0])[:, None]):
        with pytest.raises(TypeError, match=r"'x' has dates, .* expected numbers, such as days"):
            block.condition(given, Y)
