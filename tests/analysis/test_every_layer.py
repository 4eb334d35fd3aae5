"""`gluon_linalg.analyze` of every public layer whose output is a loss, and of the others."""

import numpy as np
import pandas
import pytest
from scipy import integrate, stats
from scipy.special import expit

import gluon_linalg as gl
from gluon_linalg.analysis.predictive import log_density
from gluon_linalg.blocks.base import LinearAlgebraBlock

RANDOM = np.random.RandomState(0)
X = np.sort(RANDOM.uniform(0, 5, 24))
Y = pandas.Series(np.sin(X) + 0.2 * RANDOM.normal(size=24), [f"r{k}" for k in range(24)], name="h")
RBF = gl.kernels.RBF
SPREAD = RANDOM.randn(20, 3)


DTYPES = ["float64"]


def double(layer):
    layer.initialize()
    layer.cast(DTYPES[-1])
    return layer


def svgp(likelihood, y, kernel=None, points=X, steps=30):
    """Its variational posterior at the optimum of its hyperparameters, which stay."""
    layer = double(gl.SVGPLikelihoodLayer(kernel or RBF(), points[:, None], likelihood))
    for _ in range(steps):
        layer.natural_step(X[:, None], y, step=0.5)
    return layer


def loo_of(layer, *data):
    own = gl.analyze(layer, *data)
    assert own.summary() and own.plot_leave_one_out().axes and own.plot_calibration().axes
    assert len(own.calibration())
    assert own.leave_one_out().notna().all(axis=None)
    return own


def series_of(layer, *data):
    own = gl.analyze(layer, *data)
    assert own.summary() and len(own.diagnostics()) and own.plot_diagnostics().axes
    return own


def components_of(layer, x):
    own = gl.analyze(layer, x)
    assert own.summary() and own.plot_scree().axes
    return own


def kalman():
    one = np.ones((1, 1, 1, 1))
    system = one, one, one, one, np.zeros((1, 1)), np.ones((1, 1, 1))
    return series_of(double(gl.KalmanFilterLayer(1, 1)), Y.to_numpy()[:, None], *system)


COUNTS = np.round(np.exp(1.0 + Y.to_numpy()))
LABELS = (Y.to_numpy() > 0).astype(float)
ROWS = gl.output_rows(X[::6, None], 2)
TWO = np.stack([Y, 0.5 - Y], axis=1)
LAYERS = {
    "BLRLikelihoodLayer": lambda: loo_of(
        double(gl.BLRLikelihoodLayer(1.0, 0.1)), np.stack([X, X**2], 1), Y
    ),
    "GPLikelihoodLayer": lambda: loo_of(double(gl.GPLikelihoodLayer(RBF())), X[:, None], Y),
    "StateSpaceGPLayer": lambda: loo_of(double(gl.StateSpaceGPLayer(gl.kernels.Matern32())), X, Y),
    "SGPRLikelihoodLayer": lambda: loo_of(
        double(gl.SGPRLikelihoodLayer(RBF(), X[::4, None])), X[:, None], Y
    ),
    "FITCLikelihoodLayer": lambda: loo_of(
        double(gl.FITCLikelihoodLayer(RBF(), X[::4, None])), X[:, None], Y
    ),
    "SVGPLikelihoodLayer": lambda: loo_of(
        svgp(gl.likelihoods.Poisson(), COUNTS, steps=9), X[:, None], COUNTS
    ),
    "MultiOutputGPLikelihoodLayer": lambda: loo_of(
        double(gl.MultiOutputGPLikelihoodLayer(RBF(), 2)), X[:, None], TWO
    ),
    "MultiOutputSGPRLikelihoodLayer": lambda: loo_of(
        double(gl.MultiOutputSGPRLikelihoodLayer(RBF(), ROWS, 2)), X[:, None], TWO
    ),
    "MultiOutputSVGPLikelihoodLayer": lambda: loo_of(
        double(gl.MultiOutputSVGPLikelihoodLayer(RBF(), ROWS, 2)), X[:, None], TWO
    ),
    "StructuralModel": lambda: series_of(double(gl.StructuralModel(gl.structural.LocalLevel())), Y),
    "RobustStructuralModel": lambda: series_of(
        double(gl.structural.RobustStructuralModel(gl.structural.LocalLevel())), Y
    ),
    "KalmanFilterLayer": kalman,
    "PPCALikelihoodLayer": lambda: components_of(gl.PPCALikelihoodLayer(1).fit(SPREAD), SPREAD),
    "PCABlock": lambda: components_of(gl.PCABlock(1), SPREAD),
}
ELSEWHERE = {
    # Of several series; their analysis has its own tests.
    *("VARMAModel", "DynamicFactorModel", "MultivariateStructuralModel", "LinearGaussianModel"),
}
INSTEAD = {
    "NonlinearFilterLayer": "NonlinearSmootherLayer",
    "NonlinearSmootherLayer": "NonlinearForecastLayer",
    "NonlinearForecastLayer": "NonlinearSmootherLayer",
    "KalmanSmootherLayer": "KalmanFilterLayer",
    "KalmanForecastLayer": "KalmanFilterLayer",
    "KalmanSamplerLayer": "KalmanFilterLayer",
    "KalmanViewsLayer": "KalmanFilterLayer",
    "GPPredictor": "layer that it was conditioned by",
}


# In float64 they have their numbers below.
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n.startswith("Robust") else n for n in LAYERS],
)
def test_it_is_analyzed(name, dtype, monkeypatch):
    monkeypatch.setattr(f"{__name__}.DTYPES", [dtype])
    LAYERS[name]()


@pytest.mark.parametrize("name", INSTEAD)
def test_it_says_what_to_analyze_instead(name):
    kind = getattr(gl, name)
    with pytest.raises(TypeError, match=INSTEAD[name]) as caught:
        gl.analyze(kind.__new__(kind))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_no_layer_is_forgotten():
    public = {
        name
        for name in gl.__all__
        if name.endswith(("Layer", "Model")) and issubclass(getattr(gl, name), LinearAlgebraBlock)
    }
    assert public - ELSEWHERE <= set(LAYERS) | set(INSTEAD)
    with pytest.raises(TypeError, match="CholeskyBlock is none of"):
        gl.analyze(gl.CholeskyBlock())


def exact():
    return gl.analyze(double(gl.GPLikelihoodLayer(RBF(), noise_variance=0.1)), X[:, None], Y)


@pytest.mark.parametrize("kind", ["SGPRLikelihoodLayer", "FITCLikelihoodLayer", "variational"])
def test_as_many_inducing_points_as_rows_are_the_exact_process(kind):
    if kind == "variational":
        layer = svgp(gl.likelihoods.Gaussian(0.1), Y.to_numpy(), steps=60)
    else:
        layer = double(getattr(gl, kind)(RBF(), X[:, None], noise_variance=0.1))
    own, expected = gl.analyze(layer, X[:, None], Y), exact()
    np.testing.assert_allclose(own.leave_one_out(), expected.leave_one_out(), atol=2e-5)
    at = [0.5, 2.2, 4.9]
    np.testing.assert_allclose(own.posterior(at), expected.posterior(at), atol=2e-5)
    assert list(own.leave_one_out().index) == list(Y.index)


@pytest.mark.parametrize("kind", ["GPLikelihoodLayer", "SGPRLikelihoodLayer", "BLRLikelihoodLayer"])
def test_what_a_mask_hides_is_in_no_table(kind):
    seen = np.arange(24) % 5 != 0
    inputs = X[:, None]
    make = {"SGPRLikelihoodLayer": lambda: gl.SGPRLikelihoodLayer(RBF(), X[::4, None])}
    layer = double(make.get(kind, lambda: getattr(gl, kind)(*([RBF()] * (kind[0] == "G"))))())
    own = gl.analyze(layer, inputs, Y.where(seen, 1e3), mask=seen.astype(float))
    expected = gl.analyze(layer, inputs[seen], Y[seen])
    pandas.testing.assert_frame_equal(own.leave_one_out(), expected.leave_one_out(), rtol=1e-7)
    by_place = gl.analyze(layer, inputs, Y.where(seen, 1e3), None, seen.astype(float))
    pandas.testing.assert_frame_equal(own.leave_one_out(), by_place.leave_one_out())


@pytest.mark.parametrize("several", [False, True])
def test_outputs_left_out_are_those_of_the_joint_distribution(several):
    kernels = [RBF(), gl.kernels.Matern32(lengthscale=2.0)] if several else RBF()
    shared = [
        gl.Coregionalization(2, mixing=[[1.0], [-0.5]], kappa=0.3) for _ in range(1 + several)
    ]
    layer = double(
        gl.MultiOutputGPLikelihoodLayer(
            kernels, 2, coregionalization=shared if several else shared[0],
            noise_variance=[0.1, 0.4],
        )
    )  # fmt: skip
    table = pandas.DataFrame(TWO, columns=["a", "b"])
    own = gl.analyze(layer, X[:, None], table)
    gap = np.abs(X[:, None] - X)
    covariance = np.exp(-0.5 * gap**2)
    matern = (1 + np.sqrt(3) * gap / 2) * np.exp(-np.sqrt(3) * gap / 2)
    between = np.array([[1.3, -0.5], [-0.5, 0.55]])
    joint = np.kron(between, covariance + several * matern)
    joint += np.diag(np.repeat([0.1, 0.4], 24))
    place, y = 24 + 5, TWO.T.reshape(-1)
    rest = np.arange(48) != place
    gain = np.linalg.solve(joint[np.ix_(rest, rest)], joint[rest, place])
    row = own.leave_one_out()["b"].iloc[5]
    assert row["mean"] == pytest.approx(gain @ y[rest], rel=1e-7)
    variance = joint[place, place] - gain @ joint[rest, place]
    assert row["std"] == pytest.approx(np.sqrt(variance), rel=1e-7)
    correlation = -0.5 / np.sqrt(1.3 * 0.55)
    assert own.correlation().loc["a", "b"] == pytest.approx(correlation, rel=1e-9)
    inside = own.calibration((80,)).loc[80, "b"]
    z = own["b"].leave_one_out()["standardized_residual"]
    assert inside == pytest.approx(100 * np.mean(np.abs(z) < stats.norm.ppf(0.9)))
    assert (
        own.posterior([1.0])["a"]["std"].iloc[0]
        > own.posterior([1.0], include_noise=False)["a"]["std"].iloc[0]
    )
    assert own.plot_posterior("b").axes[1].get_ylabel() == "b"
    with pytest.raises(ValueError, match="no output 'c'"):
        own.plot_posterior("c")


LIKELIHOODS = {
    "bernoulli": (lambda: gl.likelihoods.Bernoulli(), LABELS),
    "logit": (lambda: gl.likelihoods.Bernoulli("logit"), LABELS),
    "poisson": (lambda: gl.likelihoods.Poisson(), COUNTS),
    "negative_binomial": (lambda: gl.likelihoods.NegativeBinomial(0.5), COUNTS),
    "heteroscedastic": (lambda: gl.likelihoods.HeteroscedasticGaussian(), Y.to_numpy()),
    "ordinal": (lambda: gl.likelihoods.Ordinal([0.0, 0.7]), np.digitize(Y, [-0.3, 0.5])),
    "categorical": (lambda: gl.likelihoods.Categorical(3), np.digitize(Y, [-0.3, 0.5])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_row_left_out_is_a_posterior_of_the_others(name):
    make, y = LIKELIHOODS[name]
    own = gl.analyze(svgp(make(), y), X[:, None], y)
    told = own.leave_one_out()["log_density"].to_numpy()
    seen = own.latent(X[:, None])
    seen = log_density(own.likelihood, seen, np.asarray(y, "float64"))
    for row in (0, 11):
        rest = np.arange(24) != row
        alone = double(gl.SVGPLikelihoodLayer(RBF(), X[:, None], make()))
        for _ in range(30):
            alone.natural_step(X[rest, None], y[rest], step=0.5)
        array = gl.blocks.base.mx.nd.array
        found = alone.predictor().log_density(
            array(X[None, [row], None], dtype="float64"), array(y[None, [row]], dtype="float64")
        )
        alone = float(found.asscalar())
        # Without it the factors of other rows bend a little: much less than the row itself tells.
        assert abs(told[row] - alone) < 0.1 * abs(alone) and alone < seen[row]
        assert abs(told[row] - alone) < 0.35 * (seen[row] - alone)


def poisson(y, f):
    return stats.poisson.pmf(y, np.exp(f))


def negative_binomial(y, f):
    return stats.nbinom.pmf(y, 2.0, 2.0 / (2.0 + np.exp(f)))


@pytest.mark.parametrize(
    "name, mass", [("poisson", poisson), ("negative_binomial", negative_binomial)]
)
def test_intervals_of_counts_are_those_of_their_distribution(name, mass):
    own = gl.analyze(svgp(LIKELIHOODS[name][0](), COUNTS, steps=12), X[:, None], COUNTS)
    row = own.posterior([1.7], levels=(80,)).iloc[0]
    latent = own.posterior([1.7], include_noise=False).iloc[0]
    law = stats.norm(latent["mean"], latent["std"])
    f = np.linspace(*law.ppf([1e-12, 1 - 1e-12]), 4001)
    counts = np.arange(400)
    each = integrate.trapezoid(mass(counts[:, None], f) * law.pdf(f), f, axis=1)
    assert row["mean"] == pytest.approx(counts @ each, rel=1e-4)
    below = np.cumsum(each)
    assert row["lower_80"] == np.argmax(below >= 0.1)
    assert row["upper_80"] == np.argmax(below >= 0.9)


def test_intervals_of_heavy_tails_and_changing_noise():
    own = gl.analyze(svgp(gl.likelihoods.StudentT(0.2, 4.0), Y.to_numpy(), steps=12), X[:, None], Y)
    row = own.posterior([1.7], levels=(95,)).iloc[0]
    latent = own.posterior([1.7], include_noise=False).iloc[0]
    law = stats.norm(latent["mean"], latent["std"])
    below = integrate.quad(
        lambda f: stats.t.cdf((row["upper_95"] - f) / 0.2, 4.0) * law.pdf(f),
        *law.ppf([1e-12, 1 - 1e-12]), epsabs=1e-12,
    )[0]  # fmt: skip
    assert below == pytest.approx(0.975, abs=1e-7)
    changing = gl.analyze(
        svgp(gl.likelihoods.HeteroscedasticGaussian(), Y.to_numpy(), steps=12), X[:, None], Y
    )
    row = changing.posterior([1.7], levels=(95,)).iloc[0]
    (f, g), (v, w) = (a[0] for a in changing.latent([1.7])[:2])
    law = stats.norm(g, np.sqrt(w))
    below = integrate.quad(
        lambda log_noise: stats.norm.cdf((row["upper_95"] - f) / np.sqrt(v + np.exp(log_noise)))
        * law.pdf(log_noise),
        *law.ppf([1e-12, 1 - 1e-12]), epsabs=1e-12,
    )[0]  # fmt: skip
    assert below == pytest.approx(0.975, abs=1e-7)


def test_classes_have_names_and_probabilities():
    layer = svgp(gl.likelihoods.Bernoulli("logit"), LABELS, steps=12)
    own = gl.analyze(layer, X[:, None], LABELS, classes=["below", "above"])
    table = own.posterior([1.0, 4.0])
    assert list(table) == ["below", "above"]
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-9)
    latent = own.latent([1.0])
    law = stats.norm(latent.mean[0], np.sqrt(latent.variance[0]))
    chance = integrate.quad(lambda f: expit(f) * law.pdf(f), *law.ppf([1e-13, 1 - 1e-13]))[0]
    assert table["above"].iloc[0] == pytest.approx(chance, rel=1e-6)
    counts = own.confusion()
    assert counts.to_numpy().sum() == 24 and counts.loc["above"].sum() == LABELS.sum()
    right = np.trace(counts.to_numpy()) / 24
    assert f"{right:.1%}" in own.summary()
    with pytest.raises(ValueError, match="3 names for 2 classes"):
        gl.analyze(layer, X[:, None], LABELS, classes=list("abc"))


def test_components_of_a_probabilistic_model_are_those_of_its_covariance():
    x = pandas.DataFrame(RANDOM.randn(60, 4) @ RANDOM.randn(4, 4), columns=list("abcd"))
    layer = gl.PPCALikelihoodLayer(2).fit(x.to_numpy())
    own = gl.analyze(layer, x)
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    np.testing.assert_allclose(own.explained()["explained_variance"], values[:1:-1], rtol=1e-5)
    np.testing.assert_allclose(
        own.explained()["explained_ratio"], values[:1:-1] / values.sum(), rtol=1e-5
    )
    np.testing.assert_allclose(np.abs(own.loadings()), np.abs(vectors[:, :1:-1]), atol=1e-5)


def test_a_posterior_that_is_not_trained_is_refused():
    layer = double(gl.SVGPLikelihoodLayer(RBF(), X[:, None], gl.likelihoods.Gaussian(0.01)))
    with pytest.raises(ValueError, match="natural_step"):
        gl.analyze(layer, X[:, None], Y).leave_one_out()
