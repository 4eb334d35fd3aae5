"""What has no standard error says why; a bound is told as one."""

import numpy as np
import pytest

import gluon_linalg as gl

RANDOM = np.random.RandomState(0)
X = np.sort(RANDOM.uniform(0, 6, 30))
Y = np.sin(X) + 0.2 * RANDOM.normal(size=30)
RBF = gl.kernels.RBF


def fitted(layer, *data, dtype="float64", **options):
    if not isinstance(layer, gl.PPCALikelihoodLayer):
        layer.initialize()
    layer.cast(dtype)
    return gl.fit(layer, *data, progress=False, **options)


def sgpr():
    return fitted(gl.SGPRLikelihoodLayer(RBF(), X[::6, None]), X[:, None], Y)


def svgp():
    layer = gl.SVGPLikelihoodLayer(RBF(), X[::10, None], gl.likelihoods.Poisson())
    return fitted(layer, X[:, None], np.round(np.exp(Y)), iterations=15)


def outputs():
    layer = gl.MultiOutputGPLikelihoodLayer(RBF(), 2)
    return fitted(layer, X[:, None], np.stack([Y, -Y], axis=1), iterations=60)


def straight(dtype="float64"):
    layer = gl.StructuralModel(gl.structural.LocalLinearTrend(0.1, 0.1))
    y = 3 + 0.5 * np.arange(40) + np.random.RandomState(1).normal(size=40)
    return fitted(layer, y, dtype=dtype)


def components():
    # Any rotation of the loading has the same likelihood.
    x = RANDOM.randn(40, 4)
    return fitted(gl.PPCALikelihoodLayer(2).fit(x), x)


def regression():
    phi = np.stack([np.ones(30), X, np.zeros(30)], axis=1)
    return fitted(gl.BLRLikelihoodLayer([1.0, 1.0, 1.0], 0.1), phi, Y)


def bounded():
    layer = gl.GPLikelihoodLayer(RBF())
    layer.kernel.variance.grad_req = "null"
    return fitted(layer, X[:, None], Y, bounds={"noise_variance": (0.2, 1.0)})


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "make",
    [
        sgpr,
        pytest.param(svgp, marks=SLOW),
        pytest.param(outputs, marks=SLOW),
        pytest.param(straight, marks=SLOW),
        pytest.param(lambda: straight("float32"), marks=SLOW, id="straight in float32"),
        components,
        regression,
        bounded,
    ],
)
def test_each_number_that_is_missing_is_explained(make):
    result = make()
    text = result.summary()
    assert " nan" not in text.lower()
    notes, frame = " ".join(result.notes()), result.to_frame()
    for name in frame.index[frame["standard_error"].isna()]:
        assert name in notes or name.split("[")[0] in notes
    for note in result.notes():
        assert note in text and note.split(":")[0] in result._repr_html_()


def test_a_variance_of_0_is_not_told_from_0():
    notes = straight("float32").notes()
    found = [note for note in notes if note.startswith("components.0.slope_variance")]
    assert found and "not told from 0" in found[0]


def test_a_bound_is_no_likelihood():
    result = sgpr()
    assert np.isnan([result.log_likelihood, result.aic, result.bic]).all()
    text = result.summary()
    assert f"lower bound:        {-result.loss:.6f}" in text and "log likelihood:" not in text
    assert "AIC, BIC:           none" in text and "inducing_points[" not in text
    assert "inducing_points (5)" in text
    exact = fitted(gl.GPLikelihoodLayer(RBF()), X[:, None], Y)
    table = gl.compare(sparse=result, exact=exact)
    assert list(table.index) == ["exact", "sparse"] and np.isnan(table.loc["sparse", "AIC"])
    assert gl.structural.RobustStructuralModel(gl.structural.LocalLevel(0.1)).bounds_likelihood


def test_standard_errors_of_a_tight_bound_are_those_of_the_likelihood():
    layer = gl.SGPRLikelihoodLayer(RBF(), X[:, None])
    layer.inducing_points.grad_req = "null"
    own = fitted(layer, X[:, None], Y).to_frame()["standard_error"]

    def loss(log_noise, log_variance, log_length):
        gap = (X[:, None] - X) / np.exp(log_length)
        a = np.exp(log_variance - 0.5 * gap**2) + np.exp(log_noise) * np.eye(30)
        return 0.5 * (Y @ np.linalg.solve(a, Y) + np.linalg.slogdet(a)[1])

    exact = fitted(gl.GPLikelihoodLayer(RBF()), X[:, None], Y).to_frame()["value"]
    at, step, hessian = np.log(exact.to_numpy(float)), 1e-3, np.zeros((3, 3))
    for i, one in enumerate(step * np.eye(3)):
        for j, other in enumerate(step * np.eye(3)):
            ends = [loss(*(at + a * one + b * other)) * a * b for a in (-1, 1) for b in (-1, 1)]
            hessian[i, j] = sum(ends) / (4 * step**2)
    expected = np.sqrt(np.diag(np.linalg.inv(hessian))) * np.exp(at)
    np.testing.assert_allclose(own, expected, rtol=2e-3)


@pytest.mark.slow
def test_standard_errors_of_a_bound_are_those_of_its_maximum_over_the_rest():
    """However many numbers its posterior has: of normal noise it is that of SGPR."""
    layer = gl.SVGPLikelihoodLayer(RBF(), X[::10, None], gl.likelihoods.Gaussian(0.1))
    layer.inducing_points.grad_req = "null"
    own = fitted(layer, X[:, None], Y, iterations=300, tolerance=1e-13).to_frame()
    closed = gl.SGPRLikelihoodLayer(RBF(), X[::10, None], noise_variance=0.1)
    closed.inducing_points.grad_req = "null"
    expected = fitted(closed, X[:, None], Y, tolerance=1e-13).to_frame()
    names = {"0.variance": "0.variance", "0.lengthscale": "0.lengthscale"}
    names["likelihood.noise_variance"] = "noise_variance"
    for ours, theirs in names.items():
        assert own.loc[ours, "value"] == pytest.approx(expected.loc[theirs, "value"], rel=1e-2)
        error = expected.loc[theirs, "standard_error"]
        assert own.loc[ours, "standard_error"] == pytest.approx(error, rel=3e-2)


def test_at_a_bound_the_others_are_told_with_it_held_there():
    result = bounded()
    frame = result.to_frame()
    assert frame.loc["noise_variance", "value"] == pytest.approx(0.2)
    assert np.isnan(frame.loc["noise_variance", ["standard_error", "lower"]].to_numpy(float)).all()
    assert "at one of the bounds" in result.summary()

    def loss(log_length):
        gap = (X[:, None] - X) / np.exp(log_length)
        a = np.exp(-0.5 * gap**2) + 0.2 * np.eye(30)
        return 0.5 * (Y @ np.linalg.solve(a, Y) + np.linalg.slogdet(a)[1])

    length = frame.loc["kernel.lengthscale", "value"]
    at, step = np.log(length), 1e-3
    bend = (loss(at + step) - 2 * loss(at) + loss(at - step)) / step**2
    error = frame.loc["kernel.lengthscale", "standard_error"]
    assert error == pytest.approx(length / np.sqrt(bend), rel=1e-3)
    assert "fixed:              kernel.variance = 1" in result.summary()


def test_components_count_samples():
    x = RANDOM.randn(50, 3)
    result = fitted(gl.PPCALikelihoodLayer(1).fit(x), x)
    assert result.observations == 50
    assert result.bic == pytest.approx(7 * np.log(50) + 2 * result.loss)


def test_a_table_of_very_many_does_not_take_their_information():
    layer = gl.SVGPLikelihoodLayer(RBF(), X[:11, None], gl.likelihoods.Gaussian())
    result = fitted(layer, X[:, None], Y, iterations=2)
    before = result._of.evaluations
    text = result.summary()
    assert result._of.evaluations == before and "no standard errors: they take" in text
    assert "likelihood.noise_variance" in text and "variational_mean[" not in text


def test_a_constant_series_is_told():
    def noted(y, noise):
        model = gl.StructuralModel(gl.structural.LocalLevel(1.0), noise)
        model.initialize()
        model.cast("float64")
        return [n for n in gl.fit(model, y).notes() if "is constant" in n]

    (note,) = noted(np.full(12, 5e3), 1.0)
    assert "y is constant" in note and "numbers mean nothing" in note
    assert not noted(np.append(np.full(11, 5.0), 9.0), 1.0)
    factors, y = gl.DynamicFactorModel(3), np.random.RandomState(0).randn(30, 3)
    y[:, 1] = 4.0
    found = fitted(factors, y).notes()
    assert any(note.startswith("element 1 of y is constant") for note in found)
