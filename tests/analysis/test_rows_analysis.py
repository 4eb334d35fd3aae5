"""What is told of regressions and projections, against closed forms and scikit-learn."""

import numpy as np
import pandas
import pytest
from analyzed_layers import double
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

import gluon_linalg as gl


def data(n=30, seed=0):
    random = np.random.RandomState(seed)
    x = np.sort(random.uniform(0, 5, n))
    y = np.sin(x) + 0.1 * random.normal(size=n)
    return x, pandas.Series(y, index=[f"row {k}" for k in range(n)], name="height")


def test_a_process_is_predicted_as_scikit_learn_does():
    x, y = data()
    own = gl.analyze(
        double(gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.02)), x[:, None], y
    )
    places = pandas.Series([0.5, 2.0, 6.0], index=list("abc"))
    table = own.posterior(places, levels=(50, 95), include_noise=False)
    theirs = GaussianProcessRegressor(RBF(1.0), alpha=0.02, optimizer=None).fit(x[:, None], y)
    mean, deviation = theirs.predict(places.to_numpy()[:, None], return_std=True)
    np.testing.assert_allclose(table["mean"], mean, rtol=1e-8)
    np.testing.assert_allclose(table["std"], deviation, rtol=1e-7)
    half = stats.norm.ppf(0.75) * deviation
    np.testing.assert_allclose(table["upper_50"] - table["mean"], half, rtol=1e-7)
    assert list(table.index) == ["a", "b", "c"]
    noisy = own.posterior(places)["std"]
    np.testing.assert_allclose(noisy, np.sqrt(deviation**2 + 0.02), rtol=1e-7)

    left_out = own.leave_one_out()
    rest = np.arange(30) != 7
    alone = GaussianProcessRegressor(RBF(1.0), alpha=0.02, optimizer=None)
    alone.fit(x[rest, None], y[rest])
    (mean,), (deviation,) = alone.predict(x[7:8, None], return_std=True)
    deviation = np.sqrt(deviation**2 + 0.02)
    row = left_out.loc["row 7"]
    expected = [y.iloc[7], mean, deviation, (y.iloc[7] - mean) / deviation]
    np.testing.assert_allclose(row[:4].to_numpy(float), expected, rtol=1e-6)
    assert row["log_density"] == pytest.approx(
        stats.norm(mean, deviation).logpdf(y.iloc[7]), rel=1e-6
    )
    share = own.calibration(levels=(80,)).loc[80, "inside"]
    z = left_out["standardized_residual"].abs()
    assert share == pytest.approx(100 * np.mean(z <= stats.norm.ppf(0.9)))
    low, high = own.plot_kernel().axes[0].get_lines()[0].get_xdata()[[0, -1]]
    assert (low, high) == (x.min(), x.max())
    assert f"{np.sqrt(np.mean((left_out['mean'] - y) ** 2)):.5g}" in own.summary()


def test_a_process_in_time_is_the_same_process():
    x, y = data()
    kernel = gl.kernels.Matern32
    dense = gl.analyze(double(gl.GPLikelihoodLayer(kernel(), noise_variance=0.1)), x[:, None], y)
    own = gl.analyze(double(gl.StateSpaceGPLayer(kernel(), noise_variance=0.1)), x[:, None], y)
    np.testing.assert_allclose(own.leave_one_out(), dense.leave_one_out(), rtol=1e-6)
    np.testing.assert_allclose(own.posterior([1.0, 6.0]), dense.posterior([1.0, 6.0]), rtol=1e-6)
    assert own.plot_posterior().axes


def test_the_weights_of_a_regression_have_a_table():
    x, y = data(25, 1)
    phi = pandas.DataFrame({"one": 1.0, "x": x, "square": x**2})
    own = gl.analyze(double(gl.BLRLikelihoodLayer(4.0, 0.5)), phi, y)
    f = phi.to_numpy()
    covariance = np.linalg.inv(f.T @ f / 0.5 + np.eye(3) / 4.0)
    mean = covariance @ f.T @ y.to_numpy() / 0.5
    table = own.coefficients(levels=(80,))
    assert list(table.index) == ["one", "x", "square"]
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(table["mean"], mean, rtol=1e-9)
    np.testing.assert_allclose(table["std"], deviation, rtol=1e-9)
    np.testing.assert_allclose(table["z"], mean / deviation, rtol=1e-9)
    np.testing.assert_allclose(table["lower_80"], mean - stats.norm.ppf(0.9) * deviation, rtol=1e-9)
    rest = np.arange(25) != 3
    covariance = np.linalg.inv(f[rest].T @ f[rest] / 0.5 + np.eye(3) / 4.0)
    expected = f[3] @ covariance @ f[rest].T @ y.to_numpy()[rest] / 0.5
    row = own.leave_one_out().iloc[3]
    assert row["mean"] == pytest.approx(expected, rel=1e-8)
    assert row["std"] == pytest.approx(np.sqrt(f[3] @ covariance @ f[3] + 0.5), rel=1e-8)
    assert "square" in own.summary()
    with pytest.raises(ValueError, match="2 names for 3 features"):
        gl.analyze(own.layer, phi, y, names=["a", "b"])


@pytest.mark.parametrize("whiten", [False, True])
def test_components_are_those_of_scikit_learn(whiten):
    random = np.random.RandomState(0)
    x = pandas.DataFrame(
        random.normal(size=(40, 5)) @ random.normal(size=(5, 5)), columns=list("abcde")
    )
    own = gl.analyze(gl.PCABlock(3, whiten=whiten), x)
    theirs = PCA(3, whiten=whiten).fit(x.to_numpy())
    explained = own.explained()
    np.testing.assert_allclose(
        explained["explained_variance"], theirs.explained_variance_, rtol=1e-9
    )
    np.testing.assert_allclose(
        explained["explained_ratio"], theirs.explained_variance_ratio_, rtol=1e-9
    )
    loadings = own.loadings()
    signs = np.sign(np.sum(loadings.to_numpy() * theirs.components_.T, axis=0))
    np.testing.assert_allclose(loadings * signs, theirs.components_.T, atol=1e-9)
    np.testing.assert_allclose(own.scores() * signs, theirs.transform(x.to_numpy()), atol=1e-8)
    assert list(loadings.index) == list("abcde")
    assert f"{theirs.explained_variance_ratio_[0]:.1%}" in own.summary()
